"""The objective: the cost at which errors are within tolerances, whatever the global constant."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aitimestepper.config import Config
from aitimestepper.constants import LOG_GAIN
from aitimestepper.differentiable.network import build_network
from aitimestepper.errors import ConfigError
from aitimestepper.evaluation.evaluation_set import WORST, EvaluationSet, Scores, evaluate
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.suites import make_suite
from aitimestepper.training.judges import objective
from aitimestepper.training.judges.networks import learned_step, started_from
from aitimestepper.training.judges.objective import forces_and_excess, log_cost, scores, upper


def test_the_cost_does_not_depend_on_a_constant_factor(monkeypatch):
    """Steps s times as long: forces over s, errors times s^order. Only being off the tolerance costs a little."""
    generator = torch.Generator().manual_seed(1)
    forces, excess = (torch.randn(60, generator=generator, dtype=torch.float64) for _ in range(2))
    family = torch.arange(60) % 3
    monkeypatch.setattr(objective, "SLACK", 0.0)
    for order in (2, 6):
        costs = [log_cost(forces - math.log(s), excess + order * math.log(s), family, order).item() for s in (0.5, 1.0, 3.0)]
        assert costs == pytest.approx([costs[1]] * 3, rel=1e-12)


def test_families_count_the_same_however_many_problems_they_have():
    forces = torch.tensor([1.0] * 30 + [3.0] * 3, dtype=torch.float64)
    family = torch.tensor([0] * 30 + [1] * 3)
    mean, _ = forces_and_excess(forces, torch.zeros(33, dtype=torch.float64), family)
    assert mean.item() == pytest.approx(2.0)


def test_the_worst_family_decides_more_than_its_share():
    excess = torch.zeros(100, dtype=torch.float64)
    family = torch.arange(100) % 5
    excess[family == 2] = 1.0
    _, found = forces_and_excess(torch.zeros(100, dtype=torch.float64), excess, family)
    assert 0.5 * upper(excess).item() + 0.2 < found.item() < 1.0


def test_sensitive_systems_have_an_excess_apart_since_they_have_a_calibration_apart():
    """A constant factor of the errors of one kind changes the cost by its share, and by no more than that."""
    generator = torch.Generator().manual_seed(2)
    excess = torch.randn(90, generator=generator, dtype=torch.float64)
    family = torch.arange(90) % 5
    sensitive = family < 2
    zero = torch.zeros(90, dtype=torch.float64)
    _, before = forces_and_excess(zero, excess, family, sensitive)
    _, after = forces_and_excess(zero, excess + 3.0 * sensitive, family, sensitive)
    assert (after - before).item() == pytest.approx(3.0 * 0.4, rel=1e-12)
    _, alone = forces_and_excess(zero[sensitive], excess[sensitive], family[sensitive])
    _, none = forces_and_excess(zero[sensitive], excess[sensitive], family[sensitive], torch.zeros(36, dtype=torch.bool))
    assert alone.item() == none.item()


def test_upper_is_between_the_ranks():
    values = torch.arange(101, dtype=torch.float64)
    assert upper(values).item() == pytest.approx(93.0, abs=0.1)
    assert upper(torch.full((5,), 2.0, dtype=torch.float64)).item() == 2.0


def test_scores_say_how_many_comply():
    systems = Systems.of(make_suite(("kepler",), "train", 4))
    problems = EvaluationSet("leapfrog", (1e-3,), systems, np.array([0, 0, 1, 1]), ("a", "b"), ((1, 1),))
    measured = Scores(np.log([[100.0, 100.0, 400.0, 400.0]]), np.array([[-1.0, 0.5, -1.0, -2.0]]))
    (found,) = scores(problems, measured)
    assert (found.forces, found.compliance, found.worst_compliance) == (pytest.approx(200.0), 0.75, 0.5)
    assert found.median == pytest.approx(math.exp(-1.0))
    assert found.cost(2) == pytest.approx(200 * math.exp(found.excess / 2))


@pytest.fixture(scope="module")
def small() -> EvaluationSet:
    return EvaluationSet.make("leapfrog", (1e-2, 1e-3), "train", 4, ("kepler", "planets"))


def test_longer_steps_cost_less_and_err_more(small):
    config = Config(judge="run")
    network = build_network(config)
    before = evaluate(learned_step(network, config), small)
    with torch.no_grad():
        network.log_dt.bias += math.log(1.2) / LOG_GAIN  # steps 1.2 times as long
    after = evaluate(learned_step(network, config), small)
    assert np.exp(before.log_forces - after.log_forces).mean() == pytest.approx(1.2, rel=0.03)
    assert np.median(after.log_excess - before.log_excess) == pytest.approx(2 * math.log(1.2), rel=0.3)


def test_runs_that_break_off_are_as_bad_as_can_be(small):
    config = Config(judge="run")
    found = evaluate(learned_step(build_network(config), config), small._replace(budgets=((60, 60), (60, 60))))
    assert (found.log_excess == WORST).all()


def test_a_network_starts_from_a_model_of_the_same_shape_only():
    config = Config(judge="run", integrator="kahan_li6", layers=(5, 3))
    network = build_network(config)
    with torch.no_grad():
        network.log_dt.weight += 0.1
    model = learned_step(network, config).bound_model
    again = started_from(model, Config(judge="run", layers=(5, 3)))
    assert all(torch.equal(x, again.state_dict()[name]) for name, x in network.state_dict().items())
    with pytest.raises(ConfigError, match=r"start from has layers = \(5, 3\), not \(16,\)"):
        started_from(model, Config(judge="run", integrator="kahan_li6"))
