"""Systems, criteria, networks and runs in both forms of the physics for the parity tests, and their comparison."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from aitimestepper import differentiable
from aitimestepper.bodies import Bodies
from aitimestepper.config import Config
from aitimestepper.constants import LOG_GAIN
from aitimestepper.criteria.base import Criterion
from aitimestepper.criteria.classical import PRS23, Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.features import measure_scales
from aitimestepper.differentiable.network import FullyConnectedNN, build_network, model_from, network_from
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.fields import tidal
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.result import SimulationResult

STEPS = 20
CLASSICAL = {
    "constant": lambda integrator: Constant(0.011),
    "freefall": lambda integrator: FreeFall(0.04),
    "hutmakino": lambda integrator: HutMakino(0.03),
    "boekholt": lambda integrator: Boekholt(0.03),
    "tidal": lambda integrator: Tidal(1e-3),
    "aarseth": lambda integrator: Aarseth(0.003),
    "prs23": lambda integrator: PRS23(0.04),
    "energybudget": lambda integrator: EnergyBudget(0.02 ** SPLITTINGS[integrator].order),
}
WRAPPERS = {
    "bare": lambda c, integrator, low, high: c,
    "symmetrized": lambda c, integrator, low, high: Symmetrized(c),
    "limited": lambda c, integrator, low, high: Limited(c, low, high),
    "limited symmetrized": lambda c, integrator, low, high: Limited(Symmetrized(c, max_ratio=1.005), low, high),
    "symmetrized limited": lambda c, integrator, low, high: Symmetrized(Limited(c, low, high)),
    "smooth": lambda c, integrator, low, high: Symmetrized(c, smoothness=1.0005),
    "huayno": lambda c, integrator, low, high: Huayno(c),
    "hmm": lambda c, integrator, low, high: Limited(HutMakinoMcMillan(c, 1 if integrator == "kahan_li8" else 2), 0.5 * low),
}
RUNS = {
    "integrator": tuple(SPLITTINGS),
    "axes": (2, 3),
    "G": (1.0, 2.5),
    "field": ("alone", "tide", "circling"),
    "end": ("steps", "time"),
}


# ---- combinations -------------------------------------------------------------------------------------------------------
def covering(seed: int, **factors: tuple) -> list[SimpleNamespace]:
    """Return rows that have each pair of levels of any two factors at least once (greedy: the best of 100 random rows)."""
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
    """Return about what the run in torch costs; the power of a moving field is a derivative by autograd."""
    stages = SPLITTINGS[row["integrator"]].stages
    return stages * (4 if row["field"] == "circling" else 1) * (3 if row.get("wrapper") == "hmm" else 1)


def name_of(row: SimpleNamespace) -> str:
    return "-".join(str(x).replace(" ", "_") for x in vars(row).values())


# ---- systems ------------------------------------------------------------------------------------------------------------
def bodies(axes: int, G: float = 1.0, field: Any = None) -> Bodies:
    """Return five systems in one batch: 2 to 5 bodies in any of 6 slots, with masses equal, 1 : 1e-6 or 0, some softened."""
    rng = np.random.default_rng(axes)
    systems = (  # masses, places, softening, time
        ((1.0, 1.0, 1.0), (0, 2, 5), 0.0, 0.0),
        ((1.0, 1e-6, 1e-6, 3e-6), (1, 2, 3, 4), 0.0, 0.3),
        ((0.7, 0.4, 0.0), (0, 1, 2), 0.0, -1.0),
        ((0.3, 0.2, 0.5, 0.6, 0.1), (0, 1, 3, 4, 5), 0.2, 0.0),
        ((0.9, 0.1), (3, 5), 0.05, 0.1),
    )
    mass, present = np.zeros((5, 6)), np.zeros((5, 6), dtype=bool)
    position, velocity = np.zeros((2, 5, 6, axes))
    for b, (masses, places, _, _) in enumerate(systems):
        n, at = len(masses), list(places)
        angle = 2 * math.pi * np.arange(n) / n + b
        radius = 0.5 + 0.25 * np.arange(n)
        mass[b, at], present[b, at] = masses, True
        position[b, at, 0], position[b, at, 1] = radius * np.cos(angle), radius * np.sin(angle)
        velocity[b, at, 0], velocity[b, at, 1] = -0.4 * np.sin(angle), 0.4 * np.cos(angle)
        if axes == 3:
            position[b, at, 2] = 0.2 * np.cos(3 * angle)
        velocity[b, at] += 0.1 * rng.normal(size=(n, axes))
    softening, time = ([s[k] for s in systems] for k in (2, 3))
    given = {"present": present, "softening": softening, "time": time, "G": G, "external_field": field}
    return Bodies(mass, position, velocity * math.sqrt(G), **given)


def start_of(row: SimpleNamespace) -> Bodies:
    field = {
        "alone": None,
        "tide": tidal(M=2.0, R0=6.0, G=row.G),
        "circling": tidal(M=2.0, R0=6.0, period=2.0, phase=0.4, G=row.G),
    }
    return bodies(row.axes, row.G, field[row.field])


def crowd(n: int, seed: int = 0) -> Bodies:
    """Return one system of n bodies of unequal masses."""
    rng = np.random.default_rng(seed)
    return Bodies(np.exp(rng.normal(size=n)) / n, rng.normal(size=(n, 3)), 0.5 * rng.normal(size=(n, 3)), softening=0.02)


def among_massless(n: int, massive: int, softening: float = 0.0, seed: int = 0) -> Bodies:
    """Return one system of n bodies, all but `massive` of them without mass, in random order."""
    rng = np.random.default_rng([n, massive, seed])
    mass = rng.permutation(np.where(np.arange(n) < massive, np.exp(rng.normal(size=n)), 0.0))
    return Bodies(mass, rng.normal(size=(n, 3)), 0.5 * rng.normal(size=(n, 3)), softening=softening, G=1.3)


# ---- networks -----------------------------------------------------------------------------------------------------------
def network(start: Bodies, row: SimpleNamespace, dtype: str = "float64") -> LearnedStep:
    """Return an untrained network whose steps are about 0.015 and follow its inputs."""
    feature_type, K = row.features
    shape = {"layers": (12, 20, 7)[: row.depth], "activation": row.activation, "fourier_features": row.fourier}
    given = {"feature_type": feature_type, "history_len": K, "integrator": row.integrator, "normalize": row.scaled}
    config = Config(**given, **shape, seed=len(name_of(row)), G=start.G, fourier_scale=0.3, dtype=dtype)
    scales = measure_scales(ParticleTorch.from_bodies(start)) if row.scaled else None
    untrained = build_network(config)
    with torch.no_grad():
        untrained.log_dt.weight *= 40.0
    step = LearnedStep(model_from(untrained, config, scales), row.tol)
    for _ in range(3):
        step = longer(step, 0.015 / np.median(first_steps(start, step)))
    return step


def one_network(start: Bodies, **changes: Any) -> LearnedStep:
    given = {"features": ("basic", 0), "activation": "tanh", "depth": 2, "fourier": 0, "scaled": True, "tol": None}
    dtype = changes.pop("dtype", "float64")
    return network(start, SimpleNamespace(**{**given, "integrator": "leapfrog", **changes}), dtype)


def changed(step: LearnedStep, change: Callable[[FullyConnectedNN], Any], **card: Any) -> LearnedStep:
    """Return the learned step of a network after `change` of it, in place; `card` adds to the model's card."""
    model = step.model
    other = network_from(model)
    with torch.no_grad():
        change(other)
    return LearnedStep(model_from(other, model.config, model.scales, {**model.card, **card}), step.tol)


def longer(step: LearnedStep, factor: float) -> LearnedStep:
    """Return the learned step with dt multiplied by about `factor`."""
    return changed(step, lambda net: net.log_dt.bias.add_(math.log(factor) / LOG_GAIN))


# ---- runs ---------------------------------------------------------------------------------------------------------------
def first_steps(start: Bodies, criterion: Criterion, integrator: str = "leapfrog") -> np.ndarray:
    """Return the first step (B,) that a criterion chooses, computed in torch."""
    module, particle = module_for(criterion, integrator), ParticleTorch.from_bodies(start)
    return module.choose(particle, module.init(particle))[0].numpy()


def wrapped(row: SimpleNamespace, criterion: Criterion, start: Bodies) -> Criterion:
    """Put the wrapper of a row around a criterion, with limits that some of the systems want to leave on either side."""
    dt = np.median(first_steps(start, criterion, row.integrator))
    return WRAPPERS[row.wrapper](criterion, row.integrator, 0.95 * dt, 1.05 * dt)


def both(start: Bodies, criterion: Criterion, **given: Any) -> tuple[SimulationResult, SimulationResult]:
    """Return the same run by the compiled engine and by the loop in torch; 20 steps unless more is `given`."""
    if not {"steps", "t_end"} & set(given):
        given["steps"] = STEPS
    return simulate(start, criterion=criterion, **given), differentiable.simulate(start, criterion=criterion, **given)


def both_of(row: SimpleNamespace, start: Bodies, criterion: Criterion) -> tuple[SimulationResult, SimulationResult]:
    """Return the run of a row in both forms: 20 steps, or until a time that some systems reach in fewer."""
    given: dict[str, Any] = {"integrator": row.integrator}
    if row.end == "time":
        first = first_steps(start, criterion, row.integrator)
        given |= {"t_end": np.maximum(np.median(start.time + 9.3 * first), start.time), "max_steps": STEPS}
    return both(start, criterion, **given)


# ---- what must agree ----------------------------------------------------------------------------------------------------
def assert_same_run(
    start: Bodies, ours: SimulationResult, theirs: SimulationResult, tol: float = 1e-12, energy: float = 1e-13
) -> None:
    """Check that both results agree: words and counts exactly, all else to `tol`.

    Places and speeds are compared relative to the size of the system, energy errors to `energy` times K + |U|.
    """
    for name in ("status", "criterion", "integrator"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("steps", "force_evaluations", "rejected_steps", "tol"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    for name in ("position", "velocity"):
        x, y, first = (getattr(p, name) for p in (ours.final, theirs.final, start))
        size = np.maximum(np.abs(first), np.abs(y)).max((1, 2))
        assert (np.abs(x - y).max((1, 2)) / size).max() < tol, name
        assert not x[~start.present].any()
        assert not y[~start.present].any()
    passed = np.abs(theirs.final.time - start.time) + theirs.dt_max
    assert (np.abs(ours.final.time - theirs.final.time) <= tol * passed).all()
    for name in ("dt_min", "dt_max"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tol, atol=0)
    summed = (start.kinetic_energy() + np.abs(start.potential_energy())) / start.energy_scale()
    for name in ("max_energy_error", "final_energy_error"):
        assert (np.abs(getattr(ours, name) - getattr(theirs, name)) <= energy * summed).all(), name
    for name in ("momentum_error", "angular_momentum_error"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine is other is None or np.abs(mine - other).max() < 10 * tol, name
    assert ours.reports.keys() == theirs.reports.keys()
    for name, values in theirs.reports.items():
        if values is None or ours.reports[name] is None:
            assert values is ours.reports[name] is None, name
            continue
        np.testing.assert_allclose(ours.reports[name], values, rtol=100 * tol, atol=0, err_msg=name)
