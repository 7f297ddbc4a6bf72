"""Huayno and HutMakinoMcMillan: their formulas, what they cost, and what time symmetry is worth."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import aitimestepper.differentiable.particle as particle_module
from aitimestepper import Config, EnergyBudget, LearnedStep, ModelAdapter
from aitimestepper.config import SYMMETRIZERS
from aitimestepper.criteria.base import AbstractStepCriterion, Limited, Lowered, Symmetrized
from aitimestepper.criteria.classical import Aarseth, Boekholt, Constant, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.reversible import Huayno, HutMakinoMcMillan
from aitimestepper.differentiable.gravity import dot
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import COMPOSITIONS, step
from aitimestepper.simulate.engine import simulate

BOTH = pytest.mark.parametrize("wrapper", [Huayno, HutMakinoMcMillan])


class Of(AbstractStepCriterion):
    """The step that `function` makes of a state."""

    name = "of"

    def __init__(self, function, even=True):
        self.function, self.velocity_even = function, even

    def step_size(self, particle, memory):
        return self.function(particle)

    def lower(self):
        return Lowered(self.name, ())


def ramp(rate):
    """tau = 0.01 + rate t: its rate of change is known, and the step ahead is known with it."""
    return Of(lambda p: 0.01 + rate * p.time)


def dt_of(criterion, p):
    return criterion.step_size(p, criterion.init(p))


# ---- Huayno -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rate", "factor"), [(0.0, 1.0), (0.5, 4 / 3), (0.9, 1 / 0.55), (1.5, 2.0), (40.0, 2.0), (-3.0, 0.4)])
def test_huayno_looks_at_the_rate_of_change_and_never_more_than_doubles_the_step(two_body, rate, factor):
    assert dt_of(Huayno(ramp(rate)), two_body()).item() == pytest.approx(0.01 * factor, rel=1e-12, abs=0)


@pytest.mark.parametrize("anomaly", [0.5, 2.0, 5.0])
def test_huayno_of_a_free_fall_in_closed_form(two_body, anomaly):
    """tau = eta (r^3/M)^(1/2), dtau/dt = 3/2 tau (r.v)/r^2."""
    p = two_body(e=0.7, anomaly=anomaly)
    r, v = (x[0, 1] - x[0, 0] for x in (p.position, p.velocity))
    tau = 0.02 * r.norm() ** 1.5
    expected = tau / (1 - 0.75 * tau * (r @ v) / (r @ r))
    assert dt_of(Huayno(FreeFall(0.02)), p).item() == pytest.approx(expected.item(), rel=1e-9, abs=0)
    assert abs(expected / tau - 1).item() > 3e-3


def test_huayno_moves_the_velocities_with_the_acceleration(two_body):
    p = two_body(e=0.7, anomaly=2.0)
    rate = (0.02 * dot(p.velocity, p.get_acceleration())).sum()
    found = dt_of(Huayno(Of(lambda p: 0.01 * dot(p.velocity, p.velocity).sum(1))), p)
    tau = 0.01 * dot(p.velocity, p.velocity).sum()
    assert found.item() == pytest.approx((tau / (1 - 0.5 * rate)).item(), rel=1e-10, abs=0)
    assert abs(found / tau - 1).item() > 1e-3


def test_a_rate_that_cannot_be_told_counts_as_none(two_body):
    p = two_body(time=1.0)
    for elsewhere in (math.nan, math.inf):
        here = Of(lambda q, e=elsewhere: torch.where(q.time == 1.0, torch.full_like(q.time, 0.3), e))
        assert dt_of(Huayno(here), p).item() == 0.3
    assert dt_of(Huayno(Of(lambda q: 0.0 * q.time)), p).item() == 0.0


# ---- Hut, Makino & McMillan ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rate", [0.0, 0.4, -0.8])
@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
def test_hmm_iterates_the_mean_of_the_steps_here_and_there(two_body, rate, iterations):
    """With tau(t) = tau_0 + k t each iteration adds one term of the series of tau_0 / (1 - k/2)."""
    expected = 0.01 * sum((rate / 2) ** n for n in range(iterations + 1))
    assert dt_of(HutMakinoMcMillan(ramp(rate), iterations), two_body()).item() == pytest.approx(expected, rel=1e-13, abs=0)


@pytest.mark.parametrize("inner", [FreeFall(0.1), Boekholt(0.1), Tidal(0.01), EnergyBudget(1e-2), Aarseth(0.01)])
def test_the_error_of_the_mean_falls_by_half_the_rate_an_iteration(two_body, inner):
    """dt = 1/2 (tau(s) + tau(s(dt))): every iteration multiplies what is missing by 1/2 dtau(s(dt))/d dt."""
    p = two_body(e=0.6, q=0.3, anomaly=2.0)

    def there(dt):
        return dt_of(inner, step(p, dt))

    missing = []
    for iterations in (1, 2, 3, 12):
        dt = dt_of(HutMakinoMcMillan(inner, iterations), p)
        missing.append((0.5 * (dt_of(inner, p) + there(dt)) - dt).item())
    h = 1e-4 * dt
    half_rate = ((there(dt + h) - there(dt - h)) / (4 * h)).item()
    assert abs(half_rate) > 3e-3
    assert missing[1] / missing[0] == pytest.approx(half_rate, rel=0.1)
    assert missing[2] / missing[1] == pytest.approx(half_rate, rel=0.1)
    assert abs(missing[3]) < 1e-15


@pytest.mark.parametrize("integrator", COMPOSITIONS)
def test_the_trial_is_a_step_of_the_integrator_asked_for(two_body, integrator):
    p, inner = two_body(e=0.6, anomaly=2.0), FreeFall(0.2)
    tau = dt_of(inner, p)
    expected = 0.5 * (tau + dt_of(inner, step(p, tau, integrator)))
    assert torch.equal(dt_of(HutMakinoMcMillan(inner, 1, integrator), p), expected)


def test_huayno_is_the_mean_to_second_order(two_body, slope):
    """Relative distance of tau, and of Huayno's step, from the converged mean: first and second order in eta."""
    p, etas = two_body(e=0.6, anomaly=2.0), [0.08, 0.04, 0.02, 0.01]
    plain, huayno = [], []
    for eta in etas:
        mean = dt_of(HutMakinoMcMillan(FreeFall(eta), 12), p).item()
        plain.append(abs(dt_of(FreeFall(eta), p).item() / mean - 1))
        huayno.append(abs(dt_of(Huayno(FreeFall(eta)), p).item() / mean - 1))
    assert slope(etas, plain) == pytest.approx(1.0, abs=0.1)
    assert slope(etas, huayno) == pytest.approx(2.0, abs=0.1)


class Far(nn.Module):
    """Says dt = 8e307, and nothing of what is not finite."""

    def forward(self, x):
        return torch.stack([8e307 + 0 * x.sum(1), x[:, 2]], -1)


def test_a_trial_that_leads_nowhere_leaves_the_step_as_it_is(two_body):
    """Bodies at infinity; and bodies so far apart that there is no step any more."""
    p = two_body(e=0.9, anomaly=0.0)
    far = Of(lambda q: torch.where(q.position.abs().amax((1, 2)) < 10, 8e307 * torch.ones_like(q.time), 1.0))
    assert dt_of(HutMakinoMcMillan(far, 2), p).item() == 8e307
    flying = LearnedStep(Far(), ModelAdapter(Config(feature_type="basic", dt_ceiling=1e308)))
    fast = two_body(e=0.9, a=100.0, G=1e4, anomaly=0.0)
    tau = dt_of(flying, fast)
    with pytest.raises(ConfigError, match="returned dt = nan"):
        dt_of(flying, step(fast, tau))
    assert torch.equal(dt_of(HutMakinoMcMillan(flying, 2), fast), tau)
    nothing = Of(lambda q: torch.where(q.time == 0, torch.full_like(q.time, 0.1), math.nan))
    assert dt_of(HutMakinoMcMillan(nothing), p).item() == 0.1


# ---- what it costs ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", ["leapfrog", "suzuki4"])
@pytest.mark.parametrize("wrap", [lambda c: c, Huayno, HutMakinoMcMillan, lambda c: Limited(HutMakinoMcMillan(c, 2), 1e-9)])
def test_trial_steps_count_the_force_evaluations_of_a_run(monkeypatch, two_body, integrator, wrap):
    """steps x stages x (1 + trial_steps), and one to begin with: counted at the one place where forces are computed."""
    p, calls, true_forces = two_body(e=0.6, q=0.3), [], particle_module.forces
    inner = FreeFall(0.1)
    inner.integrator = integrator
    criterion = wrap(inner)
    fresh = replace(p, _forces=None)
    monkeypatch.setattr(particle_module, "forces", lambda *a: calls.append(1) or true_forces(*a))
    steps, memory, state = 7, criterion.init(fresh), fresh
    for _ in range(steps):
        dt = criterion.step_size(state, memory)
        memory = criterion.update(state, dt, memory)
        state = step(state, dt, criterion.integrator)
    stages = len(COMPOSITIONS[integrator].fractions)
    assert len(calls) == steps * stages * (1 + criterion.trial_steps) + 1


def test_trial_steps_are_known_through_wrappers():
    assert FreeFall().trial_steps == Huayno(FreeFall()).trial_steps == Symmetrized(FreeFall()).trial_steps == 0
    assert HutMakinoMcMillan(FreeFall()).trial_steps == 3
    assert Limited(HutMakinoMcMillan(FreeFall(), iterations=5)).trial_steps == 5


# ---- what it is worth ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("inner", [FreeFall, HutMakino])
def test_symmetric_steps_keep_the_energy_of_an_eccentric_orbit(two_body, inner):
    """Kepler e = 0.9, mass ratio 1e-3, 10 orbits, eta = 0.1, energy error at the end.

    FreeFall: plain 0.11, explicit 2.2e-6, Huayno 3.9e-4, hmm 2.3e-6. HutMakino, whose minimum has kinks: plain 0.083,
    explicit 3.7e-3, Huayno 1.4e-5, hmm 6.0e-6.
    """
    p = two_body(e=0.9, q=1e-3)

    def error(criterion):
        return simulate(p, t_end=20 * math.pi, criterion=criterion).final_energy_error.item()

    plain, huayno, hmm = (error(wrap(inner(0.1))) for wrap in (lambda c: c, Huayno, HutMakinoMcMillan))
    assert plain > 0.05
    assert huayno < 0.01 * plain
    assert hmm < 2e-4 * plain
    if inner is FreeFall:
        assert error(Symmetrized(inner(0.1))) < 2e-4 * plain


@pytest.mark.parametrize("inner", [FreeFall(0.05), HutMakino(0.05), Tidal(2.5e-3), Boekholt(0.05), EnergyBudget(1e-2)])
@pytest.mark.parametrize("integrator", ["leapfrog", "suzuki4"])
def test_a_run_goes_back_the_way_it_came(two_body, flipped, inner, integrator):
    """n steps, velocities reversed, n steps: back at the start to what the iteration leaves; the plain step is not."""
    p, n = two_body(e=0.6, q=0.3, anomaly=2.0), 40

    def lost(criterion):
        def run(state):
            return simulate(state, steps=n, criterion=criterion, integrator=integrator).final

        there = run(p)
        assert (there.position - p.position).abs().max() > 0.3
        return (run(flipped(there)).position - p.position).abs().max().item()

    plain, huayno = lost(inner), lost(Huayno(inner))
    one, three, twelve = (lost(HutMakinoMcMillan(inner, k, integrator)) for k in (1, 3, 12))
    assert plain > 1e-6
    assert huayno < 0.2 * plain
    assert one < 0.2 * plain
    assert three < 0.1 * one
    assert twelve < 1e-12


@pytest.mark.parametrize("wrap", [Huayno, HutMakinoMcMillan, lambda c: HutMakinoMcMillan(c, 1, "kahan_li6")])
def test_a_constant_step_stays_itself(two_body, wrap):
    p = two_body(e=0.6, anomaly=2.0)
    for dt in (0.1, 0.02, 1 / 3):
        assert dt_of(wrap(Constant(dt)), p).item() == dt


# ---- one interface ------------------------------------------------------------------------------------------------------
@BOTH
def test_steps_of_a_sweep_stay_with_their_systems_when_others_end(two_body, wrapper):
    p, values = two_body(e=0.5, q=0.3), [0.02, 0.003, 0.05]
    sweep = FreeFall(torch.tensor(values, dtype=torch.float64))
    together = simulate(p.select(torch.zeros(3, dtype=torch.long)), t_end=0.4, criterion=Limited(wrapper(sweep), 1e-6, 1.0))
    for i, value in enumerate(values):
        alone = simulate(p, t_end=0.4, criterion=wrapper(FreeFall(value)))
        assert together.steps[i] == alone.steps[0]
        assert torch.equal(together.final.position[i], alone.final.position[0])


@BOTH
@pytest.mark.parametrize("n", [2, 5])
def test_absent_bodies_change_no_bit(random_system, padded, wrapper, n):
    p = random_system(n, 3, systems=4)
    criterion = wrapper(FreeFall(0.05))
    assert torch.equal(dt_of(criterion, padded(p, n + 3)), dt_of(criterion, p))


class Judge(nn.Module):
    """Says dt = 0.01 (its third input + 1), and expects an error of 10^(that input)."""

    def forward(self, x):
        return torch.stack([0.01 * (x[:, 2] + 1), x[:, 2]], -1)


REPORTS = {"expected_step_error", "steps_at_ceiling", "steps_outside_training"}


@BOTH
def test_a_network_is_asked_ahead_but_reports_of_the_run_only(two_body, wrapper):
    p = two_body(e=0.6, anomaly=2.0)
    learned = LearnedStep(Judge(), ModelAdapter(Config(feature_type="invariant")))
    criterion = wrapper(learned)
    memory = criterion.init(p)
    dt = criterion.step_size(p, memory)
    here = learned.predict(p, None)
    assert abs(dt / here.dt - 1).item() > 1e-6
    assert torch.equal(memory.expected, here.log10_error)
    assert set(simulate(p, steps=3, criterion=criterion).reports) == REPORTS


@BOTH
def test_only_a_function_of_the_state_can_be_asked_ahead(wrapper):
    who = wrapper.__name__
    for inner in (Limited(FreeFall()), Symmetrized(FreeFall()), Huayno(FreeFall()), HutMakinoMcMillan(FreeFall())):
        with pytest.raises(ConfigError, match=rf"{who} needs a step that is no wrapper; {inner.name}\(freefall\) is one"):
            wrapper(inner)
    remembers = LearnedStep(Judge(), ModelAdapter(Config(feature_type="basic", history_len=2)))
    with pytest.raises(ConfigError, match=rf"{who} needs a step that is even.*learned is not.*history_len = 0"):
        wrapper(remembers)
    with pytest.raises(ConfigError, match="even in the velocities; of is not"):
        wrapper(Of(lambda p: p.time, even=False))
    with pytest.raises(ConfigError, match=rf"Symmetrized needs.*{wrapper.name} is not .*time-symmetric already"):
        Symmetrized(wrapper(FreeFall()))


@pytest.mark.parametrize("iterations", [0, -1, 2.5, math.nan])
def test_hmm_needs_a_whole_number_of_iterations(iterations):
    with pytest.raises(ConfigError, match=f"iterations = {iterations} must be a whole number >= 1"):
        HutMakinoMcMillan(FreeFall(), iterations)


def test_hmm_takes_the_integrator_of_the_inner_step_or_another():
    assert HutMakinoMcMillan(EnergyBudget(1e-6, "kahan_li6")).integrator == "kahan_li6"
    assert HutMakinoMcMillan(EnergyBudget(1e-6, "kahan_li6"), integrator="suzuki4").integrator == "suzuki4"
    assert Huayno(EnergyBudget(1e-6, "kahan_li6")).integrator == "kahan_li6"
    with pytest.raises(ConfigError, match="integrator = 'order5': did you mean 'order"):
        HutMakinoMcMillan(FreeFall(), integrator="order5")


def test_they_lower_to_what_they_wrap():
    assert Huayno(FreeFall(0.03)).lower() == ("huayno", (), ("freefall", (0.03,), None))
    assert HutMakinoMcMillan(FreeFall(0.03), 4).lower() == ("hmm", (4.0,), ("freefall", (0.03,), None))
    assert [Symmetrized.name, Huayno.name, HutMakinoMcMillan.name] == ["symmetrized", *SYMMETRIZERS[1:]]
