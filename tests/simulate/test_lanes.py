"""Systems side by side in a register: the bits of single runs, whatever the width, the lane, and what the neighbours do."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from aitimestepper.bodies import Bodies, as_bodies
from aitimestepper.criteria.classical import (
    PRS23,
    Aarseth,
    Boekholt,
    Constant,
    EnergyBudget,
    FreeFall,
    HutMakino,
    LastTerm,
    Tidal,
)
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.fields import tidal
from aitimestepper.initial import named
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.simulate import advance as engine
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.kernels import layout as at
from aitimestepper.simulate.kernels import registers
from aitimestepper.simulate.kernels.elementary import asinh, exp, log, tanh
from aitimestepper.simulate.kernels.lanes import absolute, count_of, larger_or_nan, no, number_of, pointer, where
from aitimestepper.simulate.result import MAX_STEPS, NON_FINITE, OK, STUCK
from aitimestepper.simulate.snapshots import Snapshots

ARRAYS = (
    "steps",
    "force_evaluations",
    "rejected_steps",
    "max_energy_error",
    "final_energy_error",
    "dt_min",
    "dt_max",
)


def systems(count: int, n: int = 3, **more) -> Bodies:
    """Different systems of n bodies, each of its own size in space and time."""
    found = []
    for seed in range(count):
        one = named.random(n, seed=seed)
        found.append(as_bodies(one._replace(position=one.position * (1 + seed % 5), velocity=one.velocity * (1 + seed % 3))))
    return Bodies.stack(found).replace(**more) if more else Bodies.stack(found)


def assert_as_alone(start: Bodies, together, ends=None, **how) -> None:
    """Every system of a batch has the result of a run of its own, to the bit."""
    for b in range(len(start)):
        end = {} if ends is None else {"t_end": float(ends[b])}
        alone = simulate(start.select(b), warn=False, **{**how, **end})
        assert alone.status[0] == together.status[b], b
        for name in ARRAYS:
            assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[b], equal_nan=True), (b, name)
        assert np.array_equal(alone.final.position[0], together.final.position[b]), b
        assert np.array_equal(alone.final.velocity[0], together.final.velocity[b]), b
        assert alone.final.time[0] == together.final.time[b]
        for name in ("pair", "distance", "time"):
            mine, theirs = getattr(alone.closest_approach, name)[0], getattr(together.closest_approach, name)[b]
            assert np.array_equal(mine, theirs), (b, name)
        for name, values in alone.reports.items():
            assert values is None or np.array_equal(values[0], together.reports[name][b], equal_nan=True), (b, name)


def compared(start: Bodies, ends=None, **how) -> None:
    given = how if ends is None else {**how, "t_end": ends}
    assert_as_alone(start, simulate(start, warn=False, threads=1, **given), ends, **how)


CRITERIA = {
    "constant": Constant(0.01),
    "freefall": FreeFall(0.03),
    "hutmakino": HutMakino(0.02),
    "boekholt": Boekholt(0.03),
    "tidal": Tidal(1e-3),
    "aarseth": Aarseth(0.003),
    "prs23": PRS23(0.04),
    "budget": EnergyBudget(1e-3),
    "learned": LearnedStep(tol=1e-3),
    "plain learned": LearnedStep(tol=1e-3, symmetrized=False),
    "symmetrized": Symmetrized(FreeFall(0.03)),
    "smooth": Symmetrized(EnergyBudget(1e-3), smoothness=1.01),
    "limited": Limited(Symmetrized(Limited(FreeFall(0.03), 1e-4, 0.02)), 2e-4, 0.015),
    "huayno": Huayno(FreeFall(0.03)),
    "mean of both ends": HutMakinoMcMillan(Boekholt(0.03), 2),
}


METHODS = [
    {"criterion": Symmetrized(FreeFall(0.05)), "integrator": "leapfrog"},
    {"criterion": PRS23(), "integrator": "radau15"},
]


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_chooses_the_steps_of_single_runs(name):
    """Eleven systems whose runs end at different times, so that lanes are taken over and stay empty."""
    start = systems(11)
    compared(start, ends=np.linspace(0.3, 3.0, 11), criterion=CRITERIA[name], integrator="leapfrog")


@pytest.mark.parametrize("integrator", SPLITTINGS)
@pytest.mark.parametrize("n", [2, 3, 5, at.FEW])
def test_every_splitting_with_every_number_of_bodies(integrator, n):
    compared(systems(5, n), steps=20, criterion=Symmetrized(FreeFall(0.1)), integrator=integrator)


RADAU_CRITERIA = {
    "prs23": PRS23(),
    "last term": LastTerm(),
    "constant": Constant(0.05),
    "symmetrized": Symmetrized(FreeFall(0.1)),
    "limited": Limited(PRS23(), 1e-3, 0.05),
    "mean of both ends": HutMakinoMcMillan(FreeFall(0.1), 2),
}


@pytest.mark.parametrize("name", RADAU_CRITERIA)
@pytest.mark.parametrize("n", [2, 3, 5, at.FEW])
def test_gauss_radau_with_every_number_of_bodies(name, n):
    """Iterations end at different times in every lane, and lanes are taken over by systems with other memories."""
    compared(systems(11, n), ends=np.linspace(0.3, 3.0, 11), criterion=RADAU_CRITERIA[name], integrator="radau15", max_steps=60)


@pytest.mark.parametrize(
    ("criterion", "guard"), [(PRS23(2.0), False), (LastTerm(0.1), False), (Symmetrized(FreeFall(1.0)), True)], ids=str
)
def test_gauss_radau_steps_that_some_lanes_reject(criterion, guard):
    """By their own rule and by the guard: the others go on from the other side of the memory."""
    start = systems(11)
    start = start.replace(velocity=0.3 * start.velocity)  # close encounters
    ends = np.linspace(1.0, 12.0, 11)
    how = {"criterion": criterion, "integrator": "radau15", "guard": guard}
    together = simulate(start, t_end=ends, threads=1, warn=False, **how)
    assert len(set(together.rejected_steps.tolist())) > 2
    assert_as_alone(start, together, ends, **how)


def test_a_gauss_radau_step_without_a_finite_end_touches_no_neighbour():
    start = systems(8)
    position = start.position.copy()
    position[3] = 0.0
    position[3, :, 0] = [-1e-150, 1e-150, 1.0]
    how = {"t_end": 0.7, "criterion": Constant(0.01), "integrator": "radau15", "threads": 1, "warn": False}
    together, alone = simulate(start.replace(position=position), **how), simulate(start, **how)
    assert together.status == (*[OK] * 3, NON_FINITE, *[OK] * 4)
    for b in set(range(8)) - {3}:
        assert np.array_equal(together.final.position[b], alone.final.position[b])
        assert together.force_evaluations[b] == alone.force_evaluations[b]


@pytest.mark.parametrize("moves", [False, True], ids=["fixed", "circling"])
def test_gauss_radau_in_fields(moves):
    start, place = systems(9), {"R0": 8.0, "period": 5.0, "phase": 0.3} if moves else {"R0": 9.0, "y": 3.0}
    start = start.replace(softening=np.linspace(0.0, 0.3, 9), time=np.linspace(0.0, 4.0, 9), external_field=tidal(2.0, **place))
    compared(start, steps=40, criterion=PRS23(), integrator="radau15")


@pytest.mark.parametrize("field", [{"R0": 9.0, "y": 3.0}, {"R0": 8.0, "period": 5.0, "phase": 0.3}], ids=["fixed", "circling"])
def test_softening_fields_and_units(field):
    start = systems(9)
    start = start.replace(softening=np.linspace(0.0, 0.3, 9), time=np.linspace(0.0, 4.0, 9), external_field=tidal(2.0, **field))
    compared(start, steps=40, criterion=Symmetrized(FreeFall(0.05)), integrator="suzuki4")


def test_systems_of_different_sizes_in_one_batch():
    sizes = (3, 2, 14, 3, 5, 2, 3, 13, 1 + at.FEW, at.FEW, 2)
    start = Bodies.stack([as_bodies(named.random(n, seed=n + k)) for k, n in enumerate(sizes)])
    together = simulate(start, steps=30, criterion=FreeFall(0.03), integrator="leapfrog", threads=1, warn=False)
    for b, n in enumerate(sizes):
        one = as_bodies(named.random(n, seed=n + b))
        alone = simulate(one, steps=30, criterion=FreeFall(0.03), integrator="leapfrog", threads=1, warn=False)
        assert np.array_equal(alone.final.position[0], together.final.position[b][:n]), (b, n)
        assert alone.max_energy_error[0] == together.max_energy_error[b]


@pytest.mark.parametrize("place", range(8))
def test_a_system_that_breaks_off_touches_no_neighbour(place):
    """In one of eight two light bodies meet head-on at the end of a step; the step of another one is no progress."""
    start = systems(8)
    mass, position, velocity = start.mass.copy(), start.position.copy(), start.velocity.copy()
    mass[place] = [1e-30, 1e-30, 1.0]
    position[place], velocity[place] = 0.0, 0.0
    position[place, :, 0], velocity[place, :2, 0] = [-0.25, 0.25, 1e9], [1.0, -1.0]
    broken = start.replace(mass=mass, position=position, velocity=velocity)
    other = (place + 3) % 8
    dt = np.full(8, 0.01)
    dt[place], dt[other] = 0.25, 1e-300
    ends = np.full(8, 0.7)
    how = {"integrator": "leapfrog", "threads": 1, "warn": False, "max_steps": 60}
    together = simulate(broken, t_end=ends, criterion=Constant(tuple(dt)), **how)
    assert together.status[place] == NON_FINITE
    assert np.array_equal(together.final.position[place], position[place])
    assert together.status[other] == STUCK
    alone = simulate(start, t_end=ends, criterion=Constant(0.01), **how)
    for b in set(range(8)) - {place, other}:
        assert together.status[b] == MAX_STEPS
        assert np.array_equal(together.final.position[b], alone.final.position[b])
        assert together.max_energy_error[b] == alone.max_energy_error[b]


def test_a_step_that_one_lane_rejects_is_that_of_a_single_run():
    start = systems(8)
    how = {"criterion": FreeFall(0.3), "integrator": "leapfrog", "guard": True}
    together = simulate(start, t_end=3.0, threads=1, warn=False, **how)
    assert (together.rejected_steps > 0).sum() > 0
    assert len(set(together.rejected_steps.tolist())) > 3
    assert_as_alone(start, together, t_end=3.0, **how)
    learned = {"criterion": LearnedStep(tol=1e-2), "integrator": "leapfrog", "guard": True}
    assert_as_alone(start, simulate(start, t_end=2.0, threads=1, warn=False, **learned), t_end=2.0, **learned)


@pytest.mark.parametrize(
    "method",
    [
        {"criterion": LearnedStep(tol=1e-3), "integrator": "chin4"},
        {"criterion": PRS23(), "integrator": "radau15"},
        {"criterion": LastTerm(), "integrator": "radau15"},
    ],
    ids=["learned", "radau15 prs23", "radau15 last term"],
)
@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_no_bit_depends_on_the_width_of_the_registers(width, method, monkeypatch):
    start, how = systems(9, 3), {**method, "threads": 1, "warn": False}
    ends = np.linspace(0.5, 2.0, 9)
    usual = simulate(start, t_end=ends, **how)
    monkeypatch.setattr(registers, "lane_width", lambda: width)
    other = simulate(start, t_end=ends, **how)
    assert np.array_equal(usual.final.position, other.final.position)
    assert np.array_equal(usual.max_energy_error, other.max_energy_error)
    assert np.array_equal(usual.force_evaluations, other.force_evaluations)
    assert np.array_equal(usual.closest_approach.time, other.closest_approach.time)


@pytest.mark.parametrize("method", METHODS, ids=["leapfrog", "radau15"])
def test_order_budget_and_threads_change_no_bit(method, monkeypatch):
    start, how = systems(30, 4), {**method, "warn": False}
    ends = np.linspace(0.1, 3.0, 30)
    usual = simulate(start, t_end=ends, threads=1, **how)
    order = np.random.default_rng(5).permutation(30)
    turned = simulate(start.select(order), t_end=ends[order], threads=2, **how)
    assert np.array_equal(usual.final.position[order], turned.final.position)
    monkeypatch.setattr(engine, "FIRST_BUDGET", 3)
    monkeypatch.setattr(engine, "ENOUGH", 0.0)
    monkeypatch.setattr(engine, "TURN", 1e-9)
    pieces = simulate(start, t_end=ends, threads=1, **how)
    for name in ARRAYS:
        assert np.array_equal(getattr(usual, name), getattr(pieces, name)), name
    assert np.array_equal(usual.final.velocity, pieces.final.velocity)


@pytest.mark.parametrize("method", METHODS, ids=["leapfrog", "radau15"])
@pytest.mark.parametrize("by", [{"output_every": 0.05}, {"output_steps": 3}], ids=["by time", "by steps"])
def test_rows_of_output_are_those_of_single_runs(by, method, tmp_path):
    start, ends = systems(9), np.linspace(0.4, 1.5, 9)
    how = {**method, "threads": 1, "warn": False, **by}
    simulate(start, t_end=ends, output=tmp_path / "all.h5", **how)
    with Snapshots(tmp_path / "all.h5") as together:
        for b in range(9):
            simulate(start.select(b), t_end=float(ends[b]), output=tmp_path / f"{b}.h5", **how)
            with Snapshots(tmp_path / f"{b}.h5") as alone:
                rows = len(alone.time)
                for name in ("time", "position", "velocity", "energy", "dt", "steps"):
                    mine, theirs = np.asarray(getattr(alone, name))[:, 0], np.asarray(getattr(together, name))[:rows, b]
                    assert np.array_equal(mine, theirs, equal_nan=True), (b, name)


def test_runs_whose_lengths_differ_a_thousand_times_end_where_they_should():
    """How well they fill the lanes is measured: benchmarks/engine.py --only lengths."""
    lengths = np.geomspace(1.0, 1000.0, 64)
    start = systems(64, 2)
    done = simulate(start, t_end=lengths * 0.01, criterion=Constant(1e-4), integrator="leapfrog", threads=1, warn=False)
    assert done.status == (OK,) * 64
    assert done.steps.tolist() == pytest.approx((lengths * 100).tolist(), abs=1.0)


# ---- the functions of lanes ---------------------------------------------------------------------------------------------
@numba.njit(error_model="numpy")
def _elementary(values, results, rows, lanes):
    x, y = pointer(values, 0, lanes), pointer(results, 0, lanes)
    for k in range(rows):
        y[4 * k], y[4 * k + 1], y[4 * k + 2], y[4 * k + 3] = exp(x[k]), log(x[k]), tanh(x[k]), asinh(x[k])


def elementary(x: np.ndarray, width: int) -> np.ndarray:
    """Return e^x, ln x, tanh x and asinh x, (4, count), by the kernels."""
    values, results = registers.aligned((len(x) // width, width)), registers.aligned((4 * len(x) // width, width))
    values[:] = x.reshape(-1, width)
    _elementary(values, results, len(values), (0.0,) * width)
    return results.reshape(-1, 4, width).transpose(1, 0, 2).reshape(4, -1)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_elementary_functions_are_as_accurate_as_they_say(width):
    x = np.concatenate([np.geomspace(1e-300, 600.0, 4000), np.linspace(1e-3, 40.0, 4000)])
    wide = x.astype(np.longdouble)
    found = elementary(x, width)
    assert np.abs(found[0] / np.exp(wide) - 1).max() < 4e-16
    for values, true in zip(found[1:], (np.log(wide), np.tanh(wide), np.arcsinh(wide)), strict=True):
        assert (np.abs(values - true) / np.maximum(np.abs(true), 1.0)).max() < 4e-16
    assert np.array_equal(found, elementary(x, 1))
    assert np.isnan(elementary(np.full(width, np.nan), width)[[0, 2]]).all()


def test_operators_of_lanes_are_those_of_floats():
    """Comparisons with NaN, choices, counts and integers of the lanes, against NumPy."""

    @numba.njit(error_model="numpy")
    def several(values, results, lanes):
        x, y = pointer(values, 0, lanes), pointer(results, 0, lanes)
        a, b = x[0], x[1]
        y[0], y[1], y[2] = where(a < b, a, b), where((a >= b) | (a != a), -a, a * b - b), a / b
        y[3], y[4] = number_of(count_of((a == b) & no(a > 1.0)) + 2), larger_or_nan(absolute(a), absolute(b))

    rng = np.random.default_rng(2)
    for width in (1, 2, 4, 8):
        a, b = rng.normal(size=(2, width))
        if width > 1:
            a[0], b[1] = np.nan, a[1]
        values, results = registers.aligned((2, width)), registers.aligned((5, width))
        values[:] = a, b
        several(values, results, (0.0,) * width)
        true = [
            np.where(a < b, a, b),
            np.where((a >= b) | np.isnan(a), -a, a * b - b),
            a / b,
            2.0 + ((a == b) & ~(a > 1.0)),
            np.maximum(abs(a), abs(b)),
        ]
        assert np.array_equal(results, true, equal_nan=True)
