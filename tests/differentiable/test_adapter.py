"""The adapter: features of states, steps from the output of a network, and the ceiling of every step."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scripted import FEATURE_TYPES, ConstantNetwork, dt_of
from torch import nn

from aitimestepper.config import Config
from aitimestepper.constants import BUDGET_CEILING, MAX_CHANGE
from aitimestepper.criteria.classical import EnergyBudget
from aitimestepper.criteria.learned import SYMMETRIZATION, LearnedStep
from aitimestepper.differentiable.adapter import ModelAdapter, eval_mode, resolve_device
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.learned import LearnedModule
from aitimestepper.differentiable.network import build_network
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.timescales import moving_pairs, pair_sums
from aitimestepper.errors import ConfigError
from aitimestepper.features import ERROR_FRACTION, feature_count
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.models import SHIPPED, shipped


class ConstantOutput(nn.Module):
    """A network with the same row of outputs for every input."""

    def __init__(self, *row):
        super().__init__()
        self.row = torch.tensor(row, dtype=torch.float64)

    def forward(self, x):
        return self.row.expand(len(x), -1)


def invariant(network, tol=None, **settings) -> LearnedModule:
    """Return the step of a network with the tolerance as an input, with a ceiling too high to matter unless one is given."""
    return LearnedModule(network, ModelAdapter(Config(**{"feature_type": "invariant", "dt_ceiling": 100.0, **settings})), tol)


def energy_budget(p: ParticleTorch, tol: float, integrator: str = "leapfrog") -> torch.Tensor:
    """Return the step of a network with the output 1 and the ceiling of that criterion."""
    return dt_of(module_for(EnergyBudget(tol, integrator)), p)


# ---- the ceiling --------------------------------------------------------------------------------------------------------
def test_dt_never_exceeds_the_fraction_of_the_dynamical_time(two_body):
    """Trap 12: on a circle every dt conserves the energy of one step. The ceiling is 1/(omega sqrt 2) times `dt_ceiling`."""
    p = two_body(e=0.0, q=0.1, a=3.0, G=2.0)
    omega = math.sqrt(2 / 27)
    for ceiling in (0.2, 0.05):
        adapter = ModelAdapter(Config(dt_ceiling=ceiling, G=2.0))
        answer = adapter.predict(ConstantNetwork(1e6), adapter.observe(p))
        assert answer.dt.item() == pytest.approx(ceiling / (math.sqrt(2) * omega), rel=1e-12, abs=0)
        assert answer.at_ceiling.tolist() == [True]
        below = adapter.predict(ConstantNetwork(0.01), adapter.observe(p))
        assert below.dt.item() == pytest.approx(0.01 + 1e-12, rel=1e-14, abs=0)
        assert below.at_ceiling.tolist() == [False]


def test_the_ceiling_follows_the_tightest_pair_of_each_system(random_system):
    p = random_system(4, 3, systems=3)
    adapter = ModelAdapter(Config(dt_ceiling=0.3))
    found = adapter.observe(p).ceiling
    pair = moving_pairs(p)
    for i in range(3):
        rates = [(pair.freefall_rate2 + pair.flyby_rate2)[i, a, b].item() for a in range(4) for b in range(a + 1, 4)]
        assert found[i].item() == pytest.approx(0.3 * sum(r**2 for r in rates) ** -0.25, rel=1e-12, abs=0)


def test_the_gradient_stays_alive_at_the_ceiling(two_body):
    p, adapter = two_body(), ModelAdapter(Config())
    for dt in (0.01, 1e6):
        model = ConstantNetwork(dt)
        answer = adapter.predict(model, adapter.observe(p))
        answer.dt.sum().backward()
        # d dt / d ln(model's dt) = dt itself, at the ceiling or not
        assert model.log_dt.grad.item() == pytest.approx(answer.dt.item(), rel=1e-9)


def test_the_ceiling_binds_a_tolerance_too(two_body):
    p = two_body(e=0.0)
    adapter = ModelAdapter(Config())
    ceiling = adapter.observe(p).ceiling
    assert torch.equal(dt_of(LearnedModule(ConstantNetwork(0.9 * ceiling.item()), adapter, tol=1.0), p), ceiling)


# ---- invariant features -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", SPLITTINGS)
@pytest.mark.parametrize("softening", [0.0, 0.2])
def test_a_network_with_output_one_is_the_energy_budget(random_system, integrator, softening):
    """With the ceiling of that criterion, which comes in without a kink, it is that criterion, near the ceiling as well."""
    p = random_system(4, 3, systems=20, softening=softening)
    untrained = build_network(Config(feature_type="invariant", seed=3))
    with torch.no_grad():
        untrained.log_dt.weight.zero_()
    for tol in (1.0, 1e-9, 1e-14):
        expected = energy_budget(p, tol, integrator)
        for network in (ConstantOutput(1 - 1e-12, 0.0), untrained):
            config = Config(feature_type="invariant", dt_ceiling=BUDGET_CEILING, integrator=integrator, energy_threshold=tol)
            adapter = ModelAdapter(config)
            observed = adapter.observe(p)
            torch.testing.assert_close(adapter.predict(network, observed).dt, expected, rtol=2e-12, atol=0)
            assert (expected < (0.99 if tol == 1.0 else 1.0) * observed.unit).all()
            assert (expected < observed.ceiling).all()
        by_config = invariant(untrained, integrator=integrator, energy_threshold=tol)
        assert torch.equal(dt_of(by_config, p), dt_of(invariant(untrained, tol, integrator=integrator), p))


def test_orbits_of_test_particles_round_a_star_are_resolved():
    """Their orbits have no energy in the total: that of the tightest, a circle, counts alone, and the ceiling limits dt."""
    v = [[0.0, 0.0], [0.0, 0.5], [1 / 3, 0.0]]
    p = ParticleTorch.from_tensors([1.0, 0.0, 0.0], [[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]], v)
    for tol in (1.0, 1e-2, 1e-12):
        module = invariant(ConstantOutput(1.0, 0.0), tol, dt_ceiling=0.2)
        observed = module.adapter.observe(p, tol=torch.tensor([tol], dtype=torch.float64))
        ceiling, unit = observed.ceiling.item(), observed.unit.item()
        assert ceiling == pytest.approx(0.2 * 2**-0.25 * 8.0, rel=1e-2)
        expected = 0.4 * math.sqrt(tol * math.hypot(0.5, 0.02) / math.sqrt(2)) * (8.0**-4 + 27.0**-4) ** -0.25
        assert unit == pytest.approx(expected, rel=1e-12)
        limited = 1 / math.hypot(1 / unit, 1 / ceiling)
        assert dt_of(module, p).item() == pytest.approx(limited, rel=1e-11)
        assert (limited < 0.9 * unit) == (tol == 1.0)


def test_no_step_is_longer_than_tau_takes_to_change(two_body):
    """Before a head-on collision ln tau_4 changes at 1.5 v / r; the ceiling allows 0.6 in a step, less than ln 2."""
    for anomaly in (0.1, 0.5, 1.5):
        p = two_body(e=0.9999, anomaly=anomaly)
        sums = pair_sums(p)
        dt = dt_of(invariant(ConstantOutput(1e9, 0.0), 1e-2), p)
        assert (dt * sums.growth.abs()).item() == pytest.approx(MAX_CHANGE, rel=1e-3)
        assert math.log(SYMMETRIZATION.max_ratio) > MAX_CHANGE


def test_a_calibrated_network_is_asked_for_the_calibrated_tolerance(two_body):
    p, config = two_body(e=0.5), Config(feature_type="invariant", dt_ceiling=100.0)
    adapter = ModelAdapter(config, calibration=[(1e-2, 0.5), (1e-4, 0.125)])
    calibrated = LearnedModule(ConstantNetwork(0.3), adapter, 1e-3)
    torch.testing.assert_close(dt_of(calibrated, p), dt_of(invariant(ConstantNetwork(0.3), 0.25e-3), p), rtol=1e-13, atol=0)
    beyond = torch.tensor([1e-1, 1e-5], dtype=torch.float64)
    torch.testing.assert_close(adapter.calibrated_tolerance(beyond), beyond * torch.tensor([0.5, 0.125]).double())
    assert invariant(ConstantNetwork(0.3), 1e-3).tolerance is None
    assert calibrated.tolerance == 1e-3


@pytest.mark.parametrize("integrator", SHIPPED)
def test_the_calibration_is_the_same_in_both_forms(integrator):
    tols = np.geomspace(1e-1, 1e-10, 37)
    here = ModelAdapter.of_model(shipped(integrator)).calibrated_tolerance(torch.from_numpy(tols))
    np.testing.assert_allclose(here.numpy(), LearnedStep(shipped(integrator)).calibrated_tolerance(tols), rtol=1e-14)


def test_a_network_sees_how_much_of_the_tolerance_is_used_up(two_body):
    """The feature is zero at the start, then the energy error over the tolerance with its sign, in any units."""
    p = two_body(e=0.9)
    module = invariant(ConstantNetwork(0.3), 1e-3)
    memory = module.init(p)
    at_start = module.adapter.observe(p, None, memory.energy, memory.tol).features
    assert at_start[0, ERROR_FRACTION].item() == 0.0
    for change, sign in ((1e-4, 1), (-2e-4, -1)):
        faster = dataclasses.replace(p, velocity=p.velocity * (1 + change / (2 * (p.kinetic_energy() / memory.energy.abs()))))
        error = (faster.total_energy() - memory.energy) / memory.energy.abs()
        assert error.item() == pytest.approx(change, rel=0.1)
        shown = module.adapter.observe(faster, None, memory.energy, memory.tol).features[0, ERROR_FRACTION].item()
        assert shown == pytest.approx(sign * 0.5 * math.log1p((10 * error.item() / 1e-3) ** 2), rel=1e-3)


def test_inputs_outside_the_training_range_are_clipped_and_counted(two_body):
    p = two_body(e=0.5, anomaly=0.3)
    network = build_network(Config(feature_type="invariant", layers=(16, 16), seed=3))
    module = invariant(network, dt_ceiling=5.0)
    shown = module.adapter.observe(p).features[0]
    inside = module.predict(p)
    # trained on single steps: it ignores the error so far
    assert network.lowest[ERROR_FRACTION] == network.highest[ERROR_FRACTION] == 0
    network.limit_inputs(shown - 0.1, shown + 0.1)
    assert torch.equal(module.predict(p).dt, inside.dt)
    assert module.predict(p).out_of_range.tolist() == [False]
    network.highest[0] = shown[0] - 0.05
    cut = module.predict(p)
    assert cut.out_of_range.tolist() == [True]
    assert cut.dt.item() != inside.dt.item()
    memory = module.init(p)
    for count in range(1, 4):
        memory = module.choose(p, memory)[1]
        assert module.report(memory)["steps_outside_training"].tolist() == [count]


@pytest.mark.parametrize("integrator", SPLITTINGS)
def test_a_tolerance_is_an_input_of_the_network_and_counts_once(two_body, integrator):
    p, order = two_body(e=0.5), SPLITTINGS[integrator].order
    adapter = ModelAdapter(Config(feature_type="invariant", dt_ceiling=1e8, integrator=integrator))
    tols = [torch.tensor([tol], dtype=torch.float64) for tol in (2e-4, 2e-8)]
    plain, finer = (adapter.observe(p, tol=tol) for tol in tols)
    assert torch.equal(plain.features[0, : ERROR_FRACTION + 1], finer.features[0, : ERROR_FRACTION + 1])
    assert plain.features.shape == (1, ERROR_FRACTION + 2)
    shown = [x.features[0, ERROR_FRACTION + 1].item() for x in (plain, finer)]
    assert shown == pytest.approx([math.log(2e-4), math.log(2e-8)], rel=1e-15)
    assert finer.unit.item() / plain.unit.item() == pytest.approx(1e-4 ** (1 / order), rel=1e-12)
    steps = [dt_of(LearnedModule(ConstantNetwork(0.01), adapter, tol.item()), p).item() for tol in tols]
    assert steps[1] / steps[0] == pytest.approx(1e-4 ** (1 / order), rel=1e-8)
    assert adapter.tol == 2e-4  # that of the settings, where none is passed


def test_the_ceiling_of_invariant_features_uses_the_speed_of_tight_pairs_only(two_body):
    """On a circle both rates are omega. A fast body far away does not count."""
    p = two_body(e=0.0, q=0.1, a=3.0, G=2.0)
    ceiling = invariant(ConstantNetwork(), dt_ceiling=0.2, G=2.0).adapter.observe(p).ceiling.item()
    assert ceiling == pytest.approx(0.2 * 2**-0.25 / math.sqrt(2 / 27), rel=1e-12, abs=0)
    x = torch.cat([p.position, torch.tensor([[[60.0, 0.0]]]).double()], 1)
    v = torch.cat([p.velocity, torch.tensor([[[0.0, 500.0]]]).double()], 1)
    with_third = ParticleTorch.from_tensors(torch.cat([p.mass, torch.tensor([[0.1]]).double()], 1), x, v, G=2.0)
    adapter = ModelAdapter(Config(feature_type="invariant", G=2.0))
    assert adapter.observe(with_third).ceiling.item() == pytest.approx(ceiling, rel=1e-6)
    assert ModelAdapter(Config(G=2.0)).observe(with_third).ceiling.item() < 0.2 * ceiling
    cut = adapter.predict(ConstantNetwork(1e7), adapter.observe(p))
    assert cut.dt.item() == pytest.approx(ceiling, rel=1e-9)
    assert cut.at_ceiling.tolist() == [True]


def test_the_output_of_the_network_is_in_the_observed_unit(two_body):
    p = two_body(e=0.0, a=4.0)
    raw, scaled, shown = (ModelAdapter(Config(feature_type=kind)) for kind in ("basic", "basic", "invariant"))
    scaled.measure_scales(p)
    shown.measure_scales(p)
    assert [a.observe(p).unit.item() for a in (raw, scaled)] == [1.0, scaled.scales.T0]
    chi = math.hypot(1 / 0.5, 1 / math.hypot(0.5, 0.02))  # a circle: E/U = 1/2, tau = 4^(3/2)
    assert shown.observe(p).unit.item() == pytest.approx(0.4 * math.sqrt(2e-4 / chi) * 8.0, rel=1e-12)
    for adapter in (raw, scaled, shown):
        observation = adapter.observe(p)
        dt = adapter.predict(ConstantNetwork(0.01), observation).dt.item()
        assert dt == pytest.approx(0.01 * observation.unit.item(), rel=1e-5)


def test_scales_leave_invariant_features_as_they_are(two_body):
    p, adapter = two_body(a=9.0), ModelAdapter(Config(feature_type="invariant"))
    before = adapter.observe(p)
    adapter.measure_scales(p)
    assert adapter.scales is not None
    assert all(torch.equal(a, b) for a, b in zip(adapter.observe(p), before, strict=True))


# ---- the adapter --------------------------------------------------------------------------------------------------------
@FEATURE_TYPES
def test_feature_vectors_have_the_announced_length(two_body, feature_type, history_len):
    p = ParticleTorch.stack([two_body(), two_body(e=0.1)])
    adapter = ModelAdapter(Config(feature_type=feature_type, history_len=history_len))
    history = adapter.new_history()
    assert adapter.history_enabled == (history_len > 0) == (history is not None)
    expected = feature_count(feature_type, history_len)
    for _ in range(history_len + 2):
        features = adapter.build_feature_tensor(p, history)
        assert features.shape == (2, adapter.input_dim_from_state(p, history)) == (2, expected)
        adapter.update_history(history, p, torch.tensor([0.1, 0.2]))
        p = p.evolve(0.1)
    empty = adapter.build_feature_tensor(p)
    assert torch.equal(empty, adapter.build_feature_tensor(p, adapter.new_history()))


@pytest.mark.parametrize("feature_type", ["basic", "rich", "delta_mag"])
def test_the_adapters_own_window_is_used_where_none_is_passed(two_body, feature_type):
    p = two_body(e=0.7)
    adapter = ModelAdapter(Config(feature_type=feature_type, history_len=2, seed=1))
    network = build_network(adapter.config)
    window = adapter.new_history()
    for _ in range(3):
        dt = torch.full_like(p.time, 0.05)
        adapter.update_history(None, p, dt)
        adapter.update_history(window, p, dt)
        p = p.evolve(dt)
        assert len(adapter.history_buffer) == len(window)
        assert torch.equal(adapter.build_feature_tensor(p), adapter.build_feature_tensor(p, window))
        assert torch.equal(adapter.observe(p).features, adapter.observe(p, window).features)
        assert torch.equal(adapter.predict_dt(network, p), adapter.predict_dt(network, p, window))
        assert not torch.equal(adapter.build_feature_tensor(p), adapter.build_feature_tensor(p, adapter.new_history()))
    assert ModelAdapter(Config(feature_type=feature_type)).history_buffer is None


def test_scales_are_measured_once_and_only_if_wanted(two_body):
    adapter = ModelAdapter(Config())
    adapter.measure_scales(two_body(a=4.0))
    first = adapter.scales
    adapter.measure_scales(two_body(a=9.0))
    assert adapter.scales is first
    raw = ModelAdapter(Config(normalize=False))
    raw.measure_scales(two_body())
    assert raw.scales is None


def test_normalized_dt_is_in_units_of_the_measured_time(two_body):
    p = two_body(e=0.0, a=4.0)
    adapter = ModelAdapter(Config())
    plain = adapter.predict_dt(ConstantNetwork(0.01), p).item()
    adapter.measure_scales(p)
    scaled = adapter.predict_dt(ConstantNetwork(0.01), p).item()
    assert scaled / plain == pytest.approx(adapter.scales.T0, rel=1e-12)
    time_unit = adapter.scales.T0
    assert time_unit == pytest.approx(2 * math.sqrt(2), rel=1e-12)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ConstantOutput(0.1), r"the model returned shape \(1, 1\); it must map features \(B, F\) to \(B, 2\)"),
        (ConstantOutput(0.1, 0.0, 0.0), r"the model returned shape \(1, 3\)"),
        (ConstantOutput(math.nan, 0.0), "the model returned dt = nan; column 0"),
        (ConstantOutput(math.inf, 0.0), "the model returned dt = inf; column 0"),
        (ConstantOutput(-0.5, 0.0), r"the model returned dt = -0.499\d*; column 0"),
    ],
)
def test_a_model_that_gives_no_step_is_named(two_body, model, message):
    with pytest.raises(ConfigError, match=message):
        ModelAdapter(Config()).predict_dt(model, two_body())


def test_an_output_of_zero_is_still_a_positive_step(two_body):
    assert ModelAdapter(Config()).predict_dt(ConstantOutput(0.0, 0.0), two_body()).item() == 1e-12


def test_random_streams_are_the_seeds_own():
    before = torch.get_rng_state()
    a, b, c = (ModelAdapter(Config(seed=s)).generator for s in (4, 4, 5))
    draws = [torch.rand(3, generator=g).tolist() for g in (a, b, c)]
    assert draws[0] == draws[1] != draws[2]
    free = [torch.rand(3, generator=ModelAdapter(Config()).generator).tolist() for _ in range(2)]
    assert free[0] != free[1]
    assert torch.equal(before, torch.get_rng_state())


def test_precision_and_device_come_from_the_settings_unless_given():
    assert ModelAdapter(Config(dtype="float32")).dtype == torch.float32
    assert ModelAdapter(Config(dtype="float32"), dtype=torch.float64).dtype == torch.float64
    assert ModelAdapter(Config(device="cuda:7"), device="cpu").device == torch.device("cpu")
    for name in ("nonsense", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device = '{name}' cannot be used here .*use cpu or auto"):
            resolve_device(name)


def test_eval_mode_restores_the_previous_mode():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    for mode in (True, False):
        model.train(mode)
        with eval_mode(model):
            assert not model.training
            assert not model[1].training
        assert model.training == model[1].training == mode
        with pytest.raises(ZeroDivisionError), eval_mode(model):
            1 / 0  # noqa: B018
        assert model.training == mode
