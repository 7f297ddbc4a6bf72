"""Limits and explicit time symmetry around any step module, and memories that follow their systems."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scripted import Counting, Script, played

from aitimestepper.config import Config
from aitimestepper.criteria.classical import PRS23, Boekholt, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.history import HistoryBuffer
from aitimestepper.differentiable.learned import LearnedModule
from aitimestepper.differentiable.loop import simulate
from aitimestepper.differentiable.step_module import select_memory
from aitimestepper.differentiable.stepping import step
from aitimestepper.differentiable.wrappers import (
    HuaynoModule,
    HutMakinoMcMillanModule,
    LimitedModule,
    SymmetrizedMemory,
    SymmetrizedModule,
)
from aitimestepper.errors import ConfigError

LOOK_AHEAD = pytest.mark.parametrize("wrapper", [HuaynoModule, HutMakinoMcMillanModule])


# ---- limits ---------------------------------------------------------------------------------------------------------------
def test_limited_keeps_steps_in_bounds_and_leaves_the_rest(two_body):
    steps = [[1e-4], [0.01], [0.02], [0.3], [5.0]]
    p = two_body()
    assert played(LimitedModule(Script(*steps), 0.01, 0.3), p, 5).flatten().tolist() == [0.01, 0.01, 0.02, 0.3, 0.3]
    assert played(LimitedModule(Script(*steps), dt_min=0.015), p, 5).flatten().tolist() == [0.015, 0.015, 0.02, 0.3, 5.0]
    assert played(LimitedModule(Script(*steps), dt_max=0.015), p, 5).flatten().tolist() == [1e-4, 0.01, 0.015, 0.015, 0.015]
    assert played(LimitedModule(Script(*steps)), p, 5).flatten().tolist() == [1e-4, 0.01, 0.02, 0.3, 5.0]


def test_limited_does_not_hide_a_step_that_is_no_number(two_body):
    assert torch.isnan(played(LimitedModule(Script([math.nan]), 0.01, 0.3), two_body(), 1)).all()


def test_limits_act_on_every_step_of_a_run(two_body):
    p, free = two_body(e=0.9), FreeFall(0.05)
    r = simulate(p, t_end=2 * math.pi, criterion=Limited(free, 0.004, 0.05))
    assert (r.dt_min.item(), r.dt_max.item()) == (0.004, 0.05)
    unlimited = simulate(p, t_end=2 * math.pi, criterion=free)
    assert unlimited.dt_min.item() < 0.004
    assert unlimited.dt_max.item() > 0.05
    for criterion in (free, module_for(free)):
        by_argument = simulate(p, t_end=2 * math.pi, criterion=criterion, dt_min=0.004, dt_max=0.05)
        assert np.array_equal(by_argument.final.position, r.final.position)


@pytest.mark.parametrize(
    ("low", "high"), [(0.2, 0.1), (-0.1, None), (None, 0.0), (0.0, 0.0), (math.nan, None), (None, math.nan), (None, -1.0)]
)
def test_bounds_that_no_step_meets_are_refused(low, high):
    with pytest.raises(ConfigError, match=f"dt_min = {low} and dt_max = {high} must satisfy"):
        LimitedModule(Script([0.1]), low, high)


# ---- explicit symmetry ----------------------------------------------------------------------------------------------------
def test_the_inner_step_is_the_geometric_mean_of_the_steps_about_it(two_body):
    Q = [[1.0], [1.1], [1.05], [1.2], [1.1]]
    steps = played(SymmetrizedModule(Script(*Q)), two_body(dt=7.0), 5).flatten()
    assert steps[0] == 1.0  # a dt that the state had before its first step counts for nothing
    torch.testing.assert_close(steps[:-1] * steps[1:], torch.tensor(Q).flatten().double()[1:] ** 2, rtol=1e-6, atol=0)
    assert steps.tolist() == pytest.approx([1.0, 1.21, 1.05**2 / 1.21, 1.44 * 1.21 / 1.05**2, 1.1**2 * 1.05**2 / (1.44 * 1.21)])


@pytest.mark.parametrize(("ratio", "symmetric"), [(1.19, True), (1.26, False), (1 / 1.19, True), (1 / 1.26, False)])
def test_a_step_beyond_the_largest_ratio_is_the_inner_one(two_body, ratio, symmetric):
    """The new step differs from Q by the factor Q / last: beyond `max_ratio` it is Q."""
    steps = played(SymmetrizedModule(Script([1.0], [ratio]), max_ratio=1.25), two_body(), 2).flatten()
    assert steps[1].item() == pytest.approx(ratio**2 if symmetric else ratio, rel=1e-15, abs=0)


def test_every_system_of_a_batch_begins_anew_on_its_own(random_system):
    steps = played(SymmetrizedModule(Script([1.0, 1.0, 2.0], [1.1, 3.0, 2.2])), random_system(2, systems=3), 2)
    assert steps[1].tolist() == pytest.approx([1.21, 3.0, 2.42], rel=1e-15)


@pytest.mark.parametrize(("smoothness", "second"), [(1.05, 1.21), (1.04, 1.1**1.5), (math.inf, 1.21)])
def test_a_symmetric_step_that_is_rough_is_replaced(two_body, smoothness, second):
    """Q grows by 1.1 a step: it should be 1.1 sqrt(1.1), half a step ahead; symmetry with a first step of 1 makes it 1.21."""
    steps = played(SymmetrizedModule(Script([1.0], [1.1], [1.21]), smoothness=smoothness), two_body(), 3).flatten()
    assert steps[1].item() == pytest.approx(second, rel=1e-14)
    assert steps[2].item() == pytest.approx(1.21**2 / second, rel=1e-14)


def test_one_rough_step_alternates_for_ever_unless_smoothness_is_limited(two_body):
    """One Q of 30 is off by a fifth: without a limit, every other step from there on is too long, and the next too short."""
    Q = [[1.0]] * 10 + [[1.2]] + [[1.0]] * 19
    rough, smooth = (played(SymmetrizedModule(Script(*Q), smoothness=s), two_body(), 30).flatten() for s in (math.inf, 1.1))
    assert rough[-2:].sort().values.tolist() == pytest.approx([1 / 1.44, 1.44], rel=1e-12)
    assert smooth[13:].tolist() == pytest.approx([1.0] * 17, rel=0.1)


def test_steps_that_bend_are_symmetric_too(two_body):
    """For ln Q = n^2/20 the symmetric step, once on its way, is n(n + 1)/20: a parabola counts as smooth, however steep."""
    Q = [[math.exp(n * n / 20)] for n in range(-6, 7)]
    steps = played(SymmetrizedModule(Script(*Q), max_ratio=3.0, smoothness=1 + 1e-12), two_body(), 13).flatten()
    assert torch.log(steps[2:]).tolist() == pytest.approx([n * (n + 1) / 20 for n in range(-4, 7)], abs=1e-12)


def test_the_step_taken_counts_and_not_the_one_chosen(two_body):
    """Around limits or inside them: what the state came by is `particle.dt`."""
    outside = played(LimitedModule(SymmetrizedModule(Script([1.0], [1.2], [1.2])), dt_max=1.25), two_body(), 3).flatten()
    assert outside.tolist() == pytest.approx([1.0, 1.25, 1.44 / 1.25], rel=1e-15)
    inside = played(SymmetrizedModule(LimitedModule(Script([1.0], [1.2], [1.2]), dt_max=1.1)), two_body(), 3).flatten()
    assert inside.tolist() == pytest.approx([1.0, 1.21, 1.0], rel=1e-15)


class Continued(SymmetrizedModule):
    """Symmetrized, as if the dt of the first state had been a step taken, with the memory of the inner step so far."""

    def __init__(self, inner, memory):
        super().__init__(inner)
        self.memory = memory

    def init(self, particle):
        return SymmetrizedMemory(torch.ones_like(particle.time), torch.zeros_like(particle.time), self.memory)


@pytest.mark.parametrize(
    "inner", [FreeFall(0.05), HutMakino(0.05), Tidal(2.5e-3), PRS23(0.05), Boekholt(0.05), EnergyBudget(2e-2)]
)
@pytest.mark.parametrize("integrator", ["leapfrog", "suzuki4"])
def test_a_symmetrized_run_is_reversible(two_body, flipped, inner, integrator):
    """Forward n steps, velocities reversed, the next step carried over as the last one: the same steps back, to the start."""
    p, n = two_body(e=0.6, q=0.3, anomaly=2.0), 60
    if isinstance(inner, EnergyBudget) and integrator == "suzuki4":
        inner = EnergyBudget(1e-4)  # 1e-2 asks for a step that is more than 1.5 times the next, where symmetry is given up
    module, dts = module_for(Symmetrized(inner), integrator), []
    memory, state = module.init(p), p
    for _ in range(n):
        dt, memory = module.choose(state, memory)
        dts.append(dt)
        state = step(state, dt, integrator)
    following = module.choose(state, memory)[0]
    assert (state.position - p.position).abs().max() > 0.4
    assert max(dts) > 2 * min(dts)

    def back(module):
        taken = []
        turned = flipped(state).update_dt(following)
        r = simulate(turned, steps=n, criterion=module, integrator=integrator, observer=lambda b, a, e, i: taken.append(a.dt))
        return r.final, taken

    final, taken = back(Continued(module.inner, memory.inner))
    torch.testing.assert_close(torch.cat(taken), torch.cat(dts[::-1]), rtol=1e-11, atol=0)
    np.testing.assert_allclose(final.position, p.position, rtol=0, atol=1e-11)
    np.testing.assert_allclose(final.velocity, -p.velocity, rtol=0, atol=1e-11)
    plain, _ = back(module_for(inner, integrator))
    assert np.abs(plain.position - p.position.numpy()).max() > 1e-7  # the plain criterion does not come back


@pytest.mark.parametrize("smoothness", [math.inf, 1.007])
def test_every_step_has_a_gradient_the_first_one_too(two_body, smoothness):
    """The branch that is not taken at the first step must not divide by the step that there is none of."""
    module = SymmetrizedModule(module_for(FreeFall(0.1), "leapfrog"), smoothness=smoothness)
    p = two_body(e=0.5)
    p.position.requires_grad_(True)
    dt, memory = module.choose(p, module.init(p))
    for _ in range(3):
        (gradient,) = torch.autograd.grad(dt.sum(), p.position, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0
        moved = step(p, dt.detach(), "leapfrog")
        p = dataclasses.replace(moved, position=moved.position.detach().requires_grad_(True), velocity=moved.velocity.detach())
        dt, memory = module.choose(p, memory)


def test_symmetrized_needs_a_step_that_is_even_in_the_velocities():
    with pytest.raises(ConfigError, match="even in the velocities; Script is not"):
        SymmetrizedModule(Script([0.1], even=False))
    with pytest.raises(ConfigError, match="even in the velocities; LimitedModule is not"):
        SymmetrizedModule(LimitedModule(Script([0.1], even=False)))
    for ratio in (1.0, 0.5, math.nan):
        with pytest.raises(ConfigError, match=f"max_ratio = {ratio} must be above 1"):
            SymmetrizedModule(Script([0.1]), max_ratio=ratio)
        with pytest.raises(ConfigError, match=f"smoothness = {ratio} must be above 1"):
            SymmetrizedModule(Script([0.1]), smoothness=ratio)


@pytest.mark.parametrize("smoothness", [1.007, math.inf])
def test_a_symmetrized_learned_step_evaluates_its_network_once_a_step(two_body, smoothness):
    network = Counting()
    module = SymmetrizedModule(LearnedModule(network, ModelAdapter(Config(feature_type="invariant"))), 2.0, smoothness)
    simulate(two_body(e=0.6), steps=20, criterion=LimitedModule(module, 1e-6))
    assert network.calls == 20


# ---- one interface --------------------------------------------------------------------------------------------------------
def test_modules_are_made_from_values_with_all_their_numbers():
    module = module_for(Limited(Symmetrized(FreeFall(0.03), max_ratio=2.0, smoothness=1.2), 1e-3, 0.5))
    assert (module.dt_min, module.dt_max) == (1e-3, 0.5)
    assert (module.inner.max_ratio, module.inner.smoothness) == (2.0, 1.2)
    plain = module_for(Symmetrized(FreeFall(0.03)))
    assert (plain.max_ratio, plain.smoothness) == (1.5, math.inf)
    hmm = module_for(HutMakinoMcMillan(EnergyBudget(1e-6), 4), "kahan_li6")
    assert (hmm.trial_steps, hmm.integrator, hmm.made_for) == (4, "kahan_li6", "kahan_li6")
    assert module_for(Limited(HutMakinoMcMillan(FreeFall(), iterations=5))).trial_steps == 5
    assert module_for(FreeFall()).trial_steps == module_for(Huayno(FreeFall())).trial_steps == 0


@pytest.mark.parametrize("wrapper", [LimitedModule, SymmetrizedModule])
def test_wrappers_take_integrator_tolerance_and_evenness_from_inside(wrapper):
    module = wrapper(module_for(EnergyBudget(1e-6, integrator="kahan_li6")))
    assert (module.made_for, module.tolerance, module.velocity_even) == ("kahan_li6", 1e-6, True)
    assert wrapper(Script([0.1])).made_for is None
    assert LimitedModule(Script([0.1], even=False)).velocity_even is False


# ---- memories -------------------------------------------------------------------------------------------------------------
class Pair(NamedTuple):
    first: torch.Tensor
    second: object


def test_memories_follow_their_systems(random_system):
    p = random_system(3, 2, systems=3)
    history = HistoryBuffer(2, "basic")
    history.push(p, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    memory = (torch.tensor([1.0, 2.0, 3.0]), (None, history), Pair(torch.tensor([[1], [2], [3]]), None))
    stay = torch.tensor([True, False, True])
    first, (nothing, window), last = select_memory(memory, stay)
    assert first.tolist() == [1.0, 3.0]
    assert nothing is None
    assert isinstance(last, Pair)
    assert last.first.tolist() == [[1], [3]]
    assert torch.equal(window.features_for(p.select(stay)), history.features_for(p)[stay])


def test_steps_of_a_batch_stay_with_their_systems_when_others_end(random_system):
    """Systems that end early leave; the scripted, limited and symmetrized steps of the others go on as alone."""
    p = random_system(3, 2, systems=3, time=[0.0, 0.5, 0.0])
    rows = [[0.1, 0.3, 0.02], [0.12, 0.3, 0.03], [0.1, 0.3, 0.025], [0.11, 0.3, 0.03]]
    together = simulate(p, t_end=0.7, criterion=LimitedModule(SymmetrizedModule(Script(*rows)), 0.021))
    for i in range(3):
        column = Script(*[[row[i]] for row in rows])
        alone = simulate(p.select(torch.tensor([i])), t_end=0.7, criterion=LimitedModule(SymmetrizedModule(column), 0.021))
        assert np.array_equal(together.final.position[i], alone.final.position[0])
        assert together.steps[i] == alone.steps[0]
    assert len(set(together.steps.tolist())) == 3
