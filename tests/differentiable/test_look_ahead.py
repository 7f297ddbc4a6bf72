"""Time-symmetric steps that look ahead: Huayno by the rate of change of the step, Hut, Makino & McMillan by steps on trial."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scripted import Begun, Counting, Function, Script, dt_of
from torch import nn

from aitimestepper.config import Config
from aitimestepper.criteria.classical import Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited
from aitimestepper.differentiable import particle as particle_module
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.gravity import dot
from aitimestepper.differentiable.learned import LearnedModule
from aitimestepper.differentiable.loop import simulate
from aitimestepper.differentiable.stepping import step
from aitimestepper.differentiable.wrappers import HuaynoModule, HutMakinoMcMillanModule, LimitedModule, SymmetrizedModule
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import SPLITTINGS

LOOK_AHEAD = pytest.mark.parametrize("wrapper", [HuaynoModule, HutMakinoMcMillanModule])


def ramp(rate):
    """tau = 0.01 + rate t: its rate of change is known, and the step ahead is known with it."""
    return Function(lambda p: 0.01 + rate * p.time)


# ---- by the rate of change ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rate", "factor"), [(0.0, 1.0), (0.5, 4 / 3), (0.9, 1 / 0.55), (1.5, 2.0), (40.0, 2.0), (-3.0, 0.4)])
def test_huayno_uses_the_rate_of_change_and_never_more_than_doubles_the_step(two_body, rate, factor):
    assert dt_of(HuaynoModule(ramp(rate)), two_body()).item() == pytest.approx(0.01 * factor, rel=1e-12, abs=0)


@pytest.mark.parametrize("anomaly", [0.5, 2.0, 5.0])
def test_huayno_of_a_free_fall_in_closed_form(two_body, anomaly):
    """tau = eta (r^3/M)^(1/2), dtau/dt = 3/2 tau (r.v)/r^2."""
    p = two_body(e=0.7, anomaly=anomaly)
    r, v = (x[0, 1] - x[0, 0] for x in (p.position, p.velocity))
    tau = 0.02 * r.norm() ** 1.5
    expected = tau / (1 - 0.75 * tau * (r @ v) / (r @ r))
    assert dt_of(module_for(Huayno(FreeFall(0.02))), p).item() == pytest.approx(expected.item(), rel=1e-9, abs=0)
    assert abs(expected / tau - 1).item() > 3e-3


def test_huayno_moves_the_velocities_with_the_acceleration(two_body):
    p = two_body(e=0.7, anomaly=2.0)
    rate = (0.02 * dot(p.velocity, p.get_acceleration())).sum()
    found = dt_of(HuaynoModule(Function(lambda p: 0.01 * dot(p.velocity, p.velocity).sum(1))), p)
    tau = 0.01 * dot(p.velocity, p.velocity).sum()
    assert found.item() == pytest.approx((tau / (1 - 0.5 * rate)).item(), rel=1e-10, abs=0)
    assert abs(found / tau - 1).item() > 1e-3


def test_a_rate_that_is_not_finite_counts_as_none(two_body):
    p = two_body(time=1.0)
    for elsewhere in (math.nan, math.inf):
        here = Function(lambda q, e=elsewhere: torch.where(q.time == 1.0, torch.full_like(q.time, 0.3), e))
        assert dt_of(HuaynoModule(here), p).item() == 0.3
    assert dt_of(HuaynoModule(Function(lambda q: 0.0 * q.time)), p).item() == 0.0


# ---- by steps on trial ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rate", [0.0, 0.4, -0.8])
@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
def test_hmm_iterates_the_mean_of_the_steps_here_and_there(two_body, rate, iterations):
    """With tau(t) = tau_0 + k t each iteration adds one term of the series of tau_0 / (1 - k/2)."""
    expected = 0.01 * sum((rate / 2) ** n for n in range(iterations + 1))
    found = dt_of(HutMakinoMcMillanModule(ramp(rate), iterations), two_body()).item()
    assert found == pytest.approx(expected, rel=1e-13, abs=0)


@pytest.mark.parametrize("inner", [FreeFall(0.1), Boekholt(0.1), Tidal(0.01), EnergyBudget(1e-2), Aarseth(0.01)])
def test_the_error_of_the_mean_falls_by_half_the_rate_an_iteration(two_body, inner):
    """dt = 1/2 (tau(s) + tau(s(dt))): every iteration multiplies what is missing by 1/2 dtau(s(dt))/d dt."""
    p = two_body(e=0.6, q=0.3, anomaly=2.0)
    tau = Begun(
        module_for(inner), module_for(inner).init(p)
    )  # EnergyBudget knows the energy at the start, where it looks ahead

    def there(dt):
        return dt_of(tau, step(p, dt))

    missing = []
    for iterations in (1, 2, 3, 12):
        dt = dt_of(module_for(HutMakinoMcMillan(inner, iterations)), p)
        missing.append((0.5 * (dt_of(tau, p) + there(dt)) - dt).item())
    h = 1e-4 * dt
    half_rate = ((there(dt + h) - there(dt - h)) / (4 * h)).item()
    assert abs(half_rate) > 3e-3
    assert missing[1] / missing[0] == pytest.approx(half_rate, rel=0.1)
    assert missing[2] / missing[1] == pytest.approx(half_rate, rel=0.1)
    assert abs(missing[3]) < 1e-15


@pytest.mark.parametrize("integrator", SPLITTINGS)
def test_the_trial_is_a_step_of_the_integrator_of_the_run(two_body, integrator):
    p, inner = two_body(e=0.6, anomaly=2.0), module_for(FreeFall(0.2))
    tau = dt_of(inner, p)
    expected = 0.5 * (tau + dt_of(inner, step(p, tau, integrator)))
    assert torch.equal(dt_of(module_for(HutMakinoMcMillan(FreeFall(0.2), 1), integrator), p), expected)


def test_huayno_is_the_mean_to_second_order(two_body, slope):
    """Relative distance of tau, and of Huayno's step, from the converged mean: first and second order in eta."""
    p, etas = two_body(e=0.6, anomaly=2.0), [0.08, 0.04, 0.02, 0.01]
    plain, huayno = [], []
    for eta in etas:
        mean = dt_of(module_for(HutMakinoMcMillan(FreeFall(eta), 12)), p).item()
        plain.append(abs(dt_of(module_for(FreeFall(eta)), p).item() / mean - 1))
        huayno.append(abs(dt_of(module_for(Huayno(FreeFall(eta))), p).item() / mean - 1))
    assert slope(etas, plain) == pytest.approx(1.0, abs=0.1)
    assert slope(etas, huayno) == pytest.approx(2.0, abs=0.1)


class Far(nn.Module):
    """A network with dt = 8e307, and NaN for inputs that are not finite."""

    def forward(self, x):
        return torch.stack([8e307 + 0 * x.sum(1), x[:, 2]], -1)


def test_a_trial_without_a_finite_step_leaves_the_step_as_it_is(two_body):
    """The trial ends with bodies at infinity, or with bodies so far apart that there is no finite step."""
    p = two_body(e=0.9, anomaly=0.0)
    far = Function(lambda q: torch.where(q.position.abs().amax((1, 2)) < 10, 8e307 * torch.ones_like(q.time), 1.0))
    assert dt_of(HutMakinoMcMillanModule(far, 2), p).item() == 8e307
    flying = LearnedModule(Far(), ModelAdapter(Config(feature_type="basic", dt_ceiling=1e308)))
    fast = two_body(e=0.9, a=100.0, G=1e4, anomaly=0.0)
    tau = dt_of(flying, fast)
    with pytest.raises(ConfigError, match="returned dt = nan"):
        dt_of(flying, step(fast, tau))
    assert torch.equal(dt_of(HutMakinoMcMillanModule(flying, 2), fast), tau)
    nothing = Function(lambda q: torch.where(q.time == 0, torch.full_like(q.time, 0.1), math.nan))
    assert dt_of(HutMakinoMcMillanModule(nothing), p).item() == 0.1


@pytest.mark.parametrize("iterations", [0, -1, 2.5, math.nan])
def test_hmm_needs_a_whole_number_of_iterations(iterations):
    with pytest.raises(ConfigError, match=f"iterations = {iterations} must be a whole number >= 1"):
        HutMakinoMcMillanModule(Script([0.1]), iterations)


def test_steps_on_trial_are_splittings():
    with pytest.raises(ConfigError, match="integrator = 'suzuki': did you mean 'suzuki4'"):
        HutMakinoMcMillanModule(Script([0.1]), integrator="suzuki")


# ---- cost --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", ["leapfrog", "suzuki4"])
@pytest.mark.parametrize("wrap", [lambda c: c, Huayno, HutMakinoMcMillan, lambda c: Limited(HutMakinoMcMillan(c, 2), 1e-9)])
def test_trial_steps_count_the_force_evaluations_of_a_run(monkeypatch, two_body, integrator, wrap):
    """steps x stages x (1 + trial_steps), and one to begin with: counted at the one place where forces are computed."""
    p, calls, true_forces = two_body(e=0.6, q=0.3), [], particle_module.forces
    fresh = dataclasses.replace(p, _forces=None)
    monkeypatch.setattr(particle_module, "forces", lambda *a: calls.append(1) or true_forces(*a))
    steps, criterion = 7, wrap(FreeFall(0.1))
    run = simulate(fresh, steps=steps, criterion=criterion, integrator=integrator)
    stages = SPLITTINGS[integrator].stages
    assert len(calls) == run.force_evaluations.item() == steps * stages * (1 + criterion.trial_steps) + 1


# ---- benefit -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("inner", "integrator"),
    [
        *((c, "leapfrog") for c in (FreeFall(0.05), HutMakino(0.05), Tidal(2.5e-3), Boekholt(0.05), EnergyBudget(1e-2))),
        (FreeFall(0.05), "suzuki4"),
    ],
)
def test_a_run_is_reversible(two_body, flipped, inner, integrator):
    """n steps, velocities reversed, n steps: back at the start to what the iteration leaves; the plain step is not.

    The way back has the memory of the way there: EnergyBudget knows the energy at the start.
    """
    p, n = two_body(e=0.6, q=0.3, anomaly=2.0), 24

    def distance_from_start(criterion):
        module = module_for(criterion, integrator)
        module = Begun(module, module.init(p))

        def run(state):
            states = []
            simulate(state, steps=n, criterion=module, integrator=integrator, observer=lambda b, a, e, i: states.append(a))
            return states[-1]

        there = run(p)
        assert (there.position - p.position).abs().max() > 0.3
        return (run(flipped(there)).position - p.position).abs().max().item()

    plain, huayno = distance_from_start(inner), distance_from_start(Huayno(inner))
    one, three, twelve = (distance_from_start(HutMakinoMcMillan(inner, k)) for k in (1, 3, 12))
    assert plain > 1e-6
    assert huayno < 0.2 * plain
    assert one < 0.2 * plain
    assert three < 0.1 * one
    assert twelve < 1e-12


@pytest.mark.parametrize("wrap", [Huayno, HutMakinoMcMillan, lambda c: HutMakinoMcMillan(c, 1)])
@pytest.mark.parametrize("integrator", ["leapfrog", "kahan_li6"])
def test_a_constant_step_stays_itself(two_body, wrap, integrator):
    p = two_body(e=0.6, anomaly=2.0)
    for dt in (0.1, 0.02, 1 / 3):
        assert dt_of(module_for(wrap(Constant(dt)), integrator), p).item() == dt


# ---- one interface --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wrapper", [Huayno, HutMakinoMcMillan])
def test_steps_of_a_sweep_stay_with_their_systems_when_others_end(two_body, wrapper):
    p, values = two_body(e=0.5, q=0.3), [0.02, 0.003, 0.05]
    together = simulate(
        p.select(torch.zeros(3, dtype=torch.long)), t_end=0.4, criterion=Limited(wrapper(FreeFall(values)), 1e-6, 1.0)
    )
    for i, value in enumerate(values):
        alone = simulate(p, t_end=0.4, criterion=wrapper(FreeFall(value)))
        assert together.steps[i] == alone.steps[0]
        assert np.array_equal(together.final.position[i], alone.final.position[0])


@LOOK_AHEAD
@pytest.mark.parametrize("n", [2, 5])
def test_absent_bodies_change_no_bit(random_system, padded, wrapper, n):
    p = random_system(n, 3, systems=4)
    module = wrapper(module_for(FreeFall(0.05)))
    assert torch.equal(dt_of(module, padded(p, n + 3)), dt_of(module, p))


@LOOK_AHEAD
def test_a_network_is_evaluated_ahead_but_reports_on_the_run_only(two_body, wrapper):
    p = two_body(e=0.6, anomaly=2.0)
    learned = LearnedModule(Counting(), ModelAdapter(Config(feature_type="invariant")))
    module = wrapper(learned)
    dt, memory = module.choose(p, module.init(p))
    here = learned.predict(p)
    assert abs(dt / here.dt - 1).item() > 1e-6
    assert torch.equal(memory.largest_log10_error, here.log10_error)
    reports = simulate(p, steps=3, criterion=module).reports
    assert set(reports) == {"expected_step_error", "steps_at_ceiling", "steps_outside_training"}


@LOOK_AHEAD
def test_only_a_function_of_the_state_can_be_evaluated_ahead(wrapper):
    who, plain = wrapper.__name__, module_for(FreeFall())
    for inner in (LimitedModule(plain), SymmetrizedModule(plain), HuaynoModule(plain), HutMakinoMcMillanModule(plain)):
        with pytest.raises(ConfigError, match=rf"{who} needs a step that is no wrapper; {type(inner).__name__} is one"):
            wrapper(inner)
    remembers = LearnedModule(Counting(), ModelAdapter(Config(feature_type="basic", history_len=2)))
    with pytest.raises(ConfigError, match=rf"{who} needs a step that is even.*LearnedModule is not.*history_len = 0"):
        wrapper(remembers)
    with pytest.raises(ConfigError, match="even in the velocities; Function is not"):
        wrapper(Function(lambda p: p.time, even=False))
    with pytest.raises(ConfigError, match=rf"SymmetrizedModule needs.*{who} is not .*time-symmetric already"):
        SymmetrizedModule(wrapper(plain))
