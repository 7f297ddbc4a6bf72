"""Tuning: it learns, it goes on where it stopped to the same bits, and what comes out drives a run by itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from aitimestepper import LearnedStep, Symmetrized, simulate
from aitimestepper.criteria.base import AbstractStepCriterion
from aitimestepper.errors import CheckpointError, ConfigError
from aitimestepper.training.checkpoints import load_checkpoint
from aitimestepper.initial.named import kepler
from aitimestepper.training.runs.tolerances import calibrate
from aitimestepper.training.runs.descent import Descent
from aitimestepper.evaluation.evaluation_set import evaluation_set
from aitimestepper.training.runs.networks import config_for, step_of, untrained
from aitimestepper.training.runs.objective import Score
from aitimestepper.training.runs.plan import TOLERANCES, TunePlan
from aitimestepper.training.runs.search import Search, draw, search
from aitimestepper.training.runs.training_run import MODEL, STATE, tune

PLAN = TunePlan(
    tolerances=(1e-2, 1e-3),
    families=("kepler", "planets"),
    layers=(6,),
    problems=6,
    validation=6,
    calibration=8,
    descent=Descent(iterations=60, lr=1e-2, batch=6),
    threads=1,
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """(path, card, what was told) of a small tuning."""
    progress = []
    path = tune(PLAN, tmp_path_factory.mktemp("runs") / "t", tell=progress.append)
    return path, load_checkpoint(path).card, progress


def test_it_gets_cheaper_than_energy_budget(tuned):
    _, card, progress = tuned
    validation = evaluation_set("leapfrog", (1e-2, 1e-3), "validation", 6, ("kepler", "planets"))
    from aitimestepper.evaluation.evaluation_set import evaluate
    from aitimestepper.training.runs.objective import scores

    config = config_for("leapfrog", (6,))
    before = scores(validation, evaluate(step_of(untrained(config), config), validation))
    after = [Score(**row) for row in card["validation"]]
    for old, new in zip(before, after, strict=True):
        assert new.cost(2) < 0.8 * old.cost(2)
    assert [n.stage for n in progress if n.scores] == ["descent 60", "calibrated"]


def test_the_model_needs_nothing_else(tuned):
    path, card, _ = tuned
    step = LearnedStep.load(path.parent, tol=1e-3)
    assert step.integrator == "leapfrog"
    assert step.run_tolerance == 1e-3
    assert [pair[0] for pair in card["calibration"]] == [1e-2, 1e-3]
    done = simulate(kepler(e=0.6), t_end=20.0, criterion=Symmetrized(step))
    assert done.status == ("ok",)
    assert done.max_energy_error.item() < 3e-3
    assert not (path.parent / STATE).exists()
    assert card["plan"] == PLAN.fingerprint()


def test_tolerances_at_which_an_order_is_wasted_are_calibrated_but_not_learned_from():
    for integrator, asked in TOLERANCES.items():
        plan = TunePlan(integrator)
        assert plan.asked == asked
        assert plan.learned == asked[len(asked) - len(plan.learned) :]  # the tightest
    assert TunePlan("kahan_li8").learned == (1e-6, 1e-7, 1e-8)
    assert TunePlan("kahan_li8", (1e-3, 1e-2)).learned == (1e-2, 1e-3)  # who says what they want gets that


class Stop(Exception):
    """Pulled the plug."""


def test_a_tuning_that_was_stopped_goes_on_to_the_same_bits(tuned, tmp_path, monkeypatch):
    """In the middle of the descent, and again before the calibration."""
    monkeypatch.setattr("aitimestepper.training.runs.training_run.EVERY", 20)
    plan, whole, parts = PLAN, tmp_path / "whole", tmp_path / "parts"
    tune(plan, whole, tell=lambda progress: None)

    def stop_at(stage, done):
        def tell(progress):
            if progress.stage == stage and progress.done >= done:
                raise Stop

        return tell

    for stage, done in (("descent", 45), ("calibration", 0)):
        with pytest.raises(Stop):
            tune(plan, parts, tell=stop_at(stage, done))
    tune(plan, parts, tell=lambda progress: None)
    one, other = (load_checkpoint(folder / MODEL) for folder in (whole, parts))
    assert all(torch.equal(a, other.model_state[name]) for name, a in one.model_state.items())
    assert one.card["calibration"] == other.card["calibration"]
    with pytest.raises(Stop):
        tune(plan, tmp_path / "third", tell=stop_at("descent", 25))
    with pytest.raises(ConfigError, match="holds a tuning with another seed: give the same settings"):
        tune(replace(plan, seed=2), tmp_path / "third")
    (tmp_path / "third" / STATE).write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="cannot be read"):
        tune(plan, tmp_path / "third")


def test_policy_search_improves_whole_runs_and_can_be_replayed():
    pytest.importorskip("cma")
    what = evaluation_set("leapfrog", (1e-2,), "train", 6, ("kepler",), first=100)
    config = config_for("leapfrog", (4,))
    how, model = Search(generations=6, population=6, sigma=0.1, draw=6), untrained(config)
    seen = []
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = search(model, config, what, how, 3, tell=lambda g, mean: seen.append(g.values))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert min(seen[-1]) < min(seen[0]) - 0.05
    again = []
    replayed = search(model, config, what, how, 3, known=seen[:4], tell=lambda g, mean: again.append(g.values))
    assert again == seen[4:]
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), replayed.parameters(), strict=True))


def test_every_generation_has_other_problems():
    what = evaluation_set("leapfrog", (1e-1,), "train", 12, ("kepler", "planets"))
    drawn = [draw(what, 4, 1, number) for number in range(5)]
    assert all((what.family[d] == k).sum() == 4 for d in drawn for k in (0, 1))
    assert len({tuple(d) for d in drawn}) == 5
    assert np.array_equal(draw(what, 4, 1, 3), drawn[3])


def test_a_network_that_is_too_bold_is_told_less():
    """Steps four times too long at order 2: errors 16 times too large, so it is told about a sixteenth of the tolerance."""
    what = evaluation_set("leapfrog", (1e-3,), "train", 10, ("kepler",))
    config = config_for("leapfrog", (4,))
    timid, bold = untrained(config), untrained(config)
    with torch.no_grad():
        bold.log_dt.bias += math.log(4.0) / 4
    factors = [calibrate(step_of(model, config), what)[0][1] for model in (timid, bold)]
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


def test_the_two_phases_are_a_beginning(tuned, tmp_path):
    """A network from two-phase training, with its own ranges, goes on being tuned."""
    path, _, _ = tuned
    plan = replace(PLAN, descent=PLAN.descent._replace(iterations=10), calibration=0)
    done = tune(plan, tmp_path / "more", start=load_checkpoint(path), tell=lambda progress: None)
    assert load_checkpoint(done).card["calibration"] == []
    step = LearnedStep.load(done, tol=1e-3)
    assert isinstance(step, AbstractStepCriterion)
    assert step.run_tolerance is None
