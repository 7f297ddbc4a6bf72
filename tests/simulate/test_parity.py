"""Two engines, one physics: whatever is compiled gives the numbers of the reference loop in torch, and always the same bits."""

from __future__ import annotations

import itertools
import math
import random
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from aitimestepper.config import ACTIVATIONS, Config
from aitimestepper.criteria.base import Limited, Symmetrized
from aitimestepper.criteria.classical import PRS23, Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.learned import LearnedStep, ModelAdapter
from aitimestepper.criteria.reversible import Huayno, HutMakinoMcMillan
from aitimestepper.errors import ConfigError
from aitimestepper.features import feature_count
from aitimestepper.integrators import COMPOSITIONS
from aitimestepper.model import LOG_GAIN, FullyConnectedNN
from aitimestepper.physics.external import PointMassTidalField, tidal
from aitimestepper.physics.particle import ParticleTorch
from aitimestepper.simulate import compiled
from aitimestepper.simulate.engine import simulate

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
    "limited symmetrized": lambda c, integrator, low, high: Limited(Symmetrized(c), low, high),
    "symmetrized limited": lambda c, integrator, low, high: Symmetrized(Limited(c, low, high)),
    "huayno": lambda c, integrator, low, high: Huayno(c),
    "hmm": lambda c, integrator, low, high: Limited(HutMakinoMcMillan(c, 2, integrator), 0.5 * low),
}
WORLD = {
    "integrator": tuple(COMPOSITIONS),
    "axes": (2, 3),
    "G": (1.0, 2.5),
    "field": ("alone", "tide", "circling"),
    "end": ("steps", "time"),
}
NETWORK = {"depth": (1, 2, 3), "fourier": (0, 5), "scaled": (True, False), "tol": (None, 3e-5)}


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
    """One that has not learned but does look: its steps are about 0.03 of the unit and follow its inputs."""
    feature_type, K = row.features
    shape = {"layers": (12, 20, 7)[: row.depth], "activation": row.activation, "fourier_features": row.fourier}
    given = {"feature_type": feature_type, "history_len": K, "integrator": row.integrator, "normalize": row.scaled}
    config = Config(**given, **shape, seed=5, device="cpu", G=start.G, fourier_scale=0.3)
    adapter = ModelAdapter(config)
    adapter.measure_scales(start)
    net = FullyConnectedNN(feature_count(feature_type, K), **shape_of(config), seed=len(name_of(row)))
    with torch.no_grad():
        net.log_dt.weight *= 6.0
        unit = adapter.tol ** (1 / COMPOSITIONS[row.integrator].order) if adapter.sees_tolerance else 1.0
        net.log_dt.bias.fill_(math.log(0.02 / unit) / LOG_GAIN)
    return LearnedStep(net, adapter, row.tol)


def shape_of(config: Config) -> dict:
    return {name: getattr(config, name) for name in ("layers", "activation", "fourier_features", "fourier_scale")}


def wrapped(row: SimpleNamespace, criterion, start: ParticleTorch):
    """Limits that some of the systems want to leave on either side."""
    dt = criterion.step_size(start, criterion.init(start))
    low, high = (0.95 * dt.median().item(), 1.05 * dt.median().item())
    return WRAPPERS[row.wrapper](criterion, row.integrator, low, high)


def both(start: ParticleTorch, row: SimpleNamespace, criterion):
    """(compiled, reference): 20 steps each, or until a time that some systems reach in fewer than 30."""
    until = {"steps": STEPS}
    if row.end == "time":
        first = criterion.step_size(start, criterion.init(start))
        until = {"t_end": (start.time + 12.3 * first).median().item(), "max_steps": 30}
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
    E0 = start.total_energy().abs()
    summed = (start.kinetic_energy() + (start.potential_energy() - start.kinetic_energy()).abs()) / E0
    for name in ("max_energy_error", "final_energy_error"):
        assert ((getattr(ours, name) - getattr(theirs, name)).abs() < 1e-13 * summed).all(), name
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


@pytest.mark.parametrize(
    "row", covering(2, features=EVEN, wrapper=tuple(WRAPPERS), activation=ACTIVATIONS[:4], **WORLD, **NETWORK), ids=name_of
)
def test_networks_choose_the_same_steps_in_both_engines(row):
    start = start_of(row)
    assert_same_run(start, *both(start, row, wrapped(row, network(start, row), start)))


@pytest.mark.parametrize(
    "row",
    covering(3, features=LOOKING_BACK, wrapper=("bare", "limited"), activation=ACTIVATIONS, **WORLD, **NETWORK),
    ids=name_of,
)
def test_networks_that_look_back_choose_the_same_steps_in_both_engines(row):
    start = start_of(row)
    assert_same_run(start, *both(start, row, wrapped(row, network(start, row), start)))
