"""The simulation loop: exact ends, systems that do not disturb each other, honest counts and statuses."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aitimestepper.criteria.base import AbstractStepCriterion, Lowered, Symmetrized
from aitimestepper.criteria.classical import PRS23, Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.differentiable.conserved import angular_momentum, momentum, relative_error
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import ConfigError, InitialConditionError
from aitimestepper.fields import PointMassTidalField, tidal
from aitimestepper.integrators import COMPOSITIONS, step
from aitimestepper.simulate.engine import describe_criterion, simulate

CLASSICAL = {
    "constant": Constant(0.011),
    "freefall": FreeFall(0.03),
    "hutmakino": HutMakino(0.03),
    "aarseth": Aarseth(0.003),
    "tidal": Tidal(1e-3),
    "prs23": PRS23(0.05),
    "boekholt": Boekholt(0.03),
    "energybudget": EnergyBudget(0.1),
    "energybudget kahan_li6": EnergyBudget(1e-5, integrator="kahan_li6"),
}


class Plays(AbstractStepCriterion):
    """The steps of a list, one after the other, for every system the same."""

    name = "plays"

    def __init__(self, *steps):
        self.steps = steps

    def init(self, particle):
        return torch.zeros(len(particle), dtype=torch.long)

    def step_size(self, particle, memory):
        return torch.tensor([self.steps[k] for k in memory.tolist()], dtype=torch.float64).to(particle.time)

    def update(self, particle, dt, memory):
        return memory + 1

    def lower(self):
        return Lowered(self.name, ())


class Watch:
    """An observer that keeps everything, detached from the run."""

    def __init__(self):
        self.rows = []

    def __call__(self, before, after, error, running):
        self.rows.append((before.clone_detached(), after.clone_detached(), error.clone(), running.clone()))


# ---- the end ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("t_end", [1.0, 0.1, math.pi, 1 / 3])
@pytest.mark.parametrize("criterion", [Constant(0.011), FreeFall(0.03), Symmetrized(FreeFall(0.03)), Constant(50.0)])
def test_the_end_time_is_reached_exactly(two_body, t_end, criterion):
    for start in (0.0, -0.95, -7.3, 0.07):  # t + (t_end - t) is not always t_end
        r = simulate(two_body(e=0.5, time=start), t_end=t_end, criterion=criterion)
        assert r.final.time.item() == t_end
        assert r.status == ("ok",)


def test_the_end_time_is_reached_exactly_by_every_system_of_a_batch(two_body, run_constant):
    """Steps of their own, starts of their own, one already there, one past it; nobody is dragged along."""
    systems = [two_body(e=e, time=t) for e, t in ((0.0, 0.0), (0.9, 0.25), (0.5, 1.7), (0.3, 2.0), (0.3, 2.5))]
    p = ParticleTorch.stack(systems)
    r = simulate(p, t_end=2.0, criterion=FreeFall(0.04))
    assert r.final.time.tolist() == [2.0, 2.0, 2.0, 2.0, 2.5]
    assert r.status == ("ok",) * 5
    assert r.steps[3:].tolist() == [0, 0]
    assert len(set(r.steps[:3].tolist())) == 3
    assert torch.equal(r.final.position[3:], p.position[3:])
    for i in range(3):
        true = run_constant(systems[i], 2.0 - systems[i].time.item(), 50, "kahan_li8")
        torch.testing.assert_close(r.final.position[i], true.position[0], rtol=0, atol=2e-2)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_every_system_may_have_an_end_of_its_own(two_body, engine):
    systems = [two_body(e=0.5), two_body(e=0.9), two_body(e=0.3)]
    ends = [0.7, 1.9, 0.0]
    together = simulate(ParticleTorch.stack(systems), t_end=ends, criterion=FreeFall(0.04), engine=engine)
    assert together.final.time.tolist() == ends
    for i, (system, end) in enumerate(zip(systems, ends, strict=True)):
        alone = simulate(system, t_end=end, criterion=FreeFall(0.04), engine=engine)
        assert torch.equal(together.final.position[i], alone.final.position[0])
        assert together.steps[i] == alone.steps[0]
    with pytest.raises(ConfigError, match=r"shape \(2,\); give one time, or one for each of the 3 systems"):
        simulate(ParticleTorch.stack(systems), t_end=[1.0, 2.0], criterion=FreeFall(0.04))
    with pytest.raises(ConfigError, match=r"t_end = -1\.0 must be finite and not before the start"):
        simulate(ParticleTorch.stack(systems), t_end=[1.0, -1.0, 2.0], criterion=FreeFall(0.04))


def test_the_last_step_is_shortened_and_no_other(two_body):
    watch = Watch()
    r = simulate(two_body(), t_end=0.35, criterion=Constant(0.1), observer=watch)
    steps = [after.dt.item() for _, after, _, _ in watch.rows]
    assert steps == [0.1, 0.1, 0.1, 0.35 - (0.1 + 0.1 + 0.1)]
    assert r.final.time.item() == 0.35


def test_steps_end_the_run_after_so_many(two_body):
    p = ParticleTorch.stack([two_body(e=0.1), two_body(e=0.9)])
    r = simulate(p, steps=7, criterion=FreeFall(0.02), engine="reference")
    assert r.steps.tolist() == [7, 7]
    assert r.status == ("ok", "ok")
    expected = p
    for _ in range(7):
        expected = step(expected, FreeFall(0.02).step_size(expected, None))
    assert torch.equal(r.final.position, expected.position)
    assert torch.equal(r.final.time, expected.time)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({}, "t_end = None and steps = None: give exactly one of them"),
        ({"t_end": 1.0, "steps": 5}, "t_end = 1.0 and steps = 5: give exactly one of them"),
        ({"steps": 0}, "steps = 0 must be >= 1"),
        ({"t_end": math.nan}, "t_end = nan must be finite"),
        ({"t_end": math.inf}, "t_end = inf must be finite"),
        ({"t_end": -1.0}, "t_end = -1.0 must be finite and not before the start, t = 0"),
    ],
)
def test_when_to_stop_is_said_once_and_clearly(two_body, when, message):
    with pytest.raises(ConfigError, match=message):
        simulate(two_body(), criterion=Constant(0.1), **when)


def test_no_default_overrides_what_was_asked_for(two_body):
    """Trap 7: a long run is as long as was said, at a step of the same length; only `max_steps`, if given, cuts it."""
    p = two_body(e=0.2)
    for t_end, n in ((0.05, 5), (3.0, 300), (60.0, 700)):
        r = simulate(p, t_end=t_end, criterion=Constant(t_end / n), max_steps=None)
        assert r.final.time.item() == t_end
        assert n <= r.steps.item() <= n + 1
    assert simulate(p, steps=700, criterion=Constant(1e-3)).final.time.item() == pytest.approx(0.7, rel=1e-12)


# ---- statuses -----------------------------------------------------------------------------------------------------------
def test_max_steps_shows_in_the_status_and_keeps_the_state_reached(two_body):
    p = ParticleTorch.stack([two_body(e=0.1), two_body(e=0.1, time=0.95)])
    r = simulate(p, t_end=1.0, criterion=Constant(0.01), max_steps=20)
    assert r.status == ("max_steps", "ok")
    assert r.steps.tolist() == [20, 5]  # the time is summed with compensation: five steps of 0.01 are 0.05
    assert r.final.time.tolist() == pytest.approx([0.2, 1.0], rel=1e-14)
    both = simulate(p, steps=30, max_steps=20, criterion=Constant(0.01))
    assert (both.status, both.steps.tolist()) == (("max_steps",) * 2, [20, 20])
    enough = simulate(p, steps=20, max_steps=30, criterion=Constant(0.01))
    assert (enough.status, enough.steps.tolist()) == (("ok",) * 2, [20, 20])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_a_step_that_is_no_number_ends_that_run(two_body, bad):
    r = simulate(two_body(), steps=5, criterion=Plays(0.01, 0.01, bad, 0.01, 0.01))
    assert r.status == ("non_finite",)
    assert r.steps.item() == 2
    expected = step(step(two_body(), torch.tensor([0.01]).double()), torch.tensor([0.01]).double())
    torch.testing.assert_close(r.final.position, expected.position, rtol=0, atol=1e-8)


def test_a_collision_ends_its_own_run_with_the_last_finite_state(two_body):
    """Two bodies that meet to the last bit in the drift of the second step: no energy there; the neighbour goes on."""
    # massless but for a far body, so that the drift is a straight line in round numbers
    meeting = ParticleTorch.from_tensors(
        [0.0, 0.0, 1.0],
        [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0**40]],
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]],
    )
    quiet = ParticleTorch.from_tensors([1.0, 2.0, 3.0], [[0.0, 1.0], [2.0, 0.0], [-1.0, -1.0]], torch.zeros(3, 2))
    r = simulate(ParticleTorch.stack([meeting, quiet]), steps=4, criterion=Constant(0.25))
    assert r.status == ("non_finite", "ok")
    assert r.steps.tolist() == [1, 4]
    assert r.final.time.tolist() == [0.25, 1.0]
    assert torch.isfinite(r.final.position).all()
    assert r.final.position[0, :2, 0].tolist() == [0.25, 0.75]
    assert torch.equal(r.final.position[1], simulate(quiet, steps=4, criterion=Constant(0.25)).final.position[0])


def test_an_overflow_ends_its_own_run_with_the_last_finite_state(two_body):
    """A state whose energy is no number any more is not taken; the other system takes that step all the same."""
    p = ParticleTorch.stack([two_body(e=0.1), two_body(e=0.5)])
    script = Plays(0.01, 0.01, 1e200, 0.01)
    r = simulate(p, steps=3, criterion=script)
    assert r.status == ("non_finite", "non_finite")
    assert r.steps.tolist() == [2, 2]
    assert torch.isfinite(r.final.position).all()
    assert torch.isfinite(r.max_energy_error).all()

    class OnlyTheFirst(Plays):
        def init(self, particle):
            return torch.zeros(len(particle), dtype=torch.long), torch.arange(len(particle))

        def step_size(self, particle, memory):
            return torch.where(memory[1] == 0, super().step_size(particle, memory[0]), 0.01)

        def update(self, particle, dt, memory):
            return memory[0] + 1, memory[1]

    r = simulate(p, steps=4, criterion=OnlyTheFirst(0.01, 0.01, 1e200, 0.01))
    assert r.status == ("non_finite", "ok")
    assert r.steps.tolist() == [2, 4]
    other = simulate(two_body(e=0.5), steps=4, criterion=Constant(0.01), engine="reference")
    assert torch.equal(r.final.position[1], other.final.position[0])
    assert r.final.time[0].item() == 0.02


def test_a_step_below_the_round_off_of_time_is_stuck(two_body):
    p = ParticleTorch.stack([two_body(e=0.5, time=1e9), two_body(e=0.5)])
    r = simulate(p, t_end=1e9 + 1, criterion=Constant(1e-8), max_steps=3)
    assert r.status == ("stuck", "max_steps")
    assert r.steps.tolist() == [0, 3]
    assert r.final.time.tolist() == [1e9, pytest.approx(3e-8)]
    assert simulate(two_body(), steps=3, criterion=Plays(0.1, 0.0, 0.1)).status == ("stuck",)


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
    criterion = Symmetrized(CLASSICAL[name]) if symmetrized else CLASSICAL[name]
    together = simulate(ParticleTorch.stack(systems), t_end=0.15, criterion=criterion)
    assert together.steps.unique().numel() >= 3
    assert together.status == ("ok",) * 5
    for i, p in enumerate(systems):
        alone = simulate(p, t_end=0.15, criterion=criterion)
        n = p.mass.shape[1]
        assert torch.equal(together.final.position[i, :n], alone.final.position[0])
        assert torch.equal(together.final.velocity[i, :n], alone.final.velocity[0])
        for field in ("steps", "force_evaluations", "max_energy_error", "final_energy_error", "dt_min", "dt_max"):
            assert torch.equal(getattr(together, field)[i : i + 1], getattr(alone, field)), field
        torch.testing.assert_close(together.momentum_error[i], alone.momentum_error[0], rtol=0, atol=1e-15)


def test_an_observer_changes_no_bit(random_system):
    p = random_system(4, 3, systems=3)
    plain = simulate(p, t_end=0.3, criterion=Symmetrized(FreeFall(0.03)), engine="reference")
    watch = Watch()
    watched = simulate(p, t_end=0.3, criterion=Symmetrized(FreeFall(0.03)), observer=watch)
    for name, tensor in watched.final.tensors().items():
        assert torch.equal(tensor, plain.final.tensors()[name])
    for field in ("steps", "max_energy_error", "final_energy_error", "dt_min", "dt_max"):
        assert torch.equal(getattr(watched, field), getattr(plain, field))
    assert len(watch.rows) == plain.steps.max().item()
    assert torch.cat([running for *_, running in watch.rows]).bincount().tolist() == plain.steps.tolist()


def test_the_observer_sees_every_step_and_its_error(random_system):
    p, watch = random_system(3, 2, systems=2), Watch()
    r = simulate(p, t_end=0.2, criterion=FreeFall(0.03), observer=watch)
    E0 = p.total_energy()
    largest, last = torch.zeros(2, dtype=torch.float64), p
    for before, after, error, running in watch.rows:
        assert torch.equal(before.position, last.select(running).position if len(last) != len(running) else last.position)
        assert torch.equal(error, relative_error(E0[running], after.total_energy()))
        torch.testing.assert_close(after.time - before.time, after.dt, rtol=0, atol=1e-16)
        largest[running] = torch.maximum(largest[running], error)
        last = after
        if len(running) < 2:
            break
    else:
        raise AssertionError("the systems were meant to end at different steps")
    assert (r.max_energy_error >= largest).all()


def test_the_particle_given_is_not_modified(random_system):
    p = random_system(3, 2, systems=2, dt=0.7)
    before = {k: x.clone() for k, x in p.tensors().items()}
    r = simulate(p, steps=3, criterion=Constant(0.01))
    r.final.position.zero_()
    assert all(torch.equal(x, before[k]) for k, x in p.tensors().items())
    simulate(p, steps=1, criterion=Constant(0.01), external_field=PointMassTidalField(1.0, R0=30.0))
    assert p.external_field is None


def test_no_graph_is_built(two_body):
    p = two_body()
    p.velocity.requires_grad_(True)
    r = simulate(p, steps=3, criterion=Constant(0.01))
    assert not r.final.position.requires_grad
    assert not r.max_energy_error.requires_grad


# ---- counts and errors --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", COMPOSITIONS)
def test_force_evaluations_are_stages_times_steps_and_the_first_one(two_body, monkeypatch, integrator):
    from aitimestepper.differentiable import particle as module

    p, calls, true_forces = two_body(), [], module.forces
    monkeypatch.setattr(module, "forces", lambda *a: calls.append(1) or true_forces(*a))
    fresh = ParticleTorch(**p.tensors())
    r = simulate(fresh, steps=6, criterion=FreeFall(0.02), integrator=integrator, engine="reference")
    assert r.force_evaluations.item() == 6 * len(COMPOSITIONS[integrator].fractions) + 1 == len(calls)
    compiled = simulate(fresh, steps=6, criterion=FreeFall(0.02), integrator=integrator, engine="compiled")
    assert compiled.force_evaluations.item() == r.force_evaluations.item()


def test_the_last_short_step_says_nothing_about_the_criterion(two_body):
    r = simulate(two_body(), t_end=0.35, criterion=Constant(0.1))
    assert (r.steps.item(), r.dt_min.item(), r.dt_max.item()) == (4, 0.1, 0.1)
    only = simulate(two_body(), t_end=0.05, criterion=Constant(0.1))
    assert (only.steps.item(), only.dt_min.item(), only.dt_max.item()) == (1, 0.05, 0.05)
    various = simulate(two_body(), t_end=1.0, criterion=Plays(0.3, 0.05, 0.2, 0.4, 0.9))
    assert (various.steps.item(), various.dt_min.item(), various.dt_max.item()) == (5, 0.05, 0.4)


def test_errors_are_those_of_the_states(random_system):
    p, watch = random_system(3, 3, systems=2, softening=0.1), Watch()
    r = simulate(p, steps=25, criterion=FreeFall(0.05), observer=watch)
    E0, errors = p.total_energy(), torch.stack([e for _, _, e, _ in watch.rows])
    assert torch.equal(r.final_energy_error, relative_error(E0, r.final.total_energy()))
    assert torch.equal(r.max_energy_error, errors.amax(0))
    assert (r.max_energy_error > errors[:5].amax(0)).all()
    L = (angular_momentum(r.final) - angular_momentum(p)).norm(dim=-1)
    assert (r.momentum_error < 1e-14).all()
    assert (r.angular_momentum_error < 1e-14).all()
    assert torch.equal(L == 0, r.angular_momentum_error == 0)


def test_momentum_errors_are_relative_to_the_sum_of_the_sizes(two_body):
    """A pair at rest as a whole has no momentum to compare with. A push on the way shows in the units of sum m|v|."""
    p = two_body(e=0.3, q=0.1)
    assert momentum(p).norm().item() < 1e-16

    def push(before, after, error, running):
        after.velocity.add_(torch.tensor([3e-3, 4e-3], dtype=torch.float64))

    r = simulate(p, steps=1, criterion=Constant(1e-9), observer=push)
    sizes = (r.final.mass * r.final.velocity.norm(dim=-1)).sum().item()
    assert r.momentum_error.item() == pytest.approx(5e-3 / sizes, rel=1e-6)
    heavy = ParticleTorch.from_tensors(p.mass * 1e30, p.position, p.velocity * 1e15)
    assert simulate(heavy, steps=5, criterion=FreeFall(0.1)).momentum_error.item() < 1e-14


def test_default_is_the_learned_step_of_the_package_made_symmetric(two_body):
    """Whatever order it takes for the tolerance: the finer, the higher; result says what was asked and whether it was kept."""
    p, orders = two_body(e=0.5), []
    for tol in (1e-2, 1e-3, 1e-4, 1e-6):
        by_default = simulate(p, t_end=20.0, tol=tol)
        orders.append(COMPOSITIONS[by_default.integrator].order)
        step = LearnedStep.load("default", tol)
        assert step.integrator == by_default.integrator
        spelled = simulate(p, t_end=20.0, criterion=Symmetrized(step))
        assert torch.equal(by_default.final.position, spelled.final.position)
        assert by_default.criterion == "symmetrized(learned)"
        assert 0.001 * tol < by_default.max_energy_error.item() < tol
        assert by_default.within_tolerance.tolist() == [True]
        assert by_default.summary()["tol"] == tol
        assert by_default.reports["steps_outside_training"].item() == 0
    assert orders == sorted(orders)
    for bad in (0.0, -1e-3, math.nan, math.inf):
        with pytest.raises(ConfigError, match=f"tol = {bad} must be a positive number"):
            simulate(p, steps=1, tol=bad)
    for name in COMPOSITIONS:
        assert simulate(p, steps=2, tol=1e-4, integrator=name).integrator == name


def test_beyond_what_the_networks_know_the_default_says_so(two_body):
    """Far tighter than an integrator is good for it is EnergyBudget again; with the choice left free, Gauss-Radau."""
    p = two_body(e=0.5)
    assert simulate(p, t_end=1.0, tol=1e-9, integrator="leapfrog").criterion == "symmetrized(energybudget(1e-09))"
    finest = simulate(p, t_end=20.0, tol=1e-11)
    assert finest.integrator == "radau15"
    assert finest.max_energy_error.item() < 1e-11
    assert simulate(p, steps=3, criterion=FreeFall(0.01)).tol is None
    assert finest.advice == ()
    missed = simulate(p, t_end=20.0, criterion=EnergyBudget(1e-3, c=20.0))
    assert missed.within_tolerance.tolist() == [False]
    assert missed.summary()["kept"] is False


def test_advice_that_is_followed_helps(two_body):
    """A tolerance that was missed is kept with the one advised; a run that broke off is told why, each system by its number."""
    p = two_body(e=0.5)
    missed = simulate(p, t_end=20.0, criterion=EnergyBudget(1e-3, c=8.0))
    (sentence,) = missed.advice
    assert f"energy error of {missed.max_energy_error.item():.1e}, above the 1.0e-03 asked for" in sentence
    advised = float(sentence.split()[-1].rstrip("."))
    assert simulate(p, t_end=20.0, criterion=EnergyBudget(advised, c=8.0)).max_energy_error.item() < 1e-3
    batch = ParticleTorch.stack([p, p])
    broken = simulate(batch, t_end=torch.tensor([20.0, 1e-3]), criterion=FreeFall(0.01), max_steps=10)
    assert broken.advice == ("system 0 used up its steps: allow more of them (max_steps), or ask for a looser tol.",)


# ---- outer fields -------------------------------------------------------------------------------------------------------
def test_an_outer_field_given_to_the_run_acts_and_has_no_momentum_to_keep(two_body):
    p, field = two_body(e=0.2), PointMassTidalField(20.0, R0=5.0)
    r = simulate(p, t_end=2.0, criterion=Constant(0.01), external_field=field)
    with_field = simulate(two_body(e=0.2, external_field=field), t_end=2.0, criterion=Constant(0.01))
    assert torch.equal(r.final.position, with_field.final.position)
    assert (r.final.position - simulate(p, t_end=2.0, criterion=Constant(0.01)).final.position).abs().max() > 1e-2
    assert r.momentum_error is None
    assert r.angular_momentum_error is None
    assert r.max_energy_error.item() < 2e-4
    assert r.summary()["momentum_error"] is None


@pytest.mark.parametrize(("integrator", "counts"), [("leapfrog", (100, 200, 400)), ("suzuki4", (20, 40, 80))])
def test_reported_error_in_a_moving_field_leaves_out_its_work_and_converges(two_body, slope, integrator, counts):
    p = two_body(e=0.2, external_field=tidal(M=5.0, R0=4.0, period=5.0))
    runs = [simulate(p, steps=n, criterion=Constant(2.0 / n), integrator=integrator) for n in counts]
    errors = [r.max_energy_error.item() for r in runs]
    assert slope([1 / n for n in counts], errors) == pytest.approx(COMPOSITIONS[integrator].order, abs=0.25)
    moved = relative_error(p.total_energy(), runs[-1].final.total_energy()).item()
    assert moved > 0.02
    assert errors[-1] < 1e-3 * moved


# ---- what goes in and comes out -----------------------------------------------------------------------------------------
def test_anything_with_mass_position_velocity_will_do(two_body):
    p = two_body(e=0.5)
    arrays = SimpleNamespace(mass=p.mass[0].numpy(), position=p.position[0].tolist(), velocity=np.asarray(p.velocity[0]))
    r = simulate(arrays, steps=5, criterion=Constant(0.01))
    assert torch.equal(r.final.position, simulate(p, steps=5, criterion=Constant(0.01)).final.position)
    units = SimpleNamespace(**vars(arrays), G=4.0, softening=0.5)
    expected = simulate(two_body(e=0.5, softening=0.5), steps=5, criterion=Constant(0.01))
    own = ParticleTorch.from_tensors(p.mass, p.position, p.velocity, G=4.0, softening=0.5)
    found = simulate(units, steps=5, criterion=Constant(0.01)).final
    assert torch.equal(found.position, simulate(own, steps=5, criterion=Constant(0.01)).final.position)
    assert not torch.equal(found.position, expected.final.position)
    with pytest.raises(InitialConditionError, match="simulate needs mass, position and velocity arrays; dict lacks some"):
        simulate({"mass": 1}, steps=1)


def test_the_integrator_is_the_criterions_unless_named(two_body):
    p = two_body(e=0.5)
    assert simulate(p, steps=2, criterion=EnergyBudget(1e-4, integrator="kahan_li8")).integrator == "kahan_li8"
    assert simulate(p, steps=2, criterion=FreeFall()).integrator == "leapfrog"
    named = simulate(p, steps=2, criterion=FreeFall(0.1), integrator="kahan_li6")
    assert named.integrator == "kahan_li6"
    dt = FreeFall(0.1).step_size(p, None)
    torch.testing.assert_close(
        simulate(p, steps=1, criterion=FreeFall(0.1), integrator="kahan_li6").final.position,
        step(p, dt, "kahan_li6").position,
        rtol=0,
        atol=1e-14,
    )
    with pytest.raises(ConfigError, match="integrator = 'leapfrg': did you mean 'leapfrog'"):
        simulate(p, steps=1, criterion=FreeFall(0.1), integrator="leapfrg")
    with pytest.raises(ConfigError, match="integrator = 'leapfrg'"):
        simulate(p, steps=1, integrator="leapfrg")


def test_summaries_are_plain_json(two_body):
    one = simulate(two_body(), t_end=0.3, criterion=Constant(0.1))
    summary = json.loads(json.dumps(one.summary(), allow_nan=False))
    assert summary == {
        **summary,
        "status": "ok",
        "time": 0.3,
        "steps": 3,
        "force_evaluations": 4,
        "max_energy_error": one.max_energy_error.item(),
        "final_energy_error": one.final_energy_error.item(),
        "dt_min": 0.1,
        "dt_max": 0.1,
        "criterion": "constant(0.1)",
        "integrator": "leapfrog",
    }
    assert {"momentum_error", "angular_momentum_error", "wall_time"} <= set(summary)
    assert 0 < summary["wall_time"] < 60
    many = simulate(ParticleTorch.stack([two_body(), two_body(time=0.3)]), t_end=0.3, criterion=Constant(0.1))
    summary = json.loads(json.dumps(many.summary(), allow_nan=False))
    assert [s["steps"] for s in summary["systems"]] == [3, 0]
    assert summary["systems"][1]["dt_min"] is None  # no step, no smallest one


def test_criteria_describe_themselves():
    assert describe_criterion(FreeFall(0.02)) == "freefall(0.02)"
    assert describe_criterion(Symmetrized(EnergyBudget(1e-6))) == "symmetrized(energybudget(1e-06))"


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_precision_is_kept_and_the_end_exact(two_body, precision):
    p = two_body(e=0.5).to(dtype=precision)
    r = simulate(p, t_end=1.0, criterion=Symmetrized(FreeFall(0.02)))
    assert r.final.position.dtype == r.max_energy_error.dtype == precision
    assert r.final.time.item() == 1.0
    reference = simulate(two_body(e=0.5), t_end=1.0, criterion=Symmetrized(FreeFall(0.02))).final
    torch.testing.assert_close(r.final.position.double(), reference.position, rtol=0, atol=1e-5)
