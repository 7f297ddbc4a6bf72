"""The wrappers: Limited keeps a step in bounds, Symmetrized makes it time-symmetric; and memories that follow their systems."""

from __future__ import annotations

import math

import pytest
import torch

from aitimestepper.criteria.base import AbstractStepCriterion, Limited, Lowered, Symmetrized, select_memory
from aitimestepper.criteria.classical import PRS23, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.differentiable.history import HistoryBuffer
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import step
from aitimestepper.simulate.engine import simulate


class Script(AbstractStepCriterion):
    """Plays back steps: one column of `table` (steps, systems) after the other."""

    name = "script"

    def __init__(self, *rows, even=True):
        self.table, self.velocity_even = torch.tensor(rows, dtype=torch.float64), even

    def init(self, particle):
        return torch.zeros(len(particle), dtype=torch.long), torch.arange(len(particle))

    def step_size(self, particle, memory):
        turn, column = memory
        return self.table[turn.clamp_max(len(self.table) - 1), column]

    def update(self, particle, dt, memory):
        return memory[0] + 1, memory[1]

    def lower(self):
        return Lowered(self.name, ())


def played(criterion, p, n):
    """The steps (n, B) that a criterion asks for when each is taken as asked; the state stands still."""
    memory, steps = criterion.init(p), []
    for _ in range(n):
        steps.append(criterion.step_size(p, memory))
        memory = criterion.update(p, steps[-1], memory)
    return torch.stack(steps)


# ---- Limited ------------------------------------------------------------------------------------------------------------
def test_limited_keeps_steps_in_bounds_and_leaves_the_rest(two_body):
    steps = [[1e-4], [0.01], [0.02], [0.3], [5.0]]
    p = two_body()
    assert played(Limited(Script(*steps), 0.01, 0.3), p, 5).flatten().tolist() == [0.01, 0.01, 0.02, 0.3, 0.3]
    assert played(Limited(Script(*steps), dt_min=0.015), p, 5).flatten().tolist() == [0.015, 0.015, 0.02, 0.3, 5.0]
    assert played(Limited(Script(*steps), dt_max=0.015), p, 5).flatten().tolist() == [1e-4, 0.01, 0.015, 0.015, 0.015]
    assert played(Limited(Script(*steps)), p, 5).flatten().tolist() == [1e-4, 0.01, 0.02, 0.3, 5.0]


def test_limited_does_not_hide_a_step_that_is_no_number(two_body):
    assert torch.isnan(played(Limited(Script([math.nan]), 0.01, 0.3), two_body(), 1)).all()


def test_limits_act_on_every_step_of_a_run(two_body):
    p, free = two_body(e=0.9), FreeFall(0.05)
    r = simulate(p, t_end=2 * math.pi, criterion=Limited(free, 0.004, 0.05))
    assert (r.dt_min.item(), r.dt_max.item()) == (0.004, 0.05)
    unlimited = simulate(p, t_end=2 * math.pi, criterion=free)
    assert unlimited.dt_min.item() < 0.004
    assert unlimited.dt_max.item() > 0.05
    by_argument = simulate(p, t_end=2 * math.pi, criterion=free, dt_min=0.004, dt_max=0.05)
    assert torch.equal(by_argument.final.position, r.final.position)


@pytest.mark.parametrize(
    ("low", "high"), [(0.2, 0.1), (-0.1, None), (None, 0.0), (0.0, 0.0), (math.nan, None), (None, math.nan), (None, -1.0)]
)
def test_limited_refuses_bounds_that_no_step_meets(low, high):
    with pytest.raises(ConfigError, match=f"dt_min = {low} and dt_max = {high} must satisfy"):
        Limited(Constant(0.1), low, high)


@pytest.mark.parametrize("wrapper", [Limited, Symmetrized])
def test_wrappers_take_integrator_and_evenness_from_inside(wrapper):
    assert wrapper(EnergyBudget(1e-6, integrator="kahan_li6")).integrator == "kahan_li6"
    assert wrapper(Constant(0.1)).integrator == "leapfrog"
    assert wrapper(Constant(0.1)).velocity_even
    assert Limited(Script([0.1], even=False)).velocity_even is False


def test_wrappers_lower_to_what_they_wrap():
    c = Limited(Symmetrized(FreeFall(0.03), max_ratio=2.0), 1e-3, 0.5)
    assert c.lower() == ("limited", (1e-3, 0.5), ("symmetrized", (2.0, math.inf), ("freefall", (0.03,), None)))
    assert Limited(FreeFall(0.03)).lower().parameters == (0.0, math.inf)


# ---- Symmetrized --------------------------------------------------------------------------------------------------------
def test_the_inner_step_is_the_geometric_mean_of_the_steps_about_it(two_body):
    Q = [[1.0], [1.1], [1.05], [1.2], [1.1]]
    steps = played(Symmetrized(Script(*Q)), two_body(), 5).flatten()
    assert steps[0] == 1.0
    torch.testing.assert_close(steps[:-1] * steps[1:], torch.tensor(Q).flatten().double()[1:] ** 2, rtol=1e-6, atol=0)
    assert steps.tolist() == pytest.approx([1.0, 1.21, 1.05**2 / 1.21, 1.44 * 1.21 / 1.05**2, 1.1**2 * 1.05**2 / (1.44 * 1.21)])


@pytest.mark.parametrize(("ratio", "kept"), [(1.19, True), (1.26, False), (1 / 1.19, True), (1 / 1.26, False)])
def test_a_step_that_would_run_away_is_reset_to_the_inner_one(two_body, ratio, kept):
    """The new step differs from Q by the factor Q / last: beyond `reset` it is Q."""
    steps = played(Symmetrized(Script([1.0], [ratio]), max_ratio=1.25), two_body(), 2).flatten()
    assert steps[1].item() == pytest.approx(ratio**2 if kept else ratio, rel=1e-15, abs=0)


def test_every_system_of_a_batch_is_reset_on_its_own(random_system):
    steps = played(Symmetrized(Script([1.0, 1.0, 2.0], [1.1, 3.0, 2.2])), random_system(2, systems=3), 2)
    assert steps[1].tolist() == pytest.approx([1.21, 3.0, 2.42], rel=1e-15)


@pytest.mark.parametrize(("settle", "second"), [(1.05, 1.21), (1.04, 1.1**1.5), (math.inf, 1.21)])
def test_a_mirrored_step_that_is_rough_is_settled(two_body, settle, second):
    """Q grows by 1.1 a step: it should be 1.1 sqrt(1.1), half a step ahead; the mirror of a first step of 1 says 1.21."""
    steps = played(Symmetrized(Script([1.0], [1.1], [1.21]), smoothness=settle), two_body(), 3).flatten()
    assert steps[1].item() == pytest.approx(second, rel=1e-14)
    assert steps[2].item() == pytest.approx(1.21**2 / second, rel=1e-14)


def test_what_is_rough_once_stays_rough_unless_it_is_settled(two_body):
    """One Q of 30 is off by a fifth: without settling, every other step from there on is too long, and the next too short."""
    Q = [[1.0]] * 10 + [[1.2]] + [[1.0]] * 19
    rough, settled = (played(Symmetrized(Script(*Q), smoothness=s), two_body(), 30).flatten() for s in (math.inf, 1.1))
    assert rough[-2:].sort().values.tolist() == pytest.approx([1 / 1.44, 1.44], rel=1e-12)
    assert settled[13:].tolist() == pytest.approx([1.0] * 17, rel=0.1)


def test_steps_that_bend_are_mirrored_too(two_body):
    """Of ln Q = n^2/20 the mirror, once on its way, is n(n + 1)/20: a parabola is no reason to give it up, however steep."""
    Q = [[math.exp(n * n / 20)] for n in range(-6, 7)]
    steps = played(Symmetrized(Script(*Q), max_ratio=3.0, smoothness=1 + 1e-12), two_body(), 13).flatten()
    assert torch.log(steps[2:]).tolist() == pytest.approx([n * (n + 1) / 20 for n in range(-4, 7)], abs=1e-12)


def test_criteria_know_how_they_are_mirrored(two_body):
    assert (Symmetrized(FreeFall()).reset, Symmetrized(FreeFall()).settle) == (1.5, math.inf)
    inner = Script([0.1])
    inner.mirror = (3.0, 1.2)
    assert (Symmetrized(Limited(inner)).reset, Symmetrized(Limited(inner)).settle) == (3.0, 1.2)
    assert Symmetrized(inner, smoothness=1.5).lower().parameters == (3.0, 1.5)


class Carried(Symmetrized):
    """Symmetrized, told of the step that was taken before the run began."""

    def __init__(self, criterion, last):
        super().__init__(criterion)
        self.last = last

    def init(self, particle):
        return self.last, *super().init(particle)[1:]


@pytest.mark.parametrize(
    "inner", [FreeFall(0.05), HutMakino(0.05), Tidal(2.5e-3), PRS23(0.05), Boekholt(0.05), EnergyBudget(1e-2)]
)
@pytest.mark.parametrize("integrator", ["leapfrog", "suzuki4"])
def test_a_symmetrized_run_is_reversible(two_body, flipped, inner, integrator):
    """Forward n steps, velocities reversed, the next step carried over as the last one: the same steps back, to the start."""
    p, n = two_body(e=0.6, q=0.3, anomaly=2.0), 60
    criterion, dts = Symmetrized(inner), []
    memory, state = criterion.init(p), p
    for _ in range(n):
        dts.append(criterion.step_size(state, memory))
        memory = criterion.update(state, dts[-1], memory)
        state = step(state, dts[-1], integrator)
    assert (state.position - p.position).abs().max() > 0.4
    assert max(dts) > 2 * min(dts)

    def back(criterion):
        seen = []
        r = simulate(
            flipped(state), steps=n, criterion=criterion, integrator=integrator, observer=lambda b, a, e, i: seen.append(a.dt)
        )
        return r.final, seen

    final, seen = back(Carried(inner, criterion.step_size(state, memory)))
    torch.testing.assert_close(torch.cat(seen), torch.cat(dts[::-1]), rtol=1e-11, atol=0)
    torch.testing.assert_close(final.position, p.position, rtol=0, atol=1e-11)
    torch.testing.assert_close(final.velocity, -p.velocity, rtol=0, atol=1e-11)
    plain, _ = back(inner)
    assert (plain.position - p.position).abs().max() > 1e-7  # the plain criterion does not come back


class SecondOnly(Symmetrized):
    """A plain run beside a symmetrized one: the first system forgets its last step, so that its step is Q."""

    def init(self, particle):
        return super().init(particle), torch.tensor([0.0, 1.0], dtype=torch.float64)

    def step_size(self, particle, memory):
        return super().step_size(particle, memory[0])

    def update(self, particle, dt, memory):
        last, *others = super().update(particle, dt, memory[0])
        return (last * memory[1], *others), memory[1]

    def report(self, memory):
        return super().report(memory[0])


def test_symmetric_steps_keep_the_energy_of_an_eccentric_orbit(two_body):
    """Kepler e = 0.9, mass ratio 1e-3, 100 orbits of 84 leapfrog steps, FreeFall: final error 0.71 plain, 4.6e-6 symmetrized.

    A factor of 1.5e5 (1e5 at other steps): the plain step feeds the same error in at every pericentre.
    """
    p = two_body(e=0.9, q=1e-3)
    both = p.select(torch.tensor([0, 0]))
    r = simulate(both, t_end=200 * math.pi, criterion=SecondOnly(FreeFall(0.1)))
    plain, symmetric = r.final_energy_error.tolist()
    assert r.status == ("ok", "ok")
    assert plain > 0.3
    assert symmetric < 2e-5
    assert r.max_energy_error[1] < 0.1
    short = simulate(both, steps=50, criterion=SecondOnly(FreeFall(0.1))).final
    for i, c in enumerate((FreeFall(0.1), Symmetrized(FreeFall(0.1)))):
        alone = simulate(p, steps=50, criterion=c, engine="reference").final
        assert torch.equal(alone.position[0], short.position[i])


def test_symmetrized_needs_a_step_that_is_even_in_the_velocities():
    with pytest.raises(ConfigError, match="even in the velocities; script is not"):
        Symmetrized(Script([0.1], even=False))
    with pytest.raises(ConfigError, match="even in the velocities; limited is not"):
        Symmetrized(Limited(Script([0.1], even=False)))
    for reset in (1.0, 0.5, math.nan):
        with pytest.raises(ConfigError, match=f"reset = {reset} must be above 1"):
            Symmetrized(Constant(0.1), max_ratio=reset)


# ---- memories -----------------------------------------------------------------------------------------------------------
def test_memories_follow_their_systems(random_system):
    p = random_system(3, 2, systems=3)
    history = HistoryBuffer(2, "basic")
    history.push(p, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    memory = (torch.tensor([1.0, 2.0, 3.0]), (None, history), torch.tensor([[1], [2], [3]]))
    stay = torch.tensor([True, False, True])
    first, (nothing, kept), last = select_memory(memory, stay)
    assert first.tolist() == [1.0, 3.0]
    assert nothing is None
    assert last.tolist() == [[1], [3]]
    assert torch.equal(kept.features_for(p.select(stay)), history.features_for(p)[stay])


def test_steps_of_a_batch_stay_with_their_systems_when_others_end(random_system):
    """Systems that end early leave; the scripted, limited and symmetrized steps of the others go on as alone."""
    p = random_system(3, 2, systems=3, time=[0.0, 0.5, 0.0])
    rows = [[0.1, 0.3, 0.02], [0.12, 0.3, 0.03], [0.1, 0.3, 0.025], [0.11, 0.3, 0.03]]
    together = simulate(p, t_end=0.7, criterion=Limited(Symmetrized(Script(*rows)), 0.021))
    for i in range(3):
        column = Script(*[[row[i]] for row in rows])
        alone = simulate(p.select(torch.tensor([i])), t_end=0.7, criterion=Limited(Symmetrized(column), 0.021))
        assert torch.equal(together.final.position[i], alone.final.position[0])
        assert together.steps[i] == alone.steps[0]
    assert len(set(together.steps.tolist())) == 3
