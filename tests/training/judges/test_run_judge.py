"""Judge `run`: the same two phases with whole runs. It learns, continues to the same bits, and its model is all a run needs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aitimestepper import Config, LearnedStep, ModelAdapter, ParticleTorch, run_two_phase_training, simulate
from aitimestepper.constants import LOG_GAIN
from aitimestepper.differentiable.network import build_network
from aitimestepper.errors import ConfigError
from aitimestepper.evaluation.asked import FIRST
from aitimestepper.evaluation.evaluation_set import EvaluationSet, evaluate
from aitimestepper.initial.named import kepler
from aitimestepper.initial.problems import make_problem
from aitimestepper.initial.suites import Case, Suite, make_suite
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.models import load_model
from aitimestepper.training.checkpoints import load_checkpoint
from aitimestepper.training.judges.calibration import LOOSEST, Trial, _members, calibrate, search
from aitimestepper.training.judges.networks import learned_step
from aitimestepper.training.judges.objective import Score, scores
from aitimestepper.training.judges.problems import ProblemSets
from aitimestepper.training.judges.reference import TIGHTEST, measure_references
from aitimestepper.training.judges.run import CALIBRATION, RunJudge
from aitimestepper.training.judges.tolerances import FARTHEST, SUITABLE, asked, learned
from aitimestepper.training.metrics import Recorder

SMALL = Config(
    judge="run",
    tolerances=(1e-2, 1e-3),
    ic_family=("kepler", "planets"),
    layers=(6,),
    epochs=3,
    num_orbits=2,
    replay_steps=30,
    replay_min_steps=20,
    replay_batch_size=6,
    lr=1e-2,
    validation=6,
    calibration=8,
    seed=1,
    threads=1,
)


class Stages(Recorder):
    """Progress and records, in order."""

    def __init__(self, stop_at: str = "") -> None:
        self.stages: list[str] = []
        self.records: list[Any] = []
        self.stop_at = stop_at

    def progress(self, stage: str, done: int, total: int, words: str) -> None:
        if not self.stages or self.stages[-1] != stage:
            self.stages.append(stage)
        if self.stop_at == f"{stage} {len(self.records)}" and done >= 0.5 * total:
            raise Stop

    def record(self, metrics: Any) -> None:
        self.records.append(metrics)


class Stop(Exception):
    """Raised to stop a training."""


def train(config: Config, folder: Path, recorder: Recorder | None = None, resume: bool = False) -> dict[str, Any]:
    network, adapter = build_network(config), ModelAdapter(config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    start = ParticleTorch.from_bodies(make_problem(config).bodies)
    newest = max(folder.glob("model_epoch_*.pt"), default=None) if resume else None
    checkpoint = None if newest is None else load_checkpoint(newest)
    return run_two_phase_training(
        network, start, optimizer, config, adapter, save_dir=folder, recorder=recorder, resume=checkpoint
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return (folder, result, recorded progress) of a small training."""
    folder, stages = tmp_path_factory.mktemp("run"), Stages()
    return folder, train(SMALL, folder, stages), stages


def test_it_gets_cheaper_than_energy_budget(trained):
    _, done, _ = trained
    validation = EvaluationSet.make("leapfrog", (1e-2, 1e-3), "validation", 6, ("kepler", "planets"))
    before = scores(validation, evaluate(learned_step(build_network(SMALL), SMALL), validation))
    after = [Score(**row) for row in done["card"]["validation"]]
    for old, new in zip(before, after, strict=True):
        assert new.cost(2) < 0.95 * old.cost(2)


def test_every_epoch_has_both_parts_and_the_metrics_of_the_other_judge(trained):
    folder, done, stages = trained
    assert stages.stages == [*(["part 1", "part 2", "validation"] * 3), "calibration", "validation"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for line, result in zip(lines, done["results"], strict=True):
        assert line["part1/trajectory_length"] == result["trajectory_metrics"]["trajectory_length"] > 100
        assert line["part1/acceptance_rate"] == 1 / (1 + line["part1/mean_retrain_iterations"])
        assert 0 < line["part1/mean_energy_error"] <= SMALL.energy_threshold
        assert 20 < line["part2/iterations"] <= 30
        assert 0 <= line["part2/final_pass_rate"] <= 1
        assert line["validation/cost"] > 10
    assert sorted(p.name for p in folder.glob("*.npz")) == [f"model_epoch_000{k}.npz" for k in (1, 2, 3)]


def test_the_model_needs_nothing_else(trained):
    folder, done, _ = trained
    step = LearnedStep.load(folder, tol=1e-3)
    assert (step.made_for, step.tolerance) == ("leapfrog", 1e-3)
    run = simulate(kepler(e=0.6), t_end=20.0, criterion=step)
    assert (run.status, run.criterion) == (("ok",), "symmetrized(learned)")
    assert run.max_energy_error.item() < 3e-3
    card = done["card"]
    assert [pair[0] for pair in card["calibration"]] == [1e-2, 1e-3]
    assert set(card["decided_by"]) == {"kepler"}
    assert set(card["sensitive_decided_by"]) == {"planets"}
    assert [pair[0] for pair in card["sensitive_calibration"]] == [1e-2, 1e-3]
    assert len(card["decided_by"]) == 2
    assert (card["families"], card["seed"], card["symmetrization"]) == (["kepler", "planets"], 1, [2.0, 1.007])
    checkpoint = load_checkpoint(folder / "model_epoch_0003.pt")
    assert checkpoint.card == load_model(folder / "model_epoch_0003.npz").card == card
    assert checkpoint.as_model() == step.model
    assert len(step.model.initial_conditions) == 2  # one problem of each family


@pytest.mark.parametrize("where", ["part 2 1", "part 1 2", "calibration 3"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(trained, tmp_path, where):
    """It is stopped in the second epoch, before the third, and after the last."""
    with pytest.raises(Stop):
        train(SMALL, tmp_path, Stages(where))
    train(SMALL, tmp_path, resume=True)
    one, other = (load_model(folder / "model_epoch_0003.npz") for folder in (trained[0], tmp_path))
    assert one == other
    assert one.card["validation"] == other.card["validation"]


def test_a_finished_training_is_not_finished_twice(trained):
    folder, done, _ = trained
    stages = Stages()
    again = train(SMALL, folder, stages, resume=True)
    assert stages.stages == []
    assert again["final_metrics"] == done["final_metrics"]


def test_a_reference_run_above_its_gate_is_made_again():
    """The gate is below what the first run reaches; the run that passes is within it, and has more points."""
    suite = Suite("", (Case("", "kepler", kepler(0.9), 6.0),))
    loose, tight = (measure_references(suite, "leapfrog", (1e-3,), gate)[0] for gate in (1e-6, 1e-10))
    assert loose.rejected == 0 < tight.rejected
    assert tight.error <= 1e-10 < loose.error <= 1e-6
    assert len(tight.time) > len(loose.time)
    assert measure_references(suite, "leapfrog", (1e-3,), 1e-3 * TIGHTEST) == [None]


def test_new_problems_in_every_epoch_none_of_them_for_calibration(monkeypatch):
    asked_for = []

    def recorded(*arguments: Any, **named: Any) -> Suite:
        asked_for.append((arguments[1], arguments[5] if len(arguments) > 5 else 0, arguments[2]))
        return make_suite(*arguments, **named)

    monkeypatch.setattr("aitimestepper.training.judges.run.make_suite", recorded)
    network = build_network(SMALL)
    judge = RunJudge(network, torch.optim.AdamW(network.parameters()), SMALL, ModelAdapter(SMALL))
    start = ParticleTorch.from_bodies(make_problem(SMALL).bodies)
    lengths = [len(judge.collect(start, epoch, lambda *_: None).trajectory) for epoch in (1, 2)]
    assert asked_for == [("train", 0, 2), ("train", 2, 2)]
    assert lengths[1] > lengths[0]  # those of the epochs before are still learned from
    with pytest.raises(ConfigError, match="are more than 20000"):
        RunJudge(network, torch.optim.AdamW(network.parameters()), replace(SMALL, num_orbits=7000), ModelAdapter(SMALL))


def test_classical_rules_are_calibrated_on_problems_that_no_training_uses():
    """Those of a report: neither those that are learned from, nor those of the calibration."""
    assert CALIBRATION + Config().calibration < FIRST


def test_only_networks_that_simulations_can_use():
    class Mine(nn.Module):
        pass

    with pytest.raises(ConfigError, match="needs a FullyConnectedNN, which simulations can use, not Mine"):
        RunJudge(Mine(), None, SMALL, ModelAdapter(SMALL))


def test_tolerances_too_loose_for_an_order_are_calibrated_but_not_learned_from():
    assert tuple(SUITABLE) == tuple(SPLITTINGS)
    for integrator, suitable in SUITABLE.items():
        config = Config(judge="run", integrator=integrator)
        assert asked(config) == suitable
        assert learned(config) == suitable[len(suitable) - len(learned(config)) :]  # the tightest
    assert learned(Config(judge="run", integrator="kahan_li8")) == (1e-6, 1e-7, 1e-8)
    given = Config(judge="run", integrator="kahan_li8", tolerances=(1e-3, 1e-2))
    assert learned(given) == (1e-2, 1e-3)  # tolerances that are given are all learned from


def test_a_network_with_too_long_steps_is_asked_for_less():
    """Steps three times longer at order 2: errors 9 times larger, so a ninth of the tolerance is asked for."""
    problems = ProblemSets.make("leapfrog", (1e-3,), "train", 10, ("kepler",))
    config = Config(judge="run", layers=(4,))
    networks = [build_network(config) for _ in range(2)]
    for network, factor in zip(networks, (3.0, 9.0), strict=True):
        with torch.no_grad():
            network.log_dt.bias += math.log(factor) / LOG_GAIN
    factors = [calibrate(learned_step(network, config), problems).others[0].factor for network in networks]
    assert factors[1] / factors[0] == pytest.approx(1 / 9, rel=0.15)


def test_a_few_problems_do_not_decide_by_themselves():
    """A family with less than half of the problems of the largest counts together with others."""
    families = ("kepler", "planets", "random3", "triple")
    problems = ProblemSets.make("leapfrog", (1e-3,), "train", 8, families)
    kept = np.zeros(32, bool)
    for k, count in enumerate((8, 1, 2, 5)):
        kept[np.flatnonzero(problems.family == k)[:count]] = True
    members = _members(problems.only(kept))
    assert {name: int(which.sum()) for name, which in members.items()} == {"planets random3 triple": 8, "kepler": 8}
    assert problems.only(kept).sensitive.sum() == 1


@pytest.mark.parametrize("slope", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("start", [-5.0, -0.3, 0.2, 4.0])
def test_the_calibration_ends_where_all_families_comply(slope, start):
    """Also where the errors grow faster or more slowly than the tolerance asked for, and jump."""

    def trial(at: float) -> Trial:
        excess = start + slope * at
        return Trial(at, excess + 0.3 * (excess > 0), -0.25 * at, "kepler")

    best = search(trial)
    assert -0.2 < best.excess <= 0 or best.at in (-FARTHEST, LOOSEST)


def test_the_calibration_takes_the_least_error_where_nothing_complies():
    best = search(lambda at: Trial(at, 3.0 + 0.1 * at, -at, "kepler"))
    assert best.at == -FARTHEST


def test_the_calibration_does_not_go_on_to_looser_tolerances_that_cost_more():
    best = search(lambda at: Trial(at, -3.0 + at, abs(at), "kepler"))
    assert best.at == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feature_type": "rich"}, "judge = run needs feature_type = invariant"),
        ({"tolerances": (0.0,)}, "tolerances = 0.0 must be >= 1e-14 and < 1"),
        ({"tolerances": (math.nan,)}, "tolerances = nan must be"),
        ({"calibration": 3}, "calibration = 3 must be 0 or >= 8"),
        ({"validation": 1}, "validation = 1 must be >= 4"),
        ({"num_orbits": 0}, "num_orbits = 0 must be >= 1"),
        ({"threads": 0}, "threads = 0 must be >= 1"),
    ],
)
def test_bad_settings_are_one_sentence(change, words):
    with pytest.raises(ConfigError, match=words):
        replace(SMALL, **change)


def test_integrators_that_no_network_can_be_trained_through_are_one_sentence():
    config = replace(SMALL, integrator="radau15")
    with pytest.raises(ConfigError, match="integrator = radau15: a network is trained through one of leapfrog"):
        RunJudge(build_network(SMALL), None, config, ModelAdapter(SMALL))


def test_unknown_families_are_one_sentence():
    config = replace(SMALL, ic_family=("keppler",))
    with pytest.raises(ConfigError, match="did you mean 'kepler'"):
        RunJudge(build_network(config), None, config, ModelAdapter(config))


def test_without_calibration_nothing_is_promised(tmp_path):
    train(replace(SMALL, calibration=0, epochs=1), tmp_path)
    step = LearnedStep.load(tmp_path, tol=1e-3)
    assert step.model.calibration == ()
    assert step.tolerance is None
    assert simulate(kepler(e=0.5), steps=5, criterion=step).criterion == "learned"
    with pytest.raises(ConfigError, match="is not calibrated for the error of a run"):
        simulate(kepler(e=0.5), steps=5, criterion=LearnedStep.load(tmp_path), tol=1e-3)


def test_the_same_seed_gives_the_same_bits_whatever_the_threads(trained, tmp_path):
    train(replace(SMALL, threads=2), tmp_path)
    mine, other = (load_model(folder / "model_epoch_0003.npz") for folder in (tmp_path, trained[0]))
    for name, values in mine.weights.items():
        np.testing.assert_array_equal(values, other.weights[name])
    assert mine.calibration == other.calibration
