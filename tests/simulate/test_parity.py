"""Two engines, one physics: whatever is compiled gives the numbers of the reference loop in torch, and always the same bits."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from aitimestepper.config import Config
from aitimestepper.criteria.base import Limited, Symmetrized
from aitimestepper.criteria.classical import PRS23, Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.reversible import Huayno, HutMakinoMcMillan
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.features import ERROR_FRACTION, feature_count
from aitimestepper.differentiable.network import LOG_GAIN, FullyConnectedNN
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import ConfigError
from aitimestepper.fields import PointMassTidalField, tidal
from aitimestepper.integrators import COMPOSITIONS
from aitimestepper.simulate import batch as compiled
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.result import NUMBERS

STEPS = 20
CLASSICAL = {
    "constant": lambda integrator: Constant(0.011),
    "freefall": lambda integrator: FreeFall(0.04),
    "hutmakino": lambda integrator: HutMakino(0.03),
    "boekholt": lambda integrator: Boekholt(0.03),
    "tidal": lambda integrator: Tidal(1e-3),
    "aarseth": lambda integrator: Aarseth(0.003),
    "prs23": lambda integrator: PRS23(0.04),
    "energybudget": lambda integrator: EnergyBudget(0.02 ** COMPOSITIONS[integrator].order, integrator),
}
WRAPPERS = {
    "bare": lambda c, integrator, low, high: c,
    "symmetrized": lambda c, integrator, low, high: Symmetrized(c),
    "limited": lambda c, integrator, low, high: Limited(c, low, high),
    "limited symmetrized": lambda c, integrator, low, high: Limited(Symmetrized(c, max_ratio=1.005), low, high),
    "symmetrized limited": lambda c, integrator, low, high: Symmetrized(Limited(c, low, high)),
    "settled": lambda c, integrator, low, high: Symmetrized(c, smoothness=1.0005),
    "huayno": lambda c, integrator, low, high: Huayno(c),
    "hmm": lambda c, integrator, low, high: Limited(
        HutMakinoMcMillan(c, 1 if integrator == "kahan_li8" else 2, integrator), 0.5 * low
    ),
}
WORLD = {
    "integrator": tuple(COMPOSITIONS),
    "axes": (2, 3),
    "G": (1.0, 2.5),
    "field": ("alone", "tide", "circling"),
    "end": ("steps", "time"),
}
NETWORK = WORLD | {
    "field": ("alone", "tide"),
    "depth": (1, 2, 3),
    "fourier": (0, 5),
    "scaled": (True, False),
    "tol": (None, 3e-5),
}


def covering(seed: int, **factors: tuple) -> list[SimpleNamespace]:
    """Rows that have each pair of levels of any two factors at least once: greedy, of 100 random rows the best."""
    names, draw = list(factors), random.Random(seed)

    def pairs(row: dict) -> set:
        return {((a, row[a]), (b, row[b])) for a, b in itertools.combinations(names, 2)}

    missing = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in factors[a] for y in factors[b]}
    rows = []
    while missing:
        wanted = dict(min(missing, key=str))
        some = [{n: wanted.get(n, draw.choice(factors[n])) for n in names} for _ in range(100)]
        best = max(some, key=lambda row: (len(missing & pairs(row)), -cost_of(row)))
        missing -= pairs(best)
        rows.append(SimpleNamespace(**best))
    return rows


def cost_of(row: dict) -> float:
    """Of the reference run, about; the power of a moving field is a derivative by autograd."""
    stages = len(COMPOSITIONS[row["integrator"]].fractions)
    return stages * (4 if row["field"] == "circling" else 1) * (3 if row.get("wrapper") == "hmm" else 1)


def name_of(row: SimpleNamespace) -> str:
    return "-".join(str(x).replace(" ", "_") for x in vars(row).values())


def bodies(axes: int, G: float = 1.0, field=None) -> ParticleTorch:
    """Five systems in one batch: 2 to 5 bodies at any places of 6, equal masses, 1 : 1e-6, a massless one, some softened."""
    generator = torch.Generator().manual_seed(axes)
    systems = (  # masses, places, softening, time
        ((1.0, 1.0, 1.0), (0, 2, 5), 0.0, 0.0),
        ((1.0, 1e-6, 1e-6, 3e-6), (1, 2, 3, 4), 0.0, 0.3),
        ((0.7, 0.4, 0.0), (0, 1, 2), 0.0, -1.0),
        ((0.3, 0.2, 0.5, 0.6, 0.1), (0, 1, 3, 4, 5), 0.2, 0.0),
        ((0.9, 0.1), (3, 5), 0.05, 0.1),
    )
    mass, mask = torch.zeros(5, 6, dtype=torch.float64), torch.zeros(5, 6, dtype=torch.bool)
    position, velocity = torch.zeros(2, 5, 6, axes, dtype=torch.float64)
    for b, (masses, places, _, _) in enumerate(systems):
        n, at = len(masses), list(places)
        angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n + b
        radius = 0.5 + 0.25 * torch.arange(n, dtype=torch.float64)
        mass[b, at], mask[b, at] = torch.tensor(masses, dtype=torch.float64), True
        position[b, at, 0], position[b, at, 1] = radius * torch.cos(angle), radius * torch.sin(angle)
        velocity[b, at, 0], velocity[b, at, 1] = -0.4 * torch.sin(angle), 0.4 * torch.cos(angle)
        if axes == 3:
            position[b, at, 2] = 0.2 * torch.cos(3 * angle)
        velocity[b, at] += 0.1 * torch.randn(n, axes, generator=generator, dtype=torch.float64)
    softening, time = (torch.tensor([s[k] for s in systems], dtype=torch.float64) for k in (2, 3))
    given = {"mask": mask, "softening": softening, "time": time, "G": G, "external_field": field}
    return ParticleTorch.from_tensors(mass, position, velocity * math.sqrt(G), **given)


def start_of(row: SimpleNamespace) -> ParticleTorch:
    field = {
        "alone": None,
        "tide": tidal(M=2.0, R0=6.0, G=row.G),
        "circling": tidal(M=2.0, R0=6.0, period=2.0, phase=0.4, G=row.G),
    }
    return bodies(row.axes, row.G, field[row.field])


def network(start: ParticleTorch, row: SimpleNamespace) -> LearnedStep:
    """One that has not learned but does look: its steps are about 0.015 and follow its inputs."""
    feature_type, K = row.features
    shape = {"layers": (12, 20, 7)[: row.depth], "activation": row.activation, "fourier_features": row.fourier}
    given = {"feature_type": feature_type, "history_len": K, "integrator": row.integrator, "normalize": row.scaled}
    config = Config(**given, **shape, seed=5, device="cpu", G=start.G, fourier_scale=0.3)
    adapter = ModelAdapter(config)
    adapter.measure_scales(start)
    soft = feature_type == "invariant"
    net = FullyConnectedNN(feature_count(feature_type, K), **shape_of(config), soft=soft, seed=len(name_of(row)))
    if feature_type == "invariant":  # as networks are that learned from single steps; those tuned on runs are compared below
        net.lowest[ERROR_FRACTION] = net.highest[ERROR_FRACTION] = 0.0
    step = LearnedStep(net, adapter, row.tol)
    with torch.no_grad():
        net.log_dt.weight *= 40.0
        for _ in range(3):
            dt = step.step_size(start, step.init(start)).median()
            net.log_dt.bias.add_(torch.log(0.015 / dt) / LOG_GAIN)
    return step


def shape_of(config: Config) -> dict:
    return {name: getattr(config, name) for name in ("layers", "activation", "fourier_features", "fourier_scale")}


def wrapped(row: SimpleNamespace, criterion, start: ParticleTorch):
    """Limits that some of the systems want to leave on either side."""
    dt = criterion.step_size(start, criterion.init(start))
    low, high = (0.95 * dt.median().item(), 1.05 * dt.median().item())
    return WRAPPERS[row.wrapper](criterion, row.integrator, low, high)


def both(start: ParticleTorch, row: SimpleNamespace, criterion):
    """(compiled, reference): 20 steps each, or until a time that some systems reach in fewer."""
    until = {"steps": STEPS}
    if row.end == "time":
        first = criterion.step_size(start, criterion.init(start))
        until = {"t_end": (start.time + 9.3 * first).median().item(), "max_steps": STEPS}
    return tuple(
        simulate(start, **until, criterion=criterion, integrator=row.integrator, engine=engine)
        for engine in ("compiled", "reference")
    )


def assert_same_run(start: ParticleTorch, ours, theirs, tol: float = 1e-12) -> None:
    """Both results agree: places and speeds relative to the size of the system, numbers exactly, times and steps to `tol`."""
    assert (ours.engine, theirs.engine) == ("compiled", "reference")
    assert ours.status == theirs.status
    assert torch.equal(ours.steps, theirs.steps)
    assert torch.equal(ours.force_evaluations, theirs.force_evaluations)
    for name in ("position", "velocity"):
        x, y, first = (getattr(p, name) for p in (ours.final, theirs.final, start))
        size = torch.maximum(first.abs(), y.abs()).amax((1, 2))
        assert ((x - y).abs().amax((1, 2)) / size).max() < tol
        assert not x[~start.mask].any()
    passed = (theirs.final.time - start.time).abs() + theirs.dt_max
    assert ((ours.final.time - theirs.final.time).abs() <= tol * passed).all()
    for name in ("dt_min", "dt_max"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=tol, atol=0)
    assert ((ours.final.dt - theirs.final.dt).abs() <= tol * passed).all()
    E0 = start.total_energy().abs().clamp_min(torch.finfo(torch.float64).tiny)
    summed = (start.kinetic_energy() + (start.potential_energy() - start.kinetic_energy()).abs()) / E0
    for name in ("max_energy_error", "final_energy_error"):
        assert ((getattr(ours, name) - getattr(theirs, name)).abs() <= 1e-13 * summed).all(), name
    assert ours.reports.keys() == theirs.reports.keys()
    for name, values in theirs.reports.items():
        torch.testing.assert_close(ours.reports[name], values, rtol=100 * tol, atol=0)


@pytest.mark.parametrize("row", covering(1, criterion=tuple(CLASSICAL), wrapper=tuple(WRAPPERS), **WORLD), ids=name_of)
def test_classical_criteria_choose_the_same_steps_in_both_engines(row):
    start = start_of(row)
    criterion = wrapped(row, CLASSICAL[row.criterion](row.integrator), start)
    assert_same_run(start, *both(start, row, criterion))


EVEN = tuple((name, 0) for name in ("basic", "rich", "delta_mag", "invariant"))
LOOKING_BACK = tuple((name, K) for name in ("basic", "rich", "delta_mag") for K in (1, 3))
LOOK_AROUND = covering(2, features=EVEN, wrapper=tuple(WRAPPERS), activation=("tanh", "relu", "gelu"), **NETWORK)
LOOK_BACK = covering(3, features=LOOKING_BACK, wrapper=("bare", "limited"), activation=("silu", "elu", "sigmoid"), **NETWORK)


@pytest.mark.parametrize("row", LOOK_AROUND + LOOK_BACK, ids=name_of)
def test_networks_choose_the_same_steps_in_both_engines(row):
    """Huayno divides differences of dt by 2e-3 dt: the 5e-15 that rounding makes of ln dt, twice, is up to 3e-12 there."""
    start = start_of(row)
    tol = 5e-12 if row.wrapper == "huayno" else 1e-12
    ours, theirs = both(start, row, wrapped(row, network(start, row), start))
    assert_same_run(start, ours, theirs, tol)
    assert "expected_step_error" in ours.reports


@pytest.mark.parametrize("wrapper", ["bare", "settled", "hmm"])
@pytest.mark.parametrize("field", ["alone", "circling"])
@pytest.mark.parametrize("tol", [1e-4, 1e-6])
def test_a_tuned_network_sees_the_same_error_in_both_engines(wrapper, field, tol):
    """It is shown 10 (E - E0) / |E0| / tol, in which rounding, 1e-15 |U|, counts so many times more."""
    start = bodies(3, field=tidal(M=2.0, R0=6.0, period=2.0, phase=0.4) if field == "circling" else None)
    start = start.select(torch.tensor([0, 2, 3, 4]))  # system 1 is a moving star: its bonds are 1e-6 of the energy that rounds
    step = one_network(start, features=("invariant", 0)).at_tolerance(tol)
    step.adapter.calibration = [(1e-2, 0.5), (1e-6, 0.1)]
    step.model.lowest.copy_(step.adapter.observe(start).features.amin(0) - 0.02)
    step.model.highest.copy_(step.adapter.observe(start).features.amax(0) + 0.02)
    step.model.lowest[ERROR_FRACTION], step.model.highest[ERROR_FRACTION] = -5.0, 5.0
    with torch.no_grad():
        step.model.log_dt.bias += math.log(10.0) / LOG_GAIN  # so that there is an error to see
    criterion = WRAPPERS[wrapper](step, "leapfrog", 1e-9, 1.0)
    ours, theirs = (simulate(start, steps=STEPS, criterion=criterion, engine=engine) for engine in ("compiled", "reference"))
    assert_same_run(start, ours, theirs, 2e-14 / tol)
    step.model.lowest[ERROR_FRACTION] = step.model.highest[ERROR_FRACTION] = 0.0
    blind = simulate(start, steps=STEPS, criterion=criterion)
    assert (blind.dt_max - ours.dt_max).abs().max() > 1e-4 * ours.dt_max.max()
    assert ours.reports["steps_outside_training"].sum() > 0


def special(kind: str) -> ParticleTorch:
    if kind == "star":  # it feels exactly nothing, and there is no energy at all
        position = [[0.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.0, 2.0, 0.3]]
        return ParticleTorch.from_tensors([1.0, 0.0, 0.0], position, [[0.0, 0.0, 0.0], [0.0, 1.0, 0.2], [-0.6, 0.0, 0.0]])
    if kind == "at rest":
        return ParticleTorch.from_tensors([5.0, 4.0, 3.0], [[1.0, -1.0], [-2.0, -1.0], [1.0, 3.0]], torch.zeros(3, 2))
    if kind == "in units":  # of a galaxy, in metres and kilograms
        position, velocity = [[-3e19, 1e18], [3e19, -2e18]], [[1e4, -9e4], [1e4, 8e4]]
        return ParticleTorch.from_tensors([2e40, 3e40], position, velocity, G=6.674e-11)
    return ParticleTorch.from_tensors([1.0, 2.0], [[0.0, 0.0], [3.0, 0.0]], [[0.0, 2.0], [0.0, -2.0]])  # unbound


@pytest.mark.parametrize("kind", ["star", "at rest", "in units", "unbound"])
@pytest.mark.parametrize("criterion", [*CLASSICAL, "invariant", "basic", "rich"])
def test_special_systems_are_the_same_in_both_engines(kind, criterion):
    start = special(kind)
    if criterion in CLASSICAL:
        rule = CLASSICAL[criterion]("leapfrog")
        if criterion == "constant" and kind == "in units":
            rule = Constant(1e12)
    else:
        rule = one_network(start, features=(criterion, 0))
    runs = (simulate(start, steps=STEPS, criterion=Symmetrized(rule), engine=engine) for engine in ("compiled", "reference"))
    assert_same_run(start, *runs)


def test_wrappers_at_their_limits_are_the_same_in_both_engines():
    """Huayno where the step grows faster than time (dt = 2 tau), a trial that ends in one place for both bodies."""
    leaving = ParticleTorch.from_tensors([1.0, 2.0], [[0.0, 0.0], [0.4, 0.0]], [[-2.0, 1.0], [1.0, -0.5]])
    meeting = ParticleTorch.from_tensors([4.0, 4.0], [[-1.0, 0.0], [1.0, 0.0]], [[-0.5, 0.0], [0.5, 0.0]])
    for start, criterion in ((leaving, Huayno(FreeFall(3.0))), (meeting, Limited(HutMakinoMcMillan(Constant(1.0), 2), 0.5))):
        ours, theirs = (simulate(start, steps=3, criterion=criterion, engine=engine) for engine in ("compiled", "reference"))
        assert_same_run(start, ours, theirs)
    assert ours.status == ("non_finite",)
    first = simulate(leaving, steps=1, criterion=Huayno(FreeFall(3.0)), engine="compiled").dt_max
    torch.testing.assert_close(first, 2 * FreeFall(3.0).step_size(leaving, None), rtol=1e-12, atol=0)


def test_a_network_without_hidden_layers_is_the_same_in_both_engines():
    start = bodies(2)
    step = LearnedStep(FullyConnectedNN(11, (), seed=1), ModelAdapter(Config(feature_type="basic", seed=1, device="cpu")))
    assert_same_run(
        start, *(simulate(start, steps=STEPS, criterion=step, engine=engine) for engine in ("compiled", "reference"))
    )


def one_network(start: ParticleTorch, **changes) -> LearnedStep:
    given = {"features": ("basic", 0), "activation": "tanh", "depth": 2, "fourier": 0, "scaled": True, "tol": None}
    return network(start, SimpleNamespace(**{**given, "integrator": "leapfrog", **changes}))


@pytest.mark.parametrize("features", EVEN + LOOKING_BACK, ids=str)
def test_steps_of_the_networks_compared_do_follow_what_they_look_at(features):
    """What the comparison above is worth: in 20 steps dt changes by more than 0.3 %."""
    start = bodies(2)
    r = simulate(start, steps=STEPS, criterion=one_network(start, features=features), engine="compiled")
    assert (r.dt_max / r.dt_min).median().item() > 1.003


@pytest.mark.parametrize("features", ["basic", "invariant"])
@pytest.mark.parametrize("above", [1.0, 10.0])
def test_every_step_that_the_ceiling_cut_is_counted(features, above):
    """Also where dt times ceiling over dt, rounded, is a bit less than the ceiling."""
    start = bodies(2)
    step = one_network(start, features=(features, 0))
    ceiling = step.adapter.observe(start).ceiling
    with torch.no_grad():
        step.model.log_dt.bias.add_(torch.log(above * ceiling / step.step_size(start, step.init(start))).median() / LOG_GAIN)
    ours, theirs = (simulate(start, steps=STEPS, criterion=step, engine=engine) for engine in ("compiled", "reference"))
    capped = ours.reports["steps_at_ceiling"]
    assert torch.equal(capped, theirs.reports["steps_at_ceiling"])
    assert 0 < capped.sum().item() < 5 * STEPS if above == 1.0 else capped.tolist() == [STEPS] * 5


def test_dropout_is_not_active_in_either_engine():
    start, given = bodies(2), {"feature_type": "basic", "history_len": 0, "dropout": 0.5, "seed": 2, "device": "cpu"}
    config = Config(**given)
    model = FullyConnectedNN(11, dropout=0.5, seed=2)
    step = LearnedStep(model.train(), ModelAdapter(config))
    assert_same_run(
        start, *(simulate(start, steps=STEPS, criterion=step, engine=engine) for engine in ("compiled", "reference"))
    )


@pytest.mark.parametrize("kind", ["freefall", "energybudget", "invariant", "basic"])
def test_a_number_for_each_system_stays_with_its_system(kind):
    start, numbers = bodies(2), torch.tensor([0.01, 0.02, 0.03, 0.05, 0.08], dtype=torch.float64)
    made = {
        "freefall": lambda x: FreeFall(x),
        "energybudget": lambda x: EnergyBudget(x**2),
        "invariant": lambda x: one_network(start, features=("invariant", 0)).at_tolerance(x**2),
        "basic": lambda x: one_network(start).at_tolerance(x**3),
    }[kind]
    sweep = made(numbers)
    ours, theirs = (simulate(start, steps=STEPS, criterion=sweep, engine=engine) for engine in ("compiled", "reference"))
    assert_same_run(start, ours, theirs)
    for b in (1, 4):
        alone = simulate(start.select(torch.tensor([b])), steps=STEPS, criterion=made(numbers[b].item()), engine="compiled")
        assert torch.equal(alone.final.position[0], ours.final.position[b])


def test_the_integrator_of_a_run_need_not_be_the_one_that_the_criterion_was_made_for():
    start = bodies(3)
    for criterion, integrator in (
        (EnergyBudget(1e-8, "kahan_li6"), "suzuki4"),
        (one_network(start, integrator="kahan_li8"), "leapfrog"),
    ):
        runs = (
            simulate(start, steps=STEPS, criterion=criterion, integrator=integrator, engine=e)
            for e in ("compiled", "reference")
        )
        assert_same_run(start, *runs)


def test_the_work_of_a_moving_field_is_left_out_of_the_error_in_both_engines():
    start = bodies(3, field=tidal(M=5.0, R0=4.0, period=3.0))
    ours, theirs = (simulate(start, steps=40, criterion=Constant(0.02), engine=engine) for engine in ("compiled", "reference"))
    assert_same_run(start, ours, theirs)
    moved = (ours.final.total_energy() - start.total_energy()).abs() / start.total_energy().abs()
    assert (moved > 20 * ours.final_energy_error).all()
    assert ours.momentum_error is None


# ---- always the same bits -------------------------------------------------------------------------------------------
PLANS = {
    "leapfrog": lambda p: (Symmetrized(FreeFall(0.03)), "leapfrog"),
    "kahan_li8": lambda p: (Limited(Symmetrized(EnergyBudget(1e-12, "kahan_li8")), 1e-3), "kahan_li8"),
    "hmm": lambda p: (HutMakinoMcMillan(Tidal(1e-3), 2, "suzuki4"), "suzuki4"),
    "huayno": lambda p: (Huayno(Boekholt(0.02)), "kahan_li6"),
    "aarseth": lambda p: (Aarseth(0.01), "hermite4"),
    "logh": lambda p: (EnergyBudget(1e-4), "logh"),
    "radau15": lambda p: (PRS23(0.1), "radau15"),
    "invariant": lambda p: (Symmetrized(one_network(p, features=("invariant", 0))), "leapfrog"),
    "delta_mag": lambda p: (one_network(p, features=("delta_mag", 3)), "suzuki4"),
    "rich": lambda p: (one_network(p, features=("rich", 1), fourier=5), "leapfrog"),
}
OF_ONE = [name for name in NUMBERS if "momentum" not in name]  # momentum is summed over absent bodies too, to other last bits


@pytest.mark.parametrize("plan", PLANS)
def test_a_batch_gives_the_bits_of_its_systems_on_any_number_of_threads(plan, same_bits, same_result):
    start = bodies(3)
    criterion, integrator = PLANS[plan](start)
    given = {"steps": 100, "criterion": criterion, "integrator": integrator, "engine": "compiled"}
    together = simulate(start, threads=1, **given)
    assert together.status == ("ok",) * 5
    assert same_result(simulate(start, threads=2, **given), together)
    for b in range(len(start)):
        present = start.mask[b]
        alone = simulate(start.select(torch.tensor([b])), **given)
        tensors = {k: x[b : b + 1, present] if x.ndim > 1 else x[b : b + 1] for k, x in start.tensors().items()}
        compact = simulate(ParticleTorch.from_tensors(**tensors), **given)
        for one, where in ((alone, slice(None)), (compact, present)):
            assert same_bits(one.final.position[0], together.final.position[b, where])
            assert same_bits(one.final.velocity[0], together.final.velocity[b, where])
            assert all(same_bits(getattr(one, name), getattr(together, name)[b : b + 1]) for name in OF_ONE)
            assert same_bits(one.closest_approach.distance, together.closest_approach.distance[b : b + 1])


@pytest.mark.parametrize("plan", PLANS)
def test_many_short_turns_give_the_bits_of_one_long_one(plan, same_result, monkeypatch):
    """Turns of 64 steps, then of 8, then of 1."""
    start = bodies(2)
    criterion, integrator = PLANS[plan](start)
    seen: list = []
    given = {"steps": 130, "criterion": criterion, "integrator": integrator, "engine": "compiled", "progress": seen.append}
    at_once = simulate(start, **given)
    assert len(seen) <= 3
    monkeypatch.setattr(compiled, "TURN", 1e-9)
    in_turns = simulate(start, **given)
    assert len(seen) > 40
    assert same_result(in_turns, at_once)


# ---- many bodies ----------------------------------------------------------------------------------------------------
def crowd(n: int, seed: int = 0) -> ParticleTorch:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return ParticleTorch.from_tensors(torch.exp(draw(n)) / n, draw(n, 3), 0.5 * draw(n, 3), softening=0.02)


@pytest.mark.parametrize("n", [191, 192, 250])
def test_forces_of_many_bodies_are_those_of_the_reference_on_any_number_of_threads(n, same_result):
    """From 192 bodies on the pair sum is made of 16 chunks: their sums, those over pairs, and the nearest pair."""
    start = crowd(n)
    for criterion in (EnergyBudget(1e-3), one_network(start, features=("invariant", 0))):
        given = {"steps": 2, "criterion": criterion}
        theirs = simulate(start, **given, engine="reference")
        ours = simulate(start, **given, engine="compiled", threads=1)
        assert_same_run(start, ours, theirs)
        assert same_result(simulate(start, **given, engine="compiled", threads=2), ours)
    nearest = torch.cdist(start.position[0], start.position[0]).fill_diagonal_(torch.inf)
    assert ours.closest_approach.distance.item() <= nearest.min().item() * (1 + 1e-12)
    i, j = divmod(int(nearest.argmin()), n)
    assert set(ours.closest_approach.pair[0].tolist()) == {i, j}


ON_THREADS = """
import torch
from aitimestepper import FreeFall, ParticleTorch, simulate

torch.set_num_threads(1)
x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
simulate(ParticleTorch.from_tensors(1.0, x, 0 * x), steps=2, criterion=FreeFall(), engine="compiled", threads=2)
print(torch.get_num_threads())
"""


def test_a_run_on_threads_leaves_those_of_torch_alone():
    """numba's OpenMP layer sets the threads of the library that torch shares: small products took 90 us then, not 2."""
    done = subprocess.run([sys.executable, "-c", ON_THREADS], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "1\n"


def test_accelerations_of_a_crowd_agree_body_by_body():
    """One step of 1e-3 from rest is the acceleration: 1e-12 of it for each body, not of the largest one."""
    start = crowd(230)
    still = ParticleTorch.from_tensors(start.mass, start.position, torch.zeros_like(start.velocity), softening=0.02)
    ours, theirs = (simulate(still, steps=1, criterion=Constant(1e-3), engine=e).final for e in ("compiled", "reference"))
    size = theirs.velocity.norm(dim=-1)
    assert ((ours.velocity - theirs.velocity).norm(dim=-1) / size).max() < 1e-12


def test_few_bodies_among_many_absent_ones(padded, same_bits):
    """Room for 200, 20 bodies: no chunks; a batch of both kinds takes its systems one by one."""
    few, many = crowd(20), crowd(200, 1)
    given = {"steps": 3, "criterion": FreeFall(0.02), "engine": "compiled", "threads": 1}
    alone = simulate(few, **given)
    assert same_bits(simulate(padded(few, 200), **given).final.position[:, :20], alone.final.position)
    both = simulate(ParticleTorch.stack([few, many]), **given)
    assert same_bits(both.final.position[:1, :20], alone.final.position)
    assert same_bits(both.final.position[1:], simulate(many, **given).final.position)


# ---- what is not compiled -------------------------------------------------------------------------------------------
class Own(FreeFall):
    """A subclass may do anything: it is never taken for what it comes from."""

    name = "own"

    def step_size(self, particle, memory):
        return 0.5 * super().step_size(particle, memory)


class OwnNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(11, 2, dtype=torch.float64)

    def forward(self, x):
        return torch.exp(0.01 * self.layer(torch.tanh(x)) - 4)


class OwnField:
    time_dependent = False

    def acceleration(self, x, t):
        return -0.1 * x

    def potential(self, x, t):
        return 0.05 * (x * x).sum(-1)


class OwnAdapter(ModelAdapter):
    def build_feature_tensor(self, particle, history_buffer=None):
        return 1.5 * super().build_feature_tensor(particle, history_buffer)


def own_adapter(start: ParticleTorch) -> LearnedStep:
    step = one_network(start)
    return LearnedStep(step.model, OwnAdapter(step.adapter.config))


def own_network(start: ParticleTorch) -> LearnedStep:
    return LearnedStep(OwnNetwork(), one_network(start).adapter)


def in_single_precision(start: ParticleTorch) -> LearnedStep:
    step = one_network(start)
    return LearnedStep(step.model.float(), step.adapter)


def around_a_moving_mass() -> PointMassTidalField:
    return PointMassTidalField(1.0, R_of_t=lambda t: torch.stack([5 + t, torch.ones_like(t)], -1))


NOT_COMPILED = {
    "own criterion": (lambda p: Own(0.03), {}, r"the criterion own\(0.03\) has parts that are not compiled"),
    "wrapped own criterion": (lambda p: Symmetrized(Own(0.03)), {}, r"the criterion symmetrized\(own\(0.03\)\) has parts"),
    "own network": (own_network, {}, "the criterion learned has parts that are not compiled"),
    "own features": (own_adapter, {}, "the criterion learned has parts that are not compiled"),
    "network in float32": (in_single_precision, {}, "the criterion learned has parts that are not compiled"),
    "another integrator on trial": (
        lambda p: HutMakinoMcMillan(FreeFall(), integrator="suzuki4"),
        {"integrator": "kahan_li6"},
        "the criterion hmm",
    ),
    "float32": (lambda p: FreeFall(0.03), {"dtype": torch.float32}, "the bodies are float32, it knows float64 only"),
    "own field": (
        lambda p: FreeFall(0.03),
        {"external_field": OwnField()},
        "the outer field is not a tidal one with a fixed or circling",
    ),
    "moving field": (
        lambda p: FreeFall(0.03),
        {"external_field": around_a_moving_mass()},
        "the outer field is not a tidal one",
    ),
    "observer": (lambda p: FreeFall(0.03), {"observer": lambda *seen: None}, "an observer wants to see each step"),
}


@pytest.mark.parametrize("kind", NOT_COMPILED)
def test_what_is_not_compiled_runs_in_torch_and_the_compiled_engine_says_why_not(kind, tmp_path):
    make, given, why = NOT_COMPILED[kind]
    start = bodies(2)
    criterion = make(start)
    given = dict(given)
    start = start.to(dtype=given.pop("dtype", None))
    run = {"steps": 3, "criterion": criterion, **given}
    assert simulate(start, **run).engine == "reference"
    with pytest.raises(
        ConfigError, match=f"^engine = compiled needs the compiled engine, which cannot do this run: {why}.*[.]$"
    ):
        simulate(start, **run, engine="compiled")
    for more, what in (
        ({"guard": True}, "output, guard and sinks"),
        ({"output": tmp_path / "run.h5"}, "output, guard and sinks"),
    ):
        with pytest.raises(ConfigError, match=f"^{what} needs the compiled engine, which cannot do this run: {why}"):
            simulate(start, **run, **more)
    assert not list(tmp_path.iterdir())
    if "integrator" not in given:
        with pytest.raises(ConfigError, match=f"integrator = hermite4 (needs the compiled engine.*{why}|knows no outer field)"):
            simulate(start, **run, integrator="hermite4")


def test_engines_by_name():
    start = bodies(2)
    assert simulate(start, steps=1, criterion=FreeFall()).engine == "compiled"
    assert simulate(start, steps=1, criterion=FreeFall(), engine="reference").engine == "reference"
    with pytest.raises(ConfigError, match="engine = 'fast' must be one of auto, compiled, reference"):
        simulate(start, steps=1, criterion=FreeFall(), engine="fast")
    with pytest.raises(
        ConfigError, match="integrator = logh needs the compiled engine, which cannot do this run: engine = reference"
    ):
        simulate(start, steps=1, criterion=FreeFall(), engine="reference", integrator="logh")
