"""The learned step: one dt for one state, the same in training and in simulation, below a physical ceiling."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from aitimestepper.config import Config
from aitimestepper.criteria.base import Limited, Symmetrized
from aitimestepper.criteria.classical import EnergyBudget
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.differentiable.adapter import MOST_CHANGE, ModelAdapter, eval_mode, resolve_device
from aitimestepper.differentiable.features import ERROR_FRACTION, feature_count
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.timescales import pair_rates, pair_sums, smooth_minimum_time
from aitimestepper.errors import CheckpointError, ConfigError
from aitimestepper.integrators import COMPOSITIONS, step
from aitimestepper.simulate.engine import simulate
from aitimestepper.training.checkpoints import build_network, save_checkpoint

KINDS = pytest.mark.parametrize(
    ("feature_type", "history_len"),
    [("basic", 0), ("rich", 0), ("delta_mag", 0), ("invariant", 0), ("basic", 2), ("rich", 3), ("delta_mag", 3)],
)


class Says(nn.Module):
    """A model that says the same whatever it sees: dt = exp(log_dt), error estimate -4."""

    def __init__(self, dt=0.01):
        super().__init__()
        self.log_dt = nn.Parameter(torch.tensor(math.log(dt), dtype=torch.float64))

    def forward(self, x):
        dt = torch.exp(self.log_dt).expand(len(x))
        return torch.stack([dt, torch.full_like(dt, -4.0)], -1)


class SaysExactly(nn.Module):
    def __init__(self, *row):
        super().__init__()
        self.row = torch.tensor(row, dtype=torch.float64)

    def forward(self, x):
        return self.row.expand(len(x), -1)


def learned(p: ParticleTorch | None = None, tol=None, eval_mode=True, **settings) -> LearnedStep:
    config = Config(**{"seed": 3, "layers": (16, 16), "device": "cpu", **settings})
    adapter = ModelAdapter(config)
    if p is not None:
        adapter.measure_scales(p)
    model = build_network(config)
    model.train(not eval_mode)
    return LearnedStep(model, adapter, tol)


def walk(p, criterion, n):
    """States, memories and steps of a run, one by one."""
    memory = criterion.init(p)
    for _ in range(n):
        dt = criterion.step_size(p, memory)
        yield p, memory, dt
        memory = criterion.update(p, dt, memory)
        p = step(p, dt, criterion.integrator)


# ---- the ceiling --------------------------------------------------------------------------------------------------------
def test_dt_never_exceeds_the_fraction_of_the_dynamical_time(two_body):
    """Trap 12: on a circle every dt conserves the energy of one step. The ceiling is 1/(omega sqrt 2) times `dt_ceiling`."""
    p = two_body(e=0.0, q=0.1, a=3.0, G=2.0)
    omega = math.sqrt(2 / 27)
    for ceiling in (0.2, 0.05):
        adapter = ModelAdapter(Config(dt_ceiling=ceiling, G=2.0))
        said = adapter.predict(Says(1e6), adapter.observe(p))
        assert said.dt.item() == pytest.approx(ceiling / (math.sqrt(2) * omega), rel=1e-12, abs=0)
        assert said.at_ceiling.tolist() == [True]
        below = adapter.predict(Says(0.01), adapter.observe(p))
        assert below.dt.item() == pytest.approx(0.01 + 1e-12, rel=1e-14, abs=0)
        assert below.at_ceiling.tolist() == [False]


def test_the_ceiling_follows_the_tightest_pair_of_each_system(random_system):
    p = random_system(4, 3, systems=3)
    adapter = ModelAdapter(Config(dt_ceiling=0.3))
    found = adapter.observe(p).ceiling
    freefall_rate2, flyby_rate2, _ = pair_rates(p)
    for i in range(3):
        rates = [(freefall_rate2 + flyby_rate2)[i, a, b].item() for a in range(4) for b in range(a + 1, 4)]
        assert found[i].item() == pytest.approx(0.3 * sum(r**2 for r in rates) ** -0.25, rel=1e-12, abs=0)


def test_the_gradient_stays_alive_at_the_ceiling(two_body):
    p, adapter = two_body(), ModelAdapter(Config())
    for dt in (0.01, 1e6):
        model = Says(dt)
        said = adapter.predict(model, adapter.observe(p))
        said.dt.sum().backward()
        # d dt / d ln(model's dt) = dt itself, at the ceiling or not
        assert model.log_dt.grad.item() == pytest.approx(said.dt.item(), rel=1e-9)


def test_the_ceiling_binds_a_tolerance_too(two_body):
    p = two_body(e=0.0)
    adapter = ModelAdapter(Config())
    ceiling = adapter.observe(p).ceiling
    assert torch.equal(LearnedStep(Says(0.9 * ceiling.item()), adapter, tol=1.0).step_size(p, None), ceiling)


# ---- one state, one dt --------------------------------------------------------------------------------------------------
@KINDS
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_same_state_always_gives_the_same_dt(two_body, feature_type, history_len, dropout):
    """Trap 5, with dropout and the model in training mode as well."""
    p = two_body(e=0.7)
    criterion = learned(p, feature_type=feature_type, history_len=history_len, dropout=dropout, eval_mode=False)
    for state, memory, dt in walk(p, criterion, 4):
        for _ in range(3):
            assert torch.equal(criterion.step_size(state, memory), dt)
            assert torch.equal(criterion.adapter.predict_dt(criterion.model, state, memory.history), dt)
        assert criterion.model.training


@KINDS
def test_training_and_simulation_ask_the_same_question(two_body, feature_type, history_len):
    """Trap 9: dt from `ModelAdapter.predict_dt` is LearnedStep's to the bit, all along a run of the simulator."""
    p = ParticleTorch.stack([two_body(e=0.7), two_body(e=0.2, q=0.1)])
    criterion = learned(p, feature_type=feature_type, history_len=history_len)
    seen = []
    simulate(p, steps=6, criterion=criterion, observer=lambda before, after, error, running: seen.append((before, after.dt)))
    history = criterion.adapter.new_history()
    for before, dt in seen:
        assert torch.equal(criterion.adapter.predict_dt(criterion.model, before, history).detach(), dt)
        criterion.adapter.update_history(history, before, dt)
    assert len(seen) == 6
    assert len({dt[0].item() for _, dt in seen}) == 6  # it does look at the state


@KINDS
def test_a_checkpoint_says_all(tmp_path, two_body, feature_type, history_len):
    """INTG-03: nothing to specify again."""
    p = two_body(e=0.7, G=2.0)
    trained = learned(
        p, feature_type=feature_type, history_len=history_len, integrator="suzuki4", dt_ceiling=0.07, G=2.0, dropout=0.2
    )
    path = save_checkpoint(
        tmp_path / "model_epoch_0003.pt", trained.model, config=trained.adapter.config, scales=trained.adapter.scales
    )
    for source in (path, tmp_path, str(path)):
        loaded = LearnedStep.load(source)
        assert loaded.integrator == "suzuki4"
        assert loaded.adapter.scales == trained.adapter.scales
        a, b = (simulate(p, steps=5, criterion=c) for c in (trained, loaded))
        assert torch.equal(a.final.position, b.final.position)
        assert b.integrator == "suzuki4"
    with pytest.raises(CheckpointError, match="there is no checkpoint or run"):
        LearnedStep.load(tmp_path / "nowhere")


def test_a_network_in_single_precision_keeps_its_precision_and_the_bodies_theirs(two_body):
    p = two_body(e=0.5)
    criterion = learned(p, dtype="float32")
    assert {x.dtype for x in criterion.model.parameters()} == {torch.float32}
    dt = criterion.step_size(p, criterion.init(p))
    assert dt.dtype == torch.float64
    double = learned(p)
    double.model.load_state_dict(criterion.model.state_dict())
    assert dt.item() == pytest.approx(double.step_size(p, None).item(), rel=1e-5, abs=0)
    final = simulate(p, steps=5, criterion=criterion).final
    assert final.position.dtype == torch.float64
    plain = nn.Sequential(nn.Linear(11, 2), nn.Softplus())  # float32, as torch makes them
    assert ModelAdapter(Config()).predict_dt(plain, p).dtype == torch.float64
    with_history = learned(p, dtype="float32", feature_type="delta_mag", history_len=2)
    assert simulate(p, steps=5, criterion=with_history).status == ("ok",)


@KINDS
def test_absent_bodies_and_numbering_do_not_matter(random_system, padded, feature_type, history_len):
    p = random_system(4, 3)
    criterion = learned(p, feature_type=feature_type, history_len=history_len)
    order = torch.tensor([2, 0, 3, 1])
    renumbered = ParticleTorch.from_tensors(p.mass[:, order], p.position[:, order], p.velocity[:, order])
    a, b, c = ([dt for _, _, dt in walk(q, criterion, 5)] for q in (p, padded(p, 7), renumbered))
    assert torch.equal(torch.cat(a), torch.cat(b))
    torch.testing.assert_close(torch.cat(c), torch.cat(a), rtol=1e-10, atol=0)


@KINDS
def test_normalized_steps_do_not_depend_on_units(two_body, feature_type, history_len):
    mass, length, time = 1.989e30, 1.496e11, 5.0226e6
    p = two_body(e=0.6, q=0.3)
    q = ParticleTorch.from_tensors(
        p.mass * mass, p.position * length, p.velocity * (length / time), G=length**3 / (mass * time**2)
    )
    steps = []
    for system in (p, q):
        criterion = learned(system, feature_type=feature_type, history_len=history_len)
        steps.append(torch.cat([dt for _, _, dt in walk(system, criterion, 5)]))
    torch.testing.assert_close(steps[1], time * steps[0], rtol=1e-9, atol=0)


# ---- tolerance, memory, mode --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", COMPOSITIONS)
def test_a_tolerance_scales_the_step_by_the_order_of_the_error_of_one_step(two_body, integrator):
    p, order = two_body(e=0.5), COMPOSITIONS[integrator].order
    plain = learned(p, integrator=integrator, energy_threshold=2e-4)
    finer = LearnedStep(plain.model, plain.adapter, tol=2e-8)
    assert finer.integrator == integrator
    expected = plain.step_size(p, None).item() * 1e-4 ** (1 / (order + 1))
    assert finer.step_size(p, None).item() == pytest.approx(expected, rel=1e-12, abs=0)
    assert finer.lower().parameters[0] == pytest.approx(1e-4 ** (1 / (order + 1)), rel=1e-12)
    for bad in (0.0, -1e-3, math.inf, math.nan):
        with pytest.raises(ConfigError, match=f"tol = {bad} must be a positive number"):
            LearnedStep(plain.model, plain.adapter, tol=bad)


@pytest.mark.parametrize("feature_type", ["basic", "rich", "delta_mag"])
def test_memory_is_a_value(two_body, feature_type):
    """`update` returns a new window; the old one still answers as before."""
    p = two_body(e=0.5)
    criterion = learned(p, feature_type=feature_type, history_len=2)
    memory = criterion.init(p)
    before = memory.history.features_for(p)
    after = criterion.update(p, criterion.step_size(p, memory), memory)
    assert torch.equal(memory.history.features_for(p), before)
    assert (len(memory.history), len(after.history)) == (0, 1)
    assert learned(p).init(p).history is None


def test_the_network_says_what_error_it_expected_and_how_often_the_ceiling_cut(two_body):
    """Column 1 is used: the worst expectation of a run, and the count of steps cut short, are in the result."""
    p = two_body(e=0.5)
    criterion = learned(p)
    with torch.no_grad():
        criterion.model.log_error.weight.zero_()
        criterion.model.log_error.bias.fill_(-3.0)
    result = simulate(p, steps=5, criterion=Symmetrized(criterion))
    assert result.reports["expected_step_error"].item() == pytest.approx(1e-3)
    assert result.reports["steps_at_ceiling"].item() == 0
    assert result.summary()["expected_step_error"] == pytest.approx(1e-3)
    with torch.no_grad():
        criterion.model.log_dt.bias += 3.0  # dt 1e5 times as long
    assert simulate(p, steps=5, criterion=criterion).reports["steps_at_ceiling"].item() == 5


@pytest.mark.parametrize("feature_type", ["basic", "delta_mag"])
def test_windows_stay_with_their_systems_when_others_end(two_body, feature_type):
    systems = [two_body(e=0.9, time=1.0), two_body(e=0.3), two_body(e=0.6, time=0.9)]
    batch = ParticleTorch.stack(systems)
    criterion = learned(batch, feature_type=feature_type, history_len=3)
    together = simulate(batch, t_end=1.2, criterion=criterion)
    assert together.status == ("ok",) * 3
    for i, p in enumerate(systems):
        alone = simulate(p, t_end=1.2, criterion=criterion)
        assert together.steps[i] == alone.steps[0]
        # not to the bit: matrix products group their sums by the size of the batch
        torch.testing.assert_close(together.final.position[i], alone.final.position[0], rtol=0, atol=1e-12)


def test_only_a_network_without_history_can_be_symmetrized(two_body):
    p = two_body(e=0.5)
    assert learned(p).velocity_even
    assert Symmetrized(learned(p)).step_size(p, Symmetrized(learned(p)).init(p)).shape == (1,)
    blind = learned(p, history_len=2)
    assert not blind.velocity_even
    for criterion in (blind, Limited(blind, 1e-3)):
        with pytest.raises(ConfigError, match=r"Symmetrized needs a step that is even.*history_len = 0"):
            Symmetrized(criterion)


def test_steps_without_history_are_even_in_the_velocities(two_body, flipped):
    p = two_body(e=0.5, anomaly=1.0)
    for kind in ("basic", "rich", "invariant"):
        criterion = learned(p, feature_type=kind)
        assert torch.equal(criterion.step_size(flipped(p), None), criterion.step_size(p, None))


def test_no_graph_grows_along_a_run(two_body):
    p = two_body(e=0.5)
    criterion = learned(p, history_len=2)
    for state, memory, dt in walk(p, criterion, 4):
        assert not dt.requires_grad
        assert not state.position.requires_grad
        assert memory.history.slots is None or not memory.history.slots.requires_grad
    assert criterion.adapter.predict_dt(criterion.model, p).requires_grad  # training has one


def test_judging_gives_back_the_mode_it_found():
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


def test_the_networks_own_estimate_comes_with_the_step(two_body):
    p = two_body()
    adapter = ModelAdapter(Config())
    said = LearnedStep(Says(), adapter).predict(p)
    assert said.log10_error.tolist() == [-4.0]
    assert torch.equal(said.dt, LearnedStep(Says(), adapter).step_size(p, None))


# ---- invariant features -------------------------------------------------------------------------------------------------
def invariant(model, tol=None, **settings):
    """A network that is told the tolerance, with a ceiling too high to matter unless one is given."""
    return LearnedStep(model, ModelAdapter(Config(**{"feature_type": "invariant", "dt_ceiling": 100.0, **settings})), tol)


@pytest.mark.parametrize("integrator", COMPOSITIONS)
@pytest.mark.parametrize("softening", [0.0, 0.2])
def test_a_network_that_says_nothing_is_the_energy_budget(random_system, integrator, softening):
    """Of a system at rest as a whole: the classical criterion also counts the energy of its motion.

    Below half a free-freefall_rate2 time, where the classical one stops; the network's ceiling comes in without a kink.
    """
    p = random_system(4, 3, systems=20, softening=softening)
    momentum = (p.mass.unsqueeze(-1) * p.velocity).sum(1, keepdim=True) / p.mass.sum(1).view(-1, 1, 1)
    rest = ParticleTorch.from_tensors(p.mass, p.position, p.velocity - momentum, softening=softening)
    untrained = build_network(Config(feature_type="invariant", seed=3))
    with torch.no_grad():
        untrained.log_dt.weight.zero_()
    for tol in (1e-9, 1e-14):
        expected = EnergyBudget(tol, integrator).step_size(rest, None)
        free = expected < 0.49 * smooth_minimum_time(pair_rates(rest)[0])
        assert free.any()
        for model in (SaysExactly(1 - 1e-12, 0.0), untrained):
            for system in (rest, p):
                found = invariant(model, tol, integrator=integrator, dt_ceiling=1e8).adapter
                dt = found.predict(model, found.observe(system)._replace(ceiling=torch.full_like(expected, 1e8))).dt
                torch.testing.assert_close(dt[free], expected[free], rtol=2e-12, atol=0)
        by_config = invariant(untrained, integrator=integrator, energy_threshold=tol)
        assert torch.equal(by_config.step_size(p, None), invariant(untrained, tol, integrator=integrator).step_size(p, None))


def test_test_particles_round_a_star_follow_their_orbits():
    """Their orbits hold no energy, so that any step would keep it: the ceiling is all there is."""
    v = [[0.0, 0.0], [0.0, 0.5], [1 / 3, 0.0]]
    p = ParticleTorch.from_tensors([1.0, 0.0, 0.0], [[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]], v)
    for tol in (1e-2, 1e-12):
        step = invariant(SaysExactly(1.0, 0.0), tol, dt_ceiling=0.2)
        ceiling = step.adapter.observe(p).ceiling
        assert ceiling.item() == pytest.approx(0.2 * 2**-0.25 * 8.0, rel=1e-2)
        assert step.step_size(p, None).item() == pytest.approx(ceiling.item(), rel=1e-9)


def test_no_step_is_longer_than_tau_takes_to_change(two_body):
    """On a line into each other ln tau_4 changes at 1.5 v / r; the ceiling leaves it 0.6 in a step, less than ln 2."""
    for anomaly in (0.1, 0.5, 1.5):
        p = two_body(e=0.9999, anomaly=anomaly)
        sums = pair_sums(p)
        dt = invariant(SaysExactly(1e9, 0.0), 1e-2).step_size(p, None)
        assert (dt * sums.growth.abs()).item() == pytest.approx(MOST_CHANGE, rel=1e-3)
        assert math.log(LearnedStep.load("default", 1e-3).mirror[0]) > MOST_CHANGE


def test_the_calibration_is_what_the_network_is_told(two_body):
    p = two_body(e=0.5)
    plain, tuned = invariant(Says(0.3), 1e-3), invariant(Says(0.3), 1e-3)
    tuned.adapter.calibration = [(1e-2, 0.5), (1e-4, 0.125)]
    told = tuned.at_tolerance(1e-3)
    torch.testing.assert_close(told.step_size(p, None), plain.at_tolerance(0.25e-3).step_size(p, None), rtol=1e-13, atol=0)
    beyond = torch.tensor([1e-1, 1e-5], dtype=torch.float64)
    torch.testing.assert_close(tuned.adapter.calibrated_tolerance(beyond), beyond * torch.tensor([0.5, 0.125]).double())
    assert plain.run_tolerance is None
    assert told.run_tolerance == 1e-3


def test_a_network_sees_how_much_of_the_tolerance_is_used_up(two_body):
    """Nothing at the start; afterwards the energy error with its sign, whatever the error is worth in energy."""
    p = two_body(e=0.9)
    step = invariant(Says(0.3), 1e-3)
    memory = step.init(p)
    at_start = step.adapter.observe(p, None, memory.energy, memory.tol).features
    assert at_start[0, -3].item() == 0.0
    for change, sign in ((1e-4, 1), (-2e-4, -1)):
        faster = dataclasses.replace(p, velocity=p.velocity * (1 + change / (2 * (p.kinetic_energy() / memory.energy.abs()))))
        error = (faster.total_energy() - memory.energy) / memory.energy.abs()
        assert error.item() == pytest.approx(change, rel=0.1)
        seen = step.adapter.observe(faster, None, memory.energy, memory.tol).features[0, -3].item()
        assert seen == pytest.approx(sign * 0.5 * math.log1p((10 * error.item() / 1e-3) ** 2), rel=1e-3)


def test_inputs_beyond_the_training_count_as_its_edge_and_are_reported(two_body):
    p = two_body(e=0.5, anomaly=0.3)
    step = learned(feature_type="invariant", dt_ceiling=5.0)
    seen = step.adapter.observe(p).features[0]
    inside = step.predict(p)
    assert (
        step.model.lowest[ERROR_FRACTION] == step.model.highest[ERROR_FRACTION] == 0
    )  # trained on single steps: it looks at no error so far
    step.model.lowest.copy_(seen - 0.1)
    step.model.highest.copy_(seen + 0.1)
    assert torch.equal(step.predict(p).dt, inside.dt)
    assert step.predict(p).outside.tolist() == [False]
    step.model.highest[0] = seen[0] - 0.05
    cut = step.predict(p)
    assert cut.outside.tolist() == [True]
    assert cut.dt.item() != inside.dt.item()
    walked = list(walk(p, step, 5))
    assert step.report(walked[-1][1])["steps_outside_training"].item() >= 3


@pytest.mark.parametrize("integrator", COMPOSITIONS)
def test_a_tolerance_is_told_to_the_network_and_counts_once(two_body, integrator):
    p, order = two_body(e=0.5), COMPOSITIONS[integrator].order
    plain = invariant(Says(0.3), integrator=integrator)
    finer = LearnedStep(plain.model, plain.adapter, tol=2e-8)
    seen = [c.adapter.observe(p).features[0] for c in (plain, finer)]
    assert torch.equal(seen[0][: ERROR_FRACTION + 1], seen[1][: ERROR_FRACTION + 1])
    assert seen[0][ERROR_FRACTION + 2].item() == pytest.approx(math.log(order))
    assert [x[ERROR_FRACTION + 1].item() for x in seen] == pytest.approx([math.log(2e-4), math.log(2e-8)], rel=1e-15)
    assert finer.factor == 1.0
    units = [c.adapter.observe(p).unit.item() for c in (plain, finer)]
    assert units[1] / units[0] == pytest.approx(1e-4 ** (1 / order), rel=1e-12)
    assert plain.adapter.tol == 2e-4  # the first one was not changed


def test_every_system_may_have_a_tolerance_of_its_own(random_system):
    p = random_system(3, 2, systems=3)
    tols = torch.tensor([1e-2, 1e-4, 1e-6], dtype=torch.float64)
    for one in (learned(feature_type="invariant"), learned(p, feature_type="basic")):
        together = one.at_tolerance(tols).step_size(p, None)
        for i in range(3):
            alone = LearnedStep(one.model, one.adapter, tol=tols[i].item()).step_size(p.select(torch.tensor([i])), None)
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-13, atol=0)
    with pytest.raises(ConfigError, match="3 tolerances do not fit 2 systems"):
        learned(feature_type="invariant").at_tolerance(tols).step_size(random_system(3, systems=2), None)


def test_the_ceiling_of_invariant_features_asks_only_tight_pairs_for_their_speed(two_body):
    """On a circle, freefall_rate2 = flyby_rate2 = omega^2. A fast body far away has no say."""
    p = two_body(e=0.0, q=0.1, a=3.0, G=2.0)
    ceiling = invariant(Says(), dt_ceiling=0.2, G=2.0).adapter.observe(p).ceiling.item()
    assert ceiling == pytest.approx(0.2 * 2**-0.25 / math.sqrt(2 / 27), rel=1e-12, abs=0)
    x = torch.cat([p.position, torch.tensor([[[60.0, 0.0]]]).double()], 1)
    v = torch.cat([p.velocity, torch.tensor([[[0.0, 500.0]]]).double()], 1)
    with_third = ParticleTorch.from_tensors(torch.cat([p.mass, torch.tensor([[0.1]]).double()], 1), x, v, G=2.0)
    said = ModelAdapter(Config(feature_type="invariant", G=2.0))
    assert said.observe(with_third).ceiling.item() == pytest.approx(ceiling, rel=1e-6)
    assert ModelAdapter(Config(G=2.0)).observe(with_third).ceiling.item() < 0.2 * ceiling
    cut = said.predict(Says(1e6), said.observe(p))
    assert cut.dt.item() == pytest.approx(ceiling, rel=1e-9)
    assert cut.at_ceiling.tolist() == [True]


def test_what_the_network_says_is_in_the_unit_that_is_observed(two_body):
    p = two_body(e=0.0, a=4.0)
    raw, scaled, told = (ModelAdapter(Config(feature_type=kind)) for kind in ("basic", "basic", "invariant"))
    scaled.measure_scales(p)
    told.measure_scales(p)
    assert [a.observe(p).unit.item() for a in (raw, scaled)] == [1.0, scaled.scales.T0]
    expected = EnergyBudget(2e-4).step_size(p, None).item()
    assert told.observe(p).unit.item() == pytest.approx(expected, rel=1e-12)
    for adapter in (raw, scaled, told):
        seen = adapter.observe(p)
        assert adapter.predict(Says(0.01), seen).dt.item() == pytest.approx(0.01 * seen.unit.item(), rel=1e-5)


def test_scales_leave_invariant_features_as_they_are(two_body):
    p, adapter = two_body(a=9.0), ModelAdapter(Config(feature_type="invariant"))
    before = adapter.observe(p)
    adapter.measure_scales(p)
    assert adapter.scales is not None
    assert all(torch.equal(a, b) for a, b in zip(adapter.observe(p), before, strict=True))


# ---- the adapter --------------------------------------------------------------------------------------------------------
@KINDS
def test_feature_vectors_have_the_length_that_is_announced(two_body, feature_type, history_len):
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
    plain = adapter.predict_dt(Says(0.01), p).item()
    adapter.measure_scales(p)
    scaled = adapter.predict_dt(Says(0.01), p).item()
    assert scaled / plain == pytest.approx(adapter.scales.T0, rel=1e-12)
    time_unit = adapter.scales.T0
    assert time_unit == pytest.approx(2 * math.sqrt(2), rel=1e-12)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SaysExactly(0.1), r"the model returned shape \(1, 1\); it must map features \(B, F\) to \(B, 2\)"),
        (SaysExactly(0.1, 0.0, 0.0), r"the model returned shape \(1, 3\)"),
        (SaysExactly(math.nan, 0.0), "the model returned dt = nan; column 0"),
        (SaysExactly(math.inf, 0.0), "the model returned dt = inf; column 0"),
        (SaysExactly(-0.5, 0.0), r"the model returned dt = -0.499\d*; column 0"),
    ],
)
def test_a_model_that_gives_no_step_is_named(two_body, model, message):
    with pytest.raises(ConfigError, match=message):
        ModelAdapter(Config()).predict_dt(model, two_body())


def test_a_model_may_say_zero_and_still_moves(two_body):
    assert ModelAdapter(Config()).predict_dt(SaysExactly(0.0, 0.0), two_body()).item() == 1e-12


def test_random_streams_are_the_seeds_own(global_random_state_untouched):
    a, b, c = (ModelAdapter(Config(seed=s)).generator for s in (4, 4, 5))
    draws = [torch.rand(3, generator=g).tolist() for g in (a, b, c)]
    assert draws[0] == draws[1] != draws[2]
    free = [torch.rand(3, generator=ModelAdapter(Config()).generator).tolist() for _ in range(2)]
    assert free[0] != free[1]


def test_precision_and_device_come_from_the_settings_unless_given():
    assert ModelAdapter(Config(dtype="float32")).dtype == torch.float32
    assert ModelAdapter(Config(dtype="float32"), dtype=torch.float64).dtype == torch.float64
    assert ModelAdapter(Config(device="cuda:7"), device="cpu").device == torch.device("cpu")
    for name in ("nonsense", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device = '{name}' cannot be used here .*use cpu or auto"):
            resolve_device(name)


def test_lowering_tells_factor_and_ceiling(two_body):
    criterion = learned(two_body(), dt_ceiling=0.15)
    assert criterion.lower() == ("learned", (1.0, 0.15), None)
