"""Training on runs: it learns, continues from where it stopped to the same bits, and its model is all that a run needs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from aitimestepper import LearnedStep, Symmetrized, simulate
from aitimestepper.errors import CheckpointError, ConfigError
from aitimestepper.evaluation.evaluation_set import EvaluationSet, evaluate
from aitimestepper.initial.named import kepler
from aitimestepper.models import load_model
from aitimestepper.training.checkpoints import load_checkpoint
from aitimestepper.training.runs.networks import config_for, learned_step, untrained_network
from aitimestepper.training.runs.objective import Score, scores
from aitimestepper.training.runs.plan import TOLERANCES, DescentSettings, TrainingPlan
from aitimestepper.training.runs.tolerances import calibrate
from aitimestepper.training.runs.training_run import CHECKPOINT, MODEL, STATE, train_on_runs

PLAN = TrainingPlan(
    tolerances=(1e-2, 1e-3),
    families=("kepler", "planets"),
    layers=(6,),
    problems=6,
    validation=6,
    calibration=8,
    descent=DescentSettings(iterations=60, lr=1e-2, batch=6),
    threads=1,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return (path, card, reported progress) of a small training."""
    progress = []
    path = train_on_runs(PLAN, tmp_path_factory.mktemp("runs") / "t", report=progress.append)
    return path, load_model(path).card, progress


def test_it_gets_cheaper_than_energy_budget(trained):
    _, card, progress = trained
    validation = EvaluationSet.make("leapfrog", (1e-2, 1e-3), "validation", 6, ("kepler", "planets"))
    config = config_for("leapfrog", (6,))
    before = scores(validation, evaluate(learned_step(untrained_network(config), config), validation))
    after = [Score(**row) for row in card["validation"]]
    for old, new in zip(before, after, strict=True):
        assert new.cost(2) < 0.8 * old.cost(2)
    assert [n.stage for n in progress if n.scores] == ["descent 60", "calibrated"]


def test_the_model_needs_nothing_else(trained):
    path, card, _ = trained
    step = LearnedStep.load(path.parent, tol=1e-3)
    assert step.made_for == "leapfrog"
    assert step.tolerance == 1e-3
    assert [pair[0] for pair in card["calibration"]] == [1e-2, 1e-3]
    done = simulate(kepler(e=0.6), t_end=20.0, criterion=Symmetrized(step))
    assert done.status == ("ok",)
    assert done.max_energy_error.item() < 3e-3
    assert not (path.parent / STATE).exists()
    assert card["plan"] == PLAN.fingerprint()
    checkpoint = load_checkpoint(path.parent / CHECKPOINT)
    assert checkpoint.card == card
    assert checkpoint.as_model() == load_model(path)


def test_tolerances_too_loose_for_an_order_are_calibrated_but_not_learned_from():
    for integrator, asked in TOLERANCES.items():
        plan = TrainingPlan(integrator)
        assert plan.asked == asked
        assert plan.learned == asked[len(asked) - len(plan.learned) :]  # the tightest
    assert TrainingPlan("kahan_li8").learned == (1e-6, 1e-7, 1e-8)
    assert TrainingPlan("kahan_li8", (1e-3, 1e-2)).learned == (1e-2, 1e-3)  # tolerances that are given are all learned from


class Stop(Exception):
    """Raised to stop a training."""


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(trained, tmp_path, monkeypatch):
    """It is stopped in the middle of the descent, and again before the calibration."""
    monkeypatch.setattr("aitimestepper.training.runs.training_run.VALIDATE_EVERY", 20)
    plan, whole, parts = PLAN, tmp_path / "whole", tmp_path / "parts"
    train_on_runs(plan, whole)

    def stop_at(stage, done):
        def report(progress):
            if progress.stage == stage and progress.done >= done:
                raise Stop

        return report

    for stage, done in (("descent", 45), ("calibration", 0)):
        with pytest.raises(Stop):
            train_on_runs(plan, parts, report=stop_at(stage, done))
    train_on_runs(plan, parts)
    one, other = (load_model(folder / MODEL) for folder in (whole, parts))
    assert one == other
    assert one.card["calibration"] == other.card["calibration"]
    with pytest.raises(Stop):
        train_on_runs(plan, tmp_path / "third", report=stop_at("descent", 25))
    with pytest.raises(ConfigError, match="holds a training with another seed: give the same settings"):
        train_on_runs(replace(plan, seed=2), tmp_path / "third")
    (tmp_path / "third" / STATE).write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="cannot be read"):
        train_on_runs(plan, tmp_path / "third")


def test_a_network_with_too_long_steps_is_asked_for_less():
    """Steps four times too long at order 2: errors 16 times too large, so a sixteenth of the tolerance is asked for."""
    problems = EvaluationSet.make("leapfrog", (1e-3,), "train", 10, ("kepler",))
    config = config_for("leapfrog", (4,))
    plain, too_long = untrained_network(config), untrained_network(config)
    with torch.no_grad():
        too_long.log_dt.bias += math.log(4.0) / 4
    factors = [calibrate(learned_step(network, config), problems)[0][1] for network in (plain, too_long)]
    assert factors[1] / factors[0] == pytest.approx(1 / 16, rel=0.15)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"integrator": "leapfog"}, "did you mean 'leapfrog'"),
        ({"tolerances": (0.0,)}, "tol = 0.0 must be >= 1e-14 and < 1"),
        ({"tolerances": (math.nan,)}, "tol = nan must be"),
        ({"families": ("keppler",)}, "did you mean 'kepler'"),
        ({"problems": 1}, "problems = 1 must be >= 4"),
        ({"layers": (0,)}, "layers = 0 must be >= 1"),
        ({"threads": 0}, "threads = 0 must be >= 1"),
    ],
)
def test_bad_plans_are_one_sentence(change, words):
    with pytest.raises(ConfigError, match=words):
        replace(PLAN, **change).checked()


def test_the_two_phases_can_be_a_start(trained, tmp_path):
    """A network that was trained before, with its own ranges, is trained further."""
    path, _, _ = trained
    plan = replace(PLAN, descent=PLAN.descent._replace(iterations=10), calibration=0)
    done = train_on_runs(plan, tmp_path / "more", start=load_model(path))
    assert load_model(done).card["calibration"] == []
    step = LearnedStep.load(done, tol=1e-3)
    assert step.bound_model != load_model(path)
    assert step.tolerance is None
