"""The loop in torch by scripted steps: ends reached exactly, systems that leave, what breaks off, and what a run reports."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from scripted import Script

from aitimestepper import differentiable
from aitimestepper.bodies import Bodies
from aitimestepper.config import Config
from aitimestepper.criteria.classical import PRS23, Constant, EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import HutMakinoMcMillan, Symmetrized
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.conserved import energy_scale
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.learned import LearnedModule
from aitimestepper.differentiable.loop import simulate
from aitimestepper.differentiable.network import build_network
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.stepping import step
from aitimestepper.errors import ConfigError, InitialConditionError, SimulationWarning
from aitimestepper.fields import PointMassTidalField, tidal
from aitimestepper.initial import named as initial
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.policy import cheapest_splitting
from aitimestepper.simulate.result import SimulationResult


# ---- ends ---------------------------------------------------------------------------------------------------------------
def test_the_end_is_reached_exactly_and_the_last_step_does_not_count_as_one_of_the_criterion(two_body):
    r = simulate(two_body(), t_end=1.0, criterion=Constant(0.3))
    assert r.final.time.tolist() == [1.0]
    assert (r.status, r.steps.tolist()) == (("ok",), [4])
    assert r.dt_min.tolist() == r.dt_max.tolist() == [0.3]
    short = simulate(two_body(), t_end=0.1, criterion=Constant(0.3))
    assert (short.steps.tolist(), short.dt_max.tolist()) == ([1], [0.1])


def test_a_run_is_the_sequence_of_its_steps(random_system):
    p, dts = random_system(4, 3, systems=2), [[0.1, 0.02], [0.05, 0.03], [0.2, 0.01]]
    for integrator in SPLITTINGS:
        r, state = simulate(p, steps=3, criterion=Script(*dts), integrator=integrator), p
        for dt in dts:
            state = step(state, torch.tensor(dt, dtype=torch.float64), integrator)
        assert np.array_equal(r.final.position, state.position)
        assert np.array_equal(r.final.velocity, state.velocity)
        assert np.array_equal(r.final.time, state.time)
        forces = 3 * SPLITTINGS[integrator].stages + 1
        assert (r.integrator, r.force_evaluations.tolist()) == (integrator, [forces] * 2)


def test_every_system_has_its_own_end_and_goes_on_as_alone(random_system):
    p, ends = random_system(3, 2, systems=3, time=[0.0, 0.2, 0.1]), [0.5, 0.2, 0.25]
    together = simulate(p, t_end=ends, criterion=FreeFall(0.05))
    assert together.final.time.tolist() == ends
    assert together.steps[1] == 0
    for i in range(3):
        alone = simulate(p.select(torch.tensor([i])), t_end=ends[i], criterion=FreeFall(0.05))
        assert np.array_equal(together.final.position[i], alone.final.position[0])
        assert together.steps[i] == alone.steps[0]
        assert together.max_energy_error[i] == alone.max_energy_error[0]
    late = simulate(p, t_end=0.2, criterion=FreeFall(0.05))  # one time for all: a system that is there already stays
    assert late.final.time.tolist() == [0.2, 0.2, 0.2]
    assert late.steps[1] == 0


def test_steps_are_counted_and_limited(two_body):
    p = two_body()
    assert simulate(p, steps=5, criterion=Constant(0.01)).status == ("ok",)
    r = simulate(p, t_end=1.0, max_steps=5, criterion=Constant(0.01))
    assert (r.status, r.steps.tolist(), r.final.time.tolist()) == (("max_steps",), [5], [pytest.approx(0.05)])
    assert simulate(p, steps=5, max_steps=3, criterion=Constant(0.01)).status == ("max_steps",)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "t_end = None and steps = None: give exactly one"),
        ({"t_end": 1.0, "steps": 3}, "t_end = 1.0 and steps = 3: give exactly one"),
        ({"steps": 0}, "steps = 0 must be a whole number, 1 or more"),
        ({"steps": 2.5}, "steps = 2.5 must be a whole number"),
        ({"t_end": 1.0, "max_steps": 0}, "max_steps = 0 must be a whole number"),
        ({"t_end": -1.0}, "t_end = -1 is before the start, t = 0: the loop in torch goes forward only"),
        ({"t_end": [1.0, 2.0]}, "give one time, or one for each of the 1 systems"),
        ({"steps": 1, "integrator": "hermite4"}, "integrator = hermite4: the loop in torch takes splittings only"),
        ({"steps": 1, "criterion": PRS23()}, "integrator = radau15: the loop in torch takes splittings only"),
        ({"steps": 1, "criterion": module_for(FreeFall()), "tol": 1e-3}, "tol = 0.001 does not reach a step module"),
        ({"steps": 1, "dt_min": 0.2, "dt_max": 0.1}, "dt_min = 0.2 and dt_max = 0.1 must be numbers, 0 <= dt_min <= dt_max"),
    ],
)
def test_what_makes_no_run_is_refused(two_body, how, message):
    with pytest.raises(ConfigError, match=message):
        simulate(two_body(), **{"criterion": FreeFall(), **how})


# ---- what breaks off ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", [math.nan, -0.1])
def test_a_step_that_is_none_ends_its_system_only(random_system, bad):
    p = random_system(3, 2, systems=2)
    r = simulate(p, t_end=0.3, criterion=Script([0.1, 0.1], [0.1, bad], [0.1, 0.1]))
    assert r.status == ("ok", "non_finite")
    assert r.steps.tolist() == [3, 1]
    assert r.final.time.tolist() == [0.3, 0.1]
    assert r.reports["chosen"].tolist() == [3, 1]
    assert np.isfinite(r.final.position).all()


@pytest.mark.parametrize("tiny", [0.0, 1e-18, 1e-30])
def test_a_step_below_the_round_off_of_the_time_is_stuck(random_system, tiny):
    p = random_system(3, 2, systems=2, time=[0.0, 1.0])
    r = simulate(p, t_end=[0.3, 2.0], criterion=Script([0.1, 0.1], [0.1, tiny], [0.1, 0.1]))
    assert r.status == ("ok", "stuck")
    assert r.steps.tolist() == [3, 1]


def test_a_step_that_leads_to_infinity_is_not_taken_but_its_forces_count(random_system):
    """The last finite state stays, and the other systems go on as alone."""
    p = random_system(3, 2, systems=2)
    r = simulate(p, steps=4, criterion=Script([0.1, 0.1], [0.1, 1e308], [0.1, 0.1]))
    assert r.status == ("ok", "non_finite")
    assert r.steps.tolist() == [4, 1]
    assert r.force_evaluations.tolist() == [5, 3]
    assert np.array_equal(r.final.position[1], step(p, torch.full((2,), 0.1, dtype=torch.float64)).position[1])
    alone = simulate(p.select(torch.tensor([0])), steps=4, criterion=Constant(0.1))
    assert np.array_equal(r.final.position[0], alone.final.position[0])
    assert simulate(p, steps=1, criterion=Script([0.1, math.inf])).status == ("ok", "non_finite")


# ---- results -------------------------------------------------------------------------------------------
def test_the_observer_sees_every_step_of_the_systems_that_took_it(random_system):
    p, calls = random_system(3, 2, systems=2), []
    r = simulate(p, t_end=[0.2, 0.3], criterion=Constant(0.1), observer=lambda *call: calls.append(call))
    assert [running.tolist() for *_, running in calls] == [[0, 1], [0, 1], [1]]
    before, after, error, _ = calls[0]
    assert torch.equal(before.position, p.position)
    assert torch.equal(after.position, step(p, after.dt).position)
    expected = (after.total_energy() - p.total_energy()).abs() / energy_scale(p)
    assert torch.equal(error, expected)
    assert r.max_energy_error[0] == max(call[2][0].item() for call in calls[:2])
    assert r.final_energy_error[1] == calls[-1][2].item()
    assert not calls[-1][1].position.requires_grad


def test_errors_are_measured_against_the_scale_of_the_start():
    """A parabolic pair, whose energy is 0, and a system that moves as a whole, whose energy in our frame is large."""
    pair = ParticleTorch.from_tensors([1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]], [[0.0, -0.5], [0.0, 0.5]], G=0.5)
    boosted = ParticleTorch.from_tensors(pair.mass, pair.position, pair.velocity + 4.0, G=0.5)
    still, moving = (simulate(p, t_end=0.5, criterion=Constant(0.1)) for p in (pair, boosted))
    assert still.status == ("ok",)
    change = abs(still.final.total_energy().item() - pair.total_energy().item())
    assert still.final_energy_error.item() == pytest.approx(change / (1e-4 * 2 * 0.25), rel=1e-9)
    assert moving.final_energy_error.item() == pytest.approx(still.final_energy_error.item(), rel=1e-8)


def test_results_are_arrays_in_double_precision(random_system):
    p = random_system(3, 2, systems=2).to(dtype=torch.float32)
    seen = []
    r = simulate(p, t_end=0.1, criterion=FreeFall(0.02), observer=lambda b, a, e, i: seen.append(a.position.dtype))
    assert isinstance(r, SimulationResult)
    assert set(seen) == {torch.float32}
    assert r.final.position.dtype == r.max_energy_error.dtype == r.dt_max.dtype == np.float64
    assert r.steps.dtype == r.force_evaluations.dtype == r.rejected_steps.dtype == np.int64
    double = simulate(random_system(3, 2, systems=2), t_end=0.1, criterion=FreeFall(0.02))
    np.testing.assert_allclose(r.final.position, double.final.position, rtol=0, atol=1e-5)
    assert r.summary()["systems"][0]["status"] == "ok"
    assert (r.momentum_error < 1e-6).all()


def test_bodies_go_in_and_come_out_with_their_names():
    bodies = Bodies([1.0, 0.5], [[-1.0, 0.0], [2.0, 0.0]], [[0.0, -0.2], [0.0, 0.4]], names=["star", "planet"], time=3.0)
    r = simulate(bodies, t_end=4.0, criterion=FreeFall(0.02))
    assert (r.final.names, r.final.time.tolist()) == (("star", "planet"), [4.0])
    with_field = simulate(bodies, t_end=4.0, criterion=FreeFall(0.02), external_field=PointMassTidalField(5.0, R0=20.0))
    assert with_field.final.external_field is not None
    assert with_field.momentum_error is None
    assert np.abs(with_field.final.position - r.final.position).max() > 1e-5


def test_the_input_stays_as_it_was(random_system, same_bits):
    p = random_system(3, 2, dt=0.7)
    before = p.clone_detached()
    simulate(p, steps=3, criterion=FreeFall(0.1), external_field=PointMassTidalField(5.0, R0=20.0))
    assert p.external_field is None
    assert all(same_bits(p.tensors()[k], x) for k, x in before.tensors().items())


class Swing:
    """A field of torch operations alone, which the compiled engine and arrays cannot use."""

    time_dependent = True

    def acceleration(self, x, t):
        return -torch.sin(x) * torch.cos(t).view(-1, 1, 1)

    def potential(self, x, t):
        return -torch.cos(x).sum(-1) * torch.cos(t).view(-1, 1)


def test_any_field_of_torch_operations_acts_and_its_work_is_left_out_of_the_error(two_body):
    start = two_body(e=0.2).set_external_field(Swing())
    errors = [simulate(start, t_end=1.0, criterion=Constant(dt)).max_energy_error.item() for dt in (0.02, 0.01)]
    r = simulate(start, t_end=1.0, criterion=Constant(0.01))
    assert r.final.external_field is start.external_field
    assert errors[0] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    moved = ParticleTorch.from_tensors(r.final.mass, r.final.position, r.final.velocity, time=1.0, external_field=Swing())
    assert abs(moved.total_energy() - start.total_energy()).item() > 0.05  # what the field did


def test_work_stays_with_its_systems_when_others_end(two_body):
    p = ParticleTorch.stack([two_body(e=0.2, time=t) for t in (0.0, 0.4)]).set_external_field(tidal(M=5.0, R0=4.0, period=5.0))
    together = simulate(p, t_end=[0.3, 1.0], criterion=FreeFall(0.02))
    for i, end in enumerate((0.3, 1.0)):
        alone = simulate(p.select(torch.tensor([i])), t_end=end, criterion=FreeFall(0.02))
        assert together.max_energy_error[i] == alone.max_energy_error[0]
        assert together.max_energy_error[i] < 1e-4


# ---- who chooses ----------------------------------------------------------------------------------------------------------
def test_values_text_and_modules_are_the_same_run(two_body):
    p = two_body(e=0.5)
    runs = [
        simulate(p, steps=20, criterion=c, integrator="leapfrog")
        for c in (FreeFall(0.03), "freefall:eta=0.03", module_for(FreeFall(0.03)))
    ]
    assert [r.criterion for r in runs] == ["freefall(0.03)", "freefall(0.03)", "ClassicalModule"]
    for r in runs[1:]:
        assert np.array_equal(r.final.position, runs[0].final.position)
    assert simulate(p, steps=1, criterion=FreeFall(0.03), dt_max=1e-3).criterion.startswith("limited(freefall(0.03)")


def test_the_integrator_is_that_of_the_criterion_unless_another_is_asked_for(two_body):
    p = two_body(e=0.5)
    for criterion in (EnergyBudget(1e-4, integrator="suzuki4"), module_for(EnergyBudget(1e-4, integrator="suzuki4"))):
        assert simulate(p, steps=1, criterion=criterion).integrator == "suzuki4"
    assert simulate(p, steps=1, criterion=module_for(FreeFall())).integrator == "leapfrog"
    assert simulate(p, steps=1, criterion=module_for(FreeFall()), integrator="kahan_li6").integrator == "kahan_li6"
    r = simulate(p, steps=4, criterion=HutMakinoMcMillan(FreeFall(), iterations=2), integrator="suzuki4")
    assert r.force_evaluations.tolist() == [4 * 5 * 3 + 1]


def test_a_tolerance_alone_picks_the_learned_step_of_the_package(two_body):
    p = two_body(e=0.5)
    r = simulate(p, t_end=2.0, tol=1e-4)
    assert (r.criterion, r.integrator, r.tol.tolist()) == ("symmetrized(learned)", cheapest_splitting(1e-4), [1e-4])
    assert r.within_tolerance.all()
    sweep = simulate(p.select(torch.tensor([0, 0])), steps=2, criterion=Symmetrized(EnergyBudget([1e-2, 1e-3])))
    assert sweep.tol.tolist() == [1e-2, 1e-3]


def test_any_network_with_an_adapter_drives_a_run(two_body):
    p = two_body(e=0.5)
    network = torch.nn.Sequential(torch.nn.Linear(11, 4, dtype=torch.float64), torch.nn.Linear(4, 2, dtype=torch.float64))
    torch.nn.init.constant_(network[1].weight, 0.0)
    torch.nn.init.constant_(network[1].bias, 0.01)
    r = simulate(p, t_end=0.1, criterion=LearnedModule(network, ModelAdapter(Config(integrator="suzuki4"))))
    assert (r.integrator, r.status, r.steps.tolist()) == ("suzuki4", ("ok",), [10])
    assert r.tol is None


def test_a_network_made_for_one_integrator_is_not_run_with_another(two_body):
    config = Config(feature_type="basic", integrator="suzuki4", seed=1)
    module = LearnedModule(build_network(config), ModelAdapter(config))
    with pytest.raises(ConfigError, match="made for integrator = suzuki4, not for leapfrog"):
        simulate(two_body(), steps=1, criterion=module, integrator="leapfrog")


def test_what_is_not_bodies_is_refused():
    with pytest.raises(InitialConditionError, match="dict has no masses: it needs a column mass or m"):
        simulate({}, steps=1, criterion=FreeFall())


def test_the_loop_is_a_public_name():
    assert differentiable.simulate is simulate
    assert differentiable.module_for is module_for


def test_it_warns_as_the_engine_does():
    """Bodies of a result begin a new run here."""
    start = initial.kepler(e=0.9)
    with pytest.warns(SimulationWarning, match="so that its result means little"):
        result = simulate(start, t_end=10.0, criterion=Constant(0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = simulate(result, t_end=11.0, criterion=Constant(0.01), warn=False)
    assert again.steps[0] in (100, 101)
