"""The simulation loop: exact ends, systems that do not disturb each other, honest counts and errors."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from aitimestepper.bodies import Bodies, free_fall_time
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
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.errors import ConfigError
from aitimestepper.fields import PointMassTidalField, tidal
from aitimestepper.initial import named as initial
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.result import momentum_errors

CLASSICAL = {
    "constant": (Constant(0.011), "auto"),
    "freefall": (FreeFall(0.03), "auto"),
    "hutmakino": (HutMakino(0.03), "auto"),
    "aarseth": (Aarseth(0.003), "auto"),
    "tidal": (Tidal(1e-3), "auto"),
    "prs23": (PRS23(0.05), "leapfrog"),
    "prs23 radau15": (PRS23(0.05), "auto"),
    "lastterm": (LastTerm(1e-11), "auto"),
    "boekholt": (Boekholt(0.03), "auto"),
    "energybudget": (EnergyBudget(0.1), "auto"),
    "energybudget kahan_li6": (EnergyBudget(1e-5, integrator="kahan_li6"), "auto"),
}


def rows_of(particle: Bodies, **given) -> tuple[dict[str, np.ndarray], object]:
    """All states of the first system on the way, by name, and the result."""
    seen: dict[str, list] = {}

    def take(_, rows):
        for name, values in rows.items():
            seen.setdefault(name, []).extend(values[:, 0])

    result = simulate(particle, output_steps=1, sinks=(take,), **given)
    return {name: np.array(values) for name, values in seen.items()}, result


# ---- the end ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("t_end", [1.0, 0.1, math.pi, 1 / 3])
@pytest.mark.parametrize("criterion", [Constant(0.011), FreeFall(0.03), Symmetrized(FreeFall(0.03)), Constant(50.0)], ids=str)
def test_the_end_time_is_reached_exactly(two_body, t_end, criterion):
    for start in (0.0, -0.95, -7.3, 0.07):  # t + (t_end - t) is not always t_end
        r = simulate(two_body(e=0.5, time=start), t_end=t_end, criterion=criterion)
        assert r.final.time[0] == t_end
        assert r.status == ("ok",)


def test_the_end_time_is_reached_exactly_by_every_system_of_a_batch(two_body):
    """Steps of their own, starts of their own, one already there, one past it, which goes backward."""
    systems = [two_body(e=e, time=t) for e, t in ((0.0, 0.0), (0.9, 0.25), (0.5, 1.7), (0.3, 2.0), (0.3, 2.5))]
    p = Bodies.stack(systems)
    r = simulate(p, t_end=2.0, criterion=FreeFall(0.04))
    assert r.final.time.tolist() == [2.0] * 5
    assert r.status == ("ok",) * 5
    assert r.steps[3] == 0
    assert len(set(r.steps[:3].tolist())) == 3
    assert np.array_equal(r.final.position[3], p.position[3])
    for i in (0, 1, 2, 4):
        true = simulate(systems[i], t_end=2.0, criterion=Constant(0.04), integrator="kahan_li8").final
        np.testing.assert_allclose(r.final.position[i], true.position[0], rtol=0, atol=2e-2)


def test_every_system_may_have_an_end_of_its_own(two_body):
    systems = [two_body(e=0.5), two_body(e=0.9), two_body(e=0.3)]
    ends = [0.7, 1.9, 0.0]
    together = simulate(Bodies.stack(systems), t_end=ends, criterion=FreeFall(0.04))
    assert together.final.time.tolist() == ends
    for i, (system, end) in enumerate(zip(systems, ends, strict=True)):
        alone = simulate(system, t_end=end, criterion=FreeFall(0.04))
        assert np.array_equal(together.final.position[i], alone.final.position[0])
        assert together.steps[i] == alone.steps[0]
    with pytest.raises(ConfigError, match=r"shape \(2,\); give one time, or one for each of the 3 systems"):
        simulate(Bodies.stack(systems), t_end=[1.0, 2.0], criterion=FreeFall(0.04))
    with pytest.raises(ConfigError, match=r"t_end = nan must be finite"):
        simulate(Bodies.stack(systems), t_end=[1.0, np.nan, 2.0], criterion=FreeFall(0.04))


def test_the_last_step_is_shortened_and_no_other(two_body):
    rows, r = rows_of(two_body(), t_end=0.35, criterion=Constant(0.1))
    assert rows["dt"][1:4].tolist() == [0.1, 0.1, 0.1]
    assert rows["dt"][4] == pytest.approx(0.05, rel=1e-14)
    assert r.final.time[0] == 0.35


def test_steps_end_the_run_after_so_many(two_body):
    p = Bodies.stack([two_body(e=0.1), two_body(e=0.9)])
    r = simulate(p, steps=7, criterion=FreeFall(0.02))
    assert r.steps.tolist() == [7, 7]
    assert r.status == ("ok", "ok")
    rows, one = rows_of(p.select(1), steps=7, criterion=FreeFall(0.02))
    assert np.array_equal(one.final.position[0], r.final.position[1])
    states = Bodies(p.mass[1], rows["position"][:-1], rows["velocity"][:-1])
    np.testing.assert_allclose(rows["dt"][1:], 0.02 * free_fall_time(states), rtol=1e-14)
    assert r.final.time[1] == pytest.approx(rows["dt"][1:].sum(), rel=1e-14)


def test_no_default_overrides_what_was_asked_for(two_body):
    """Trap 7: a long run is as long as was said, at a step of the same length; only `max_steps`, if given, cuts it."""
    p = two_body(e=0.2)
    for t_end, n in ((0.05, 5), (3.0, 300), (60.0, 700)):
        r = simulate(p, t_end=t_end, criterion=Constant(t_end / n), max_steps=None)
        assert r.final.time[0] == t_end
        assert n <= r.steps[0] <= n + 1
    assert simulate(p, steps=700, criterion=Constant(1e-3)).final.time[0] == pytest.approx(0.7, rel=1e-12)


# ---- a batch is its systems ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("symmetrized", [False, True])
def test_systems_of_a_batch_give_the_same_bits_as_alone(two_body, random_system, name, symmetrized):
    """Of different N, starting at different times, ending after different numbers of steps."""
    systems = [
        random_system(5, 2, softening=0.05),
        two_body(e=0.8, q=0.1, time=0.08),
        random_system(3, 2, time=0.03),
        two_body(e=0.1),
        random_system(3, 2, seed=4, softening=0.1),
    ]
    criterion, integrator = CLASSICAL[name]
    given = {"t_end": 0.15, "criterion": Symmetrized(criterion) if symmetrized else criterion, "integrator": integrator}
    together = simulate(Bodies.stack(systems), **given)
    assert len(set(together.steps.tolist())) >= 3
    assert together.status == ("ok",) * 5
    for i, p in enumerate(systems):
        alone = simulate(p, **given)
        n = p.mass.shape[1]
        assert np.array_equal(together.final.position[i, :n], alone.final.position[0])
        assert np.array_equal(together.final.velocity[i, :n], alone.final.velocity[0])
        for field in ("steps", "force_evaluations", "max_energy_error", "final_energy_error", "dt_min", "dt_max"):
            assert getattr(together, field)[i] == getattr(alone, field)[0], field
        assert together.momentum_error[i] == pytest.approx(alone.momentum_error[0], rel=0, abs=1e-15)


# ---- counts and errors --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", SPLITTINGS)
def test_force_evaluations_are_stages_times_steps_and_the_first_one(two_body, integrator):
    r = simulate(two_body(), steps=6, criterion=FreeFall(0.02), integrator=integrator)
    assert r.force_evaluations.tolist() == [6 * SPLITTINGS[integrator].stages + 1]


def test_errors_are_those_of_the_states(random_system):
    p = random_system(3, 3, softening=0.1)
    rows, r = rows_of(p, steps=25, criterion=FreeFall(0.05))
    error = abs(r.final.total_energy() - p.total_energy()) / p.energy_scale()
    assert r.final_energy_error[0] == pytest.approx(error[0], rel=0, abs=1e-15)
    assert r.max_energy_error[0] == rows["energy_error"].max()
    assert r.max_energy_error[0] > rows["energy_error"][:5].max()
    L = np.linalg.norm(r.final.angular_momentum() - p.angular_momentum())
    assert r.momentum_error[0] < 1e-14
    assert 0 < r.angular_momentum_error[0] < 1e-14
    assert L < 1e-13


def test_momentum_errors_are_relative_to_the_sum_of_the_sizes(two_body):
    """A pair at rest as a whole has no momentum to compare with. A push shows in the units of sum m|v|."""
    p = two_body(e=0.3, q=0.1)
    assert np.linalg.norm(p.momentum()) < 1e-16
    pushed = p.replace(velocity=p.velocity + np.array([3e-3, 4e-3]))
    sizes = (p.mass * np.linalg.norm(pushed.velocity, axis=-1)).sum()
    assert momentum_errors(p, pushed)[0] == pytest.approx([5e-3 / sizes], rel=1e-12)
    heavy = p.replace(mass=p.mass * 1e30, velocity=p.velocity * 1e15)
    assert simulate(heavy, steps=5, criterion=FreeFall(0.1)).momentum_error[0] < 1e-14


@pytest.mark.parametrize(("mass", "length"), [(1e100, 1e100), (1e-100, 1e-100)])
def test_momentum_errors_are_finite_at_any_scale(two_body, mass, length):
    p = two_body(e=0.3, q=0.1)
    scaled = p.replace(mass=p.mass * mass, position=p.position * length)
    r = simulate(scaled, steps=20, criterion=Constant(1e-2 * length))
    assert r.status == ("ok",)
    expected = simulate(p, steps=20, criterion=Constant(1e-2))
    np.testing.assert_allclose(r.final.position / length, expected.final.position, rtol=0, atol=1e-13)
    assert 0 <= r.momentum_error[0] < 1e-14
    assert 0 <= r.angular_momentum_error[0] < 1e-14
    assert r.final_energy_error[0] == pytest.approx(expected.final_energy_error[0], rel=1e-6)
    for speed in (1e100, 1e-100):  # also where their products would overflow, or vanish
        fast = scaled.replace(velocity=p.velocity * speed)
        assert momentum_errors(fast, fast.replace(velocity=fast.velocity * 1.1))[1] == pytest.approx([0.1 / 1.1], rel=1e-9)


def test_the_result_says_how_its_steps_were_chosen_and_made(two_body):
    r = simulate(two_body(), steps=2, criterion=Symmetrized(EnergyBudget(1e-6)), integrator="hermite4:n=2")
    assert (r.criterion, r.integrator) == ("symmetrized(energybudget(1e-06))", "hermite4:n=2")


def test_a_step_of_a_cluster_needs_memory_for_its_bodies_not_for_its_pairs():
    """One matrix of pairs at N = 2000 would be 32 MB, and a few of them were 700 MB once."""
    drawn = initial.plummer(2000, seed=1)
    simulate(drawn, steps=1, tol=1e-4)  # whatever is imported and compiled at first
    tracemalloc.start()
    try:
        made = simulate(drawn, steps=1, tol=1e-4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made.status == ("ok",)
    assert peak < 20e6


# ---- outer fields -------------------------------------------------------------------------------------------------------
def test_an_outer_field_given_to_the_run_acts_and_has_no_momentum_to_keep(two_body):
    p, field = two_body(e=0.2), PointMassTidalField(20.0, R0=5.0)
    r = simulate(p, t_end=2.0, criterion=Constant(0.01), external_field=field)
    with_field = simulate(two_body(e=0.2, external_field=field), t_end=2.0, criterion=Constant(0.01))
    assert np.array_equal(r.final.position, with_field.final.position)
    assert abs(r.final.position - simulate(p, t_end=2.0, criterion=Constant(0.01)).final.position).max() > 1e-2
    assert p.external_field is None
    assert r.final.external_field is field
    assert r.momentum_error is None
    assert r.angular_momentum_error is None
    assert r.max_energy_error[0] < 2e-4
    assert r.summary()["momentum_error"] is None


@pytest.mark.parametrize(
    ("integrator", "counts"),
    [
        ("leapfrog", (100, 200, 400)),
        ("suzuki4", (20, 40, 80)),
        ("kahan_li6", (10, 15, 22)),
        ("kahan_li8", (6, 8, 11)),
        ("blanes_moan4", (20, 40, 80)),
        ("blanes_moan6", (5, 8, 12)),
        ("chin4", (20, 40, 80)),
    ],
)
def test_reported_error_in_a_moving_field_leaves_out_its_work_and_converges(two_body, slope, integrator, counts):
    p = two_body(e=0.2, external_field=tidal(M=5.0, R0=4.0, period=5.0))
    runs = [simulate(p, steps=n, criterion=Constant(2.0 / n), integrator=integrator) for n in counts]
    errors = [r.max_energy_error[0] for r in runs]
    assert slope([1 / n for n in counts], errors) == pytest.approx(SPLITTINGS[integrator].order, abs=0.25)
    moved = abs(runs[-1].final.total_energy() - p.total_energy())[0] / p.energy_scale()[0]
    assert moved > 0.02
    assert errors[-1] < 1e-3 * moved
