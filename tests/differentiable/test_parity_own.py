"""Criteria and fields of one's own in both forms of the physics, and sentences about what only one of the two can do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from parity import STEPS, WRAPPERS, assert_same_run, bodies, both, first_steps, one_network
from torch import nn

from aitimestepper import differentiable
from aitimestepper.criteria.classical import EnergyBudget, FreeFall
from aitimestepper.criteria.own import OwnCriterion
from aitimestepper.criteria.wrappers import HutMakinoMcMillan, Symmetrized
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import ConfigError, InitialConditionError, SlowPythonWarning
from aitimestepper.fields import OwnField, PointMassTidalField, tidal
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.kernels import callbacks as compiled

pytestmark = pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")


# ---- criteria -----------------------------------------------------------------------------------------------------------
def freefall(time, mass, x, v, a, value):
    """The formula of `FreeFall`, without softening, for G = 1."""
    i, j = np.triu_indices(len(mass), 1)
    rate2 = (mass[i] + mass[j]) / ((x[i] - x[j]) ** 2).sum(-1) ** 1.5
    return value / (rate2**2).sum() ** 0.25


def by_acceleration(time, mass, x, v, a, value):
    """A step that follows time, velocities and accelerations, even in the velocities."""
    return value * (1.0 + 0.3 * np.sin(5.0 * time)) * np.sqrt((v * v).sum() / (a * a).sum())


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("axes", [2, 3])
def test_a_function_of_ones_own_is_the_criterion_that_it_computes(wrapper, axes):
    start = bodies(axes).replace(softening=0.0)
    low, high = np.median(first_steps(start, FreeFall(0.04))) * np.array([0.95, 1.05])
    own, packaged = (WRAPPERS[wrapper](c, "leapfrog", low, high) for c in (OwnCriterion(freefall, 0.04), FreeFall(0.04)))
    ours, theirs = both(start, own)
    assert_same_run(start, ours, theirs)
    rule = simulate(start, steps=STEPS, criterion=packaged)
    assert_same_run(start, dataclasses.replace(ours, criterion=rule.criterion), rule)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("field", [None, tidal(M=2.0, R0=6.0, period=2.0, phase=0.4)], ids=["alone", "circling"])
def test_a_function_of_ones_own_gets_the_same_state_in_both(wrapper, field):
    """It gets time, velocities and accelerations, also of trial states that are not those of the run."""
    start = bodies(3, field=field)
    own = OwnCriterion(by_acceleration, [0.02, 0.01, 0.03, 0.02, 0.015])
    low, high = np.median(first_steps(start, own)) * np.array([0.95, 1.05])
    ours, theirs = both(start, WRAPPERS[wrapper](own, "suzuki4", low, high), integrator="suzuki4")
    assert_same_run(start, ours, theirs)
    assert len(set(ours.dt_min.tolist())) > 1 or wrapper.endswith("limited")


# ---- fields -------------------------------------------------------------------------------------------------------------
class Harmonic:
    """A spring to the origin, in operators that arrays and tensors share."""

    time_dependent = False

    def acceleration(self, x, t):
        return -0.3 * x

    def potential(self, x, t):
        return 0.15 * (x * x).sum(-1)


class Tightening:
    """A spring that grows stiffer with time."""

    time_dependent = True

    def stiffness(self, t):
        return 0.3 + 0.5 * t * t * t

    def acceleration(self, x, t):
        return -self.stiffness(t)[:, None, None] * x

    def potential(self, x, t):
        return 0.5 * self.stiffness(t)[:, None] * (x * x).sum(-1)


class WithRate(Tightening):
    def potential_rate(self, x, t):
        return 0.75 * (t * t)[:, None] * (x * x).sum(-1)


FIELD_RULES = {
    "freefall": lambda p: (FreeFall(0.04), "kahan_li6"),
    "energybudget": lambda p: (Symmetrized(EnergyBudget(1e-5)), "suzuki4"),
    "hmm": lambda p: (HutMakinoMcMillan(EnergyBudget(1e-3), 2), "leapfrog"),
    "invariant": lambda p: (one_network(p, features=("invariant", 0)), "leapfrog"),
    "delta_mag": lambda p: (one_network(p, features=("delta_mag", 2)), "leapfrog"),
}


@pytest.mark.parametrize("rule", FIELD_RULES)
@pytest.mark.parametrize("field", [Harmonic(), WithRate(), Tightening()], ids=lambda f: type(f).__name__)
def test_a_field_of_ones_own_is_the_same_in_both(field, rule):
    """The rate of a potential is a derivative in torch; in the engine it is the field's own, or a difference, to 3e-10 of S."""
    start = bodies(3, field=field)
    criterion, integrator = FIELD_RULES[rule](start)
    ours, theirs = both(start, criterion, integrator=integrator)
    assert_same_run(start, ours, theirs, energy=1e-9 if type(field) is Tightening else 1e-13)
    alone = simulate(start.replace(external_field=None), steps=STEPS, criterion=criterion, integrator=integrator)
    assert np.abs(alone.final.position - ours.final.position).max() > 1e-3


# ---- what only one of them can do ---------------------------------------------------------------------------------------
class Network(nn.Module):
    """A network of the user's own, which is possible in torch only."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(11, 2, dtype=torch.float64)

    def forward(self, x):
        return torch.exp(0.01 * self.layer(torch.tanh(x)) - 4)


class OwnAdapter(ModelAdapter):
    def build_feature_tensor(self, particle, history_buffer=None):
        return 1.5 * super().build_feature_tensor(particle, history_buffer)


class HalfFreeFall(FreeFall):
    """A subclass may mean anything: it is never taken for what it comes from."""


def network_of_ones_own(start):
    return differentiable.LearnedModule(Network(), ModelAdapter.of_model(one_network(start).model))


def features_of_ones_own(start):
    step = module_for(one_network(start))
    return differentiable.LearnedModule(step.network, OwnAdapter(step.adapter.config, "cpu"))


@pytest.mark.parametrize("make", [network_of_ones_own, features_of_ones_own, lambda p: module_for(FreeFall())])
def test_step_modules_run_in_torch_and_the_engine_says_what_it_takes(make):
    start = bodies(2)
    module = make(start)
    assert differentiable.simulate(start, steps=3, criterion=module).status == ("ok",) * 5
    with pytest.raises(ConfigError, match=rf"^{type(module).__name__} is no criterion: give one such as .*[.]$"):
        simulate(start, steps=3, criterion=module)


def test_a_criterion_of_an_unknown_kind_is_refused_by_both():
    start = bodies(2)
    for criterion in (HalfFreeFall(0.03), Symmetrized(HalfFreeFall(0.03))):
        with pytest.raises(ConfigError, match=r"^HalfFreeFall is no criterion of the engine: give .*[.]$"):
            simulate(start, steps=3, criterion=criterion)
        with pytest.raises(ConfigError, match=r"^the criterion freefall.* has no form in torch: write a StepModule .*[.]$"):
            differentiable.simulate(start, steps=3, criterion=criterion)


def test_fields_of_tensors_alone_run_in_torch_and_those_of_c_in_the_engine():
    start = bodies(2)
    of_tensors = PointMassTidalField(1.0, R_of_t=lambda t: torch.stack([5 + t, torch.ones_like(t)], -1))
    particle = ParticleTorch.from_bodies(start).set_external_field(of_tensors)
    assert differentiable.simulate(particle, steps=3, criterion=FreeFall()).status == ("ok",) * 5
    why = "^the external field PointMassTidalField does not take NumPy arrays .* share[.]$"
    with pytest.raises(InitialConditionError, match=why):
        simulate(particle, steps=3, criterion=FreeFall())


def test_compiled_functions_are_refused_in_torch():
    start = bodies(2)

    @compiled.criterion
    def constant(n, t, mass, x, v, a, value):
        return value

    criterion = OwnCriterion(constant, 0.01)
    assert simulate(start, steps=3, criterion=criterion).dt_max.tolist() == [0.01] * 5
    with pytest.raises(ConfigError, match=r"is compiled code, which knows no tensors: give a Python function[.]$"):
        differentiable.simulate(start, steps=3, criterion=criterion)

    @compiled.field
    def nothing(n, t, x, a, phi, rate):
        pass

    field = OwnField(nothing)
    assert simulate(start, steps=3, criterion=FreeFall(), external_field=field).status == ("ok",) * 5
    with pytest.raises(InitialConditionError, match=r"^the external field OwnField does not take torch tensors .* share[.]$"):
        differentiable.simulate(start, steps=3, criterion=FreeFall(), external_field=field)


@pytest.mark.parametrize("integrator", ["hermite4", "hermite4:n=3", "logh", "radau15"])
def test_the_loop_in_torch_takes_splittings_only(integrator):
    start = bodies(2)
    assert simulate(start, steps=3, criterion=FreeFall(0.01), integrator=integrator).status == ("ok",) * 5
    with pytest.raises(ConfigError, match=rf"^integrator = {integrator}: the loop in torch takes splittings only; give .*[.]$"):
        differentiable.simulate(start, steps=3, criterion=FreeFall(0.01), integrator=integrator)


def test_single_precision_is_kept_in_torch_and_widened_in_the_engine():
    single = ParticleTorch.from_bodies(bodies(2), dtype=torch.float32)
    ours, theirs = both(single, FreeFall(0.04))
    double = single.to(dtype=torch.float64).to_bodies()
    assert np.array_equal(ours.final.position, simulate(double, steps=STEPS, criterion=FreeFall(0.04)).final.position)
    assert np.array_equal(theirs.final.position, theirs.final.position.astype(np.float32))
    np.testing.assert_allclose(theirs.final.position, ours.final.position, rtol=0, atol=1e-4)


def test_python_functions_in_the_engine_say_that_they_are_slow():
    start = bodies(2)
    for given in ({"criterion": OwnCriterion(freefall, 0.04)}, {"criterion": FreeFall(), "external_field": Harmonic()}):
        with pytest.warns(SlowPythonWarning, match=r"runs in Python, about ten microseconds a call"):
            simulate(start, steps=1, **given)
