"""The learned step: one dt for one state, the same in training and in simulation, below a physical ceiling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scripted import FEATURE_TYPES, ConstantNetwork, dt_of
from torch import nn

from aitimestepper.config import Config
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.conserved import energy_scale
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.learned import LearnedModule
from aitimestepper.differentiable.loop import simulate
from aitimestepper.differentiable.network import build_network, model_from
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.stepping import step
from aitimestepper.differentiable.wrappers import LimitedModule, SymmetrizedModule
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.models import SHIPPED, save_model


def learned(p: ParticleTorch | None = None, tol=None, eval_mode=True, **settings) -> LearnedModule:
    config = Config(**{"seed": 3, "layers": (16, 16), "device": "cpu", **settings})
    adapter = ModelAdapter(config)
    if p is not None:
        adapter.measure_scales(p)
    network = build_network(config)
    network.train(not eval_mode)
    return LearnedModule(network, adapter, tol)


def at_tolerance(module: LearnedModule, tol) -> LearnedModule:
    return LearnedModule(module.network, module.adapter, tol)


def walk(p, module, n):
    """Yield states, memories and steps of a run, one by one; a memory is that after its step was chosen."""
    memory = module.init(p)
    for _ in range(n):
        dt, memory = module.choose(p, memory)
        yield p, memory, dt
        p = step(p, dt, module.made_for)


@FEATURE_TYPES
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_same_state_always_gives_the_same_dt(two_body, feature_type, history_len, dropout):
    """Trap 5, with dropout and the model in training mode as well.

    `predict_dt` knows no run: with invariant features its step is that of a run which begins at the state.
    """
    p = two_body(e=0.7)
    module = learned(p, feature_type=feature_type, history_len=history_len, dropout=dropout, eval_mode=False)
    before = module.init(p)
    for state, memory, dt in walk(p, module, 4):
        for _ in range(3):
            assert torch.equal(module.choose(state, before)[0], dt)
            alone = module.adapter.predict_dt(module.network, state, memory.history)
            assert torch.equal(alone, dt_of(module, state) if feature_type == "invariant" else dt)
        before = memory
        assert module.network.training


@FEATURE_TYPES
def test_training_and_simulation_choose_the_same_step(two_body, feature_type, history_len):
    """Trap 9: dt from `ModelAdapter.predict_dt` is that of the module to the bit, all along a run of the loop.

    Invariant features see the energy at the start of the run, which `predict_dt` knows nothing of: it is asked at the start,
    and along the run the observation is given that energy and its scale.
    """
    p = ParticleTorch.stack([two_body(e=0.7), two_body(e=0.2, q=0.1)])
    module = learned(p, feature_type=feature_type, history_len=history_len)
    steps = []
    simulate(p, steps=6, criterion=module, observer=lambda before, after, error, running: steps.append((before, after.dt)))
    history = module.adapter.new_history()
    for n, (before, dt) in enumerate(steps):
        if feature_type != "invariant" or n == 0:
            assert torch.equal(module.adapter.predict_dt(module.network, before, history).detach(), dt)
        else:
            observed = module.adapter.observe(before, None, p.total_energy(), scale=energy_scale(p))
            assert torch.equal(module.adapter.predict(module.network, observed).dt.detach(), dt)
            assert (module.adapter.predict_dt(module.network, before) != dt).all()  # S has changed
        module.adapter.update_history(history, before, dt)
    assert len(steps) == 6
    assert len({dt[0].item() for _, dt in steps}) == 6  # dt does depend on the state


@FEATURE_TYPES
def test_a_model_is_all_that_a_run_needs(tmp_path, two_body, feature_type, history_len):
    """INTG-03: nothing to specify again."""
    p = two_body(e=0.7, G=2.0)
    settings = {"integrator": "suzuki4", "dt_ceiling": 0.07, "G": 2.0, "dropout": 0.2}
    trained = learned(p, feature_type=feature_type, history_len=history_len, **settings)
    model = model_from(trained.network, trained.adapter.config, trained.adapter.scales)
    path = save_model(tmp_path / "model_epoch_0003.npz", model)
    for source in (path, tmp_path, str(path)):
        a, b = (simulate(p, steps=5, criterion=c) for c in (trained, LearnedStep.load(source)))
        assert np.array_equal(a.final.position, b.final.position)
        assert a.integrator == b.integrator == "suzuki4"


def test_a_network_in_single_precision_keeps_its_precision_and_the_bodies_theirs(two_body):
    p = two_body(e=0.5)
    module = learned(p, dtype="float32")
    assert {x.dtype for x in module.network.parameters()} == {torch.float32}
    dt = dt_of(module, p)
    assert dt.dtype == torch.float64
    double = learned(p)
    double.network.load_state_dict(module.network.state_dict())
    assert dt.item() == pytest.approx(dt_of(double, p).item(), rel=1e-5, abs=0)
    as_a_value = LearnedStep(model_from(module.network, module.adapter.config, module.adapter.scales))
    assert torch.equal(dt_of(module_for(as_a_value), p), dt_of(double, p))  # INTG-03: what was trained in single runs in double
    assert simulate(p, steps=5, criterion=module).status == ("ok",)
    plain = nn.Sequential(nn.Linear(11, 2), nn.Softplus())  # float32, as torch makes them
    assert ModelAdapter(Config()).predict_dt(plain, p).dtype == torch.float64
    with_history = learned(p, dtype="float32", feature_type="delta_mag", history_len=2)
    assert simulate(p, steps=5, criterion=with_history).status == ("ok",)
    single = learned(p).choose(p.to(dtype=torch.float32), learned(p).init(p.to(dtype=torch.float32)))[0]
    assert single.item() == pytest.approx(dt_of(double, p).item(), rel=1e-2)


@FEATURE_TYPES
def test_absent_bodies_and_numbering_do_not_matter(random_system, padded, feature_type, history_len):
    p = random_system(4, 3)
    module = learned(p, feature_type=feature_type, history_len=history_len)
    order = torch.tensor([2, 0, 3, 1])
    renumbered = ParticleTorch.from_tensors(p.mass[:, order], p.position[:, order], p.velocity[:, order])
    a, b, c = ([dt for _, _, dt in walk(q, module, 5)] for q in (p, padded(p, 7), renumbered))
    assert torch.equal(torch.cat(a), torch.cat(b))
    torch.testing.assert_close(torch.cat(c), torch.cat(a), rtol=1e-10, atol=0)


@FEATURE_TYPES
def test_normalized_steps_do_not_depend_on_units(two_body, feature_type, history_len):
    mass, length, time = 1.989e30, 1.496e11, 5.0226e6
    p = two_body(e=0.6, q=0.3)
    q = ParticleTorch.from_tensors(
        p.mass * mass, p.position * length, p.velocity * (length / time), G=length**3 / (mass * time**2)
    )
    steps = []
    for system in (p, q):
        module = learned(system, feature_type=feature_type, history_len=history_len)
        steps.append(torch.cat([dt for _, _, dt in walk(system, module, 5)]))
    torch.testing.assert_close(steps[1], time * steps[0], rtol=1e-9, atol=0)


@pytest.mark.parametrize("integrator", SPLITTINGS)
def test_a_tolerance_scales_the_step_by_the_order_of_the_error_of_one_step(two_body, integrator):
    p, order = two_body(e=0.5), SPLITTINGS[integrator].order
    plain = learned(p, integrator=integrator, energy_threshold=2e-4)
    finer = at_tolerance(plain, 2e-8)
    assert finer.made_for == integrator
    expected = dt_of(plain, p).item() * 1e-4 ** (1 / (order + 1))
    assert dt_of(finer, p).item() == pytest.approx(expected, rel=1e-12, abs=0)
    for bad in (0.0, -1e-3, math.inf, math.nan):
        with pytest.raises(ConfigError, match=f"tol = {bad} must be a positive number"):
            at_tolerance(plain, bad)


@pytest.mark.parametrize("feature_type", ["basic", "rich", "delta_mag"])
def test_choosing_a_step_changes_no_memory(two_body, feature_type):
    """The new memory has a window of its own; the old one still gives the same step."""
    p = two_body(e=0.5)
    module = learned(p, feature_type=feature_type, history_len=2)
    start = module.init(p)
    dt, first = module.choose(p, start)
    following = step(p, dt)
    second = module.choose(following, first)
    assert (len(start.history), len(first.history), len(second[1].history)) == (0, 0, 1)
    assert torch.equal(module.choose(p, start)[0], dt)
    assert torch.equal(module.choose(following, first)[0], second[0])
    assert learned(p).init(p).history is None


def test_the_window_holds_the_step_that_was_taken(two_body):
    """Limits around the network cut the step that it chose: the next transition lasted as long as the step taken."""
    p = two_body(e=0.5)
    module = LimitedModule(learned(p, feature_type="delta_mag", history_len=1), dt_max=1e-4)
    dt, memory = module.choose(p, module.init(p))
    after = step(p, dt)
    window = module.choose(after, memory)[1].history
    assert dt.item() == 1e-4
    assert window.features_for(after)[0, 9].item() == 1e-4


def test_a_run_reports_what_error_the_network_expected_and_how_often_the_ceiling_cut(two_body):
    """Column 1 is used: the largest expected error of a run, and the number of shortened steps, are in the result."""
    p = two_body(e=0.5)
    module = learned(p)
    with torch.no_grad():
        module.network.log_error.weight.zero_()
        module.network.log_error.bias.fill_(-3.0)
    result = simulate(p, steps=5, criterion=SymmetrizedModule(module))
    assert result.reports["expected_step_error"].item() == pytest.approx(1e-3)
    assert result.reports["steps_at_ceiling"].item() == 0
    assert result.summary()["expected_step_error"] == pytest.approx(1e-3)
    with torch.no_grad():
        module.network.log_dt.bias += 3.0  # dt 1e5 times as long
    assert simulate(p, steps=5, criterion=module).reports["steps_at_ceiling"].item() == 5


@pytest.mark.parametrize("feature_type", ["basic", "delta_mag"])
def test_windows_stay_with_their_systems_when_others_end(two_body, feature_type):
    systems = [two_body(e=0.9, time=1.0), two_body(e=0.3), two_body(e=0.6, time=0.9)]
    batch = ParticleTorch.stack(systems)
    module = learned(batch, feature_type=feature_type, history_len=3)
    together = simulate(batch, t_end=1.2, criterion=module)
    assert together.status == ("ok",) * 3
    for i, p in enumerate(systems):
        alone = simulate(p, t_end=1.2, criterion=module)
        assert together.steps[i] == alone.steps[0]
        # not to the bit: matrix products group their sums by the size of the batch
        np.testing.assert_allclose(together.final.position[i], alone.final.position[0], rtol=0, atol=1e-12)


def test_only_a_network_without_history_can_be_symmetrized(two_body):
    p = two_body(e=0.5)
    assert learned(p).velocity_even
    assert dt_of(SymmetrizedModule(learned(p)), p).shape == (1,)
    remembers = learned(p, history_len=2)
    assert not remembers.velocity_even
    for module in (remembers, LimitedModule(remembers, 1e-3)):
        with pytest.raises(ConfigError, match=r"SymmetrizedModule needs a step that is even.*history_len = 0"):
            SymmetrizedModule(module)


def test_steps_without_history_are_even_in_the_velocities(two_body, flipped):
    p = two_body(e=0.5, anomaly=1.0)
    for kind in ("basic", "rich", "invariant"):
        module = learned(p, feature_type=kind)
        assert torch.equal(dt_of(module, flipped(p)), dt_of(module, p))


def test_no_graph_grows_along_a_run(two_body):
    p = two_body(e=0.5)
    module = learned(p, history_len=2)
    for state, memory, dt in walk(p, module, 4):
        assert not dt.requires_grad
        assert not state.position.requires_grad
        assert memory.history.slots is None or not memory.history.slots.requires_grad
    assert module.adapter.predict_dt(module.network, p).requires_grad  # training has one


def test_the_networks_own_estimate_comes_with_the_step(two_body):
    p = two_body()
    adapter = ModelAdapter(Config())
    answer = LearnedModule(ConstantNetwork(), adapter).predict(p)
    assert answer.log10_error.tolist() == [-4.0]
    assert torch.equal(answer.dt, dt_of(LearnedModule(ConstantNetwork(), adapter), p))


def test_every_system_may_have_a_tolerance_of_its_own(random_system):
    p = random_system(3, 2, systems=3)
    tols = [1e-2, 1e-4, 1e-6]
    for one in (learned(feature_type="invariant"), learned(p, feature_type="basic")):
        together = dt_of(at_tolerance(one, tols), p)
        for i, tol in enumerate(tols):
            alone = dt_of(at_tolerance(one, tol), p.select(torch.tensor([i])))
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-13, atol=0)
    with pytest.raises(ConfigError, match="3 tolerances do not fit 2 systems"):
        dt_of(at_tolerance(learned(feature_type="invariant"), tols), random_system(3, systems=2))


@pytest.mark.parametrize("integrator", SHIPPED)
def test_shipped_models_and_their_values_are_the_same_step(two_body, integrator):
    """A value and the module made from it: tolerance, symmetrization and calibration come along."""
    p, criterion = two_body(e=0.7), Symmetrized(LearnedStep.load("default", 1e-4, integrator))
    module = module_for(criterion, integrator)
    assert (module.max_ratio, module.smoothness) == (2.0, 1.007)
    assert (module.made_for, module.tolerance) == (integrator, 1e-4)
    unbound = module_for(Symmetrized(LearnedStep(None, 1e-4)), integrator)
    a, b = (simulate(p, steps=5, criterion=m, integrator=integrator) for m in (module, unbound))
    assert np.array_equal(a.final.position, b.final.position)
    assert a.tol.tolist() == [1e-4]
