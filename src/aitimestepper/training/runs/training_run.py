"""Tuning from beginning to end: tracks, descent, search, calibration, a model with its card. It can be stopped anywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...evaluation.runs import Systems
from ...config import Config
from ...differentiable.adapter import ModelAdapter
from ...criteria.learned import LearnedStep
from ...errors import CheckpointError, ConfigError
from ...differentiable.features import asked_features
from ..checkpoints import Checkpoint, save_checkpoint, save_plain
from ...initial.suites import make_suite
from ...differentiable.network import FullyConnectedNN
from ...simulate.batch import Watch
from ...simulate.threads import available_cores
from .tolerances import FARTHEST, calibrate
from .descent import Descending
from .error_estimate import fit_error_estimate
from ...evaluation.evaluation_set import EvaluationSet, evaluation_set, evaluate
from .networks import config_for, keep_inputs_in, step_of, untrained
from .objective import Score, mean_log_cost, scores
from .plan import CALIBRATED, EVERY, SEARCHED, TRACKS, TunePlan
from .search import Generation, search
from .reference import ReferenceTrajectories, make_tracks

MODEL, STATE = "model_epoch_0001.pt", "tuning.pt"
MARGIN = 0.05  # of the range of an input seen in training, beyond it
LARGEST = 3.0  # times the tolerance: errors beyond that count as that


class Progress(NamedTuple):
    """What is going on: for progress bars and tables."""

    stage: str  # tracks, descent, search, calibration, validation
    done: int
    total: int
    scores: list[Score] | None = None  # of a look at `validation`


Tell = Callable[[Progress], None]


@dataclass
class Tuning:
    """Where a tuning stands: what is kept in its folder after every look."""

    fingerprint: dict[str, Any]
    descent: dict[str, Any] = field(default_factory=dict)
    generations: list[list[float]] = field(default_factory=list)
    looks: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # of the looks during the descent: its network, its mean ln cost
    seconds: float = 0.0

    def save(self, folder: Path) -> None:
        """Into the folder of the run."""
        save_plain(folder / STATE, vars(self))

    @classmethod
    def begin(cls, plan: TunePlan, folder: Path) -> Tuning:
        """What the folder knows of this very plan, or a new one."""
        if not (folder / STATE).exists():
            return cls(plan.fingerprint())
        try:
            known = cls(**torch.load(folder / STATE, weights_only=True))
        except Exception as error:  # whatever a damaged file brings up
            raise CheckpointError(
                f"{folder / STATE} cannot be read ({type(error).__name__}); remove it to begin anew."
            ) from None
        if known.fingerprint != plan.fingerprint():
            changed = [k for k, v in plan.fingerprint().items() if known.fingerprint.get(k) != v]
            raise ConfigError(
                f"{folder} holds a tuning with another {', '.join(changed)}: give the same settings to go on with it, or "
                "another --save-name."
            )
        return known


def tune(
    plan: TunePlan,
    folder: Path,
    start: Checkpoint | None = None,
    command: str = "",
    watch: Watch | None = None,
    tell: Tell = lambda progress: None,
) -> Path:
    """Tune, and write the model into `folder`; what a stopped tuning left there is gone on with. The path of the model."""
    plan.checked()
    tuning = Tuning.begin(plan, folder)
    began = time.perf_counter() - tuning.seconds
    work = TrainingRun(plan, tuning, folder, watch, tell, began)
    model = work.descend(start)
    model = work.search(model)
    deviation = fit_error_estimate(model, ModelAdapter(work.config), work.tracks(), plan.asked)
    step = step_of(model, work.config)
    if plan.calibration:
        calm = work.evaluation_set("train", CALIBRATED, plan.calibration, plan.learned_from)
        step.adapter.calibration = calibrate(step, calm, work.threads, watch, lambda k, n: tell(Progress("calibration", k, n)))
    final = [score._asdict() for score in work.look(step, "calibrated")]
    card = {
        "calibration": [list(pair) for pair in step.adapter.calibration],
        "plan": plan.fingerprint(),
        "command": command,
        "start": {} if start is None else start.card,  # what made the network that this one began as
        "hours": round((time.perf_counter() - began) / 3600.0, 3),
        "validation": final,
        "error_estimate_deviation": round(deviation, 2),  # of log10
    }
    path = save_checkpoint(folder / MODEL, model, config=work.config, epoch=1, card=card)
    (folder / STATE).unlink(missing_ok=True)
    return path


class TrainingRun:
    """The stages, on one set of problems."""

    def __init__(
        self,
        plan: TunePlan,
        tuning: Tuning | None = None,
        folder: Path = Path(),
        watch: Watch | None = None,
        tell: Tell = lambda progress: None,
        began: float = 0.0,
    ) -> None:
        self.plan, self.tuning, self.folder = plan, tuning or Tuning(plan.fingerprint()), folder
        self.watch, self.tell, self.began = watch, tell, began
        self.threads = plan.threads or available_cores()
        self.config: Config = config_for(plan.integrator, plan.layers, plan.dt_ceiling, plan.seed)
        self._validation: EvaluationSet | None = None
        self._tracks: ReferenceTrajectories | None = None

    def evaluation_set(self, split: str, first: int, count: int, families: Sequence[str] = ()) -> EvaluationSet:
        """Problems that serve no other purpose."""
        p = self.plan
        return evaluation_set(p.integrator, p.asked, split, count, families or p.families, p.own, first, self.threads)

    def descend(self, start: Checkpoint | None) -> FullyConnectedNN:
        """The gradient way."""
        plan, tuning = self.plan, self.tuning
        model = untrained(self.config)
        if start is not None:
            model.load_state_dict(start.model_state)
        descent = tuning.descent
        if start is None or plan.descent.iterations:  # a model that learns nothing new keeps its own
            keep_inputs_in(model, *input_ranges(self.tracks(), plan))
        if descent.get("done", 0) < plan.descent.iterations:
            going = Descending(model, ModelAdapter(self.config), self.tracks(), plan.learned, plan.descent, plan.seed)
            if descent:
                going.go_on_from(descent)
            while going.done < plan.descent.iterations:
                more = min(EVERY, plan.descent.iterations - going.done)
                going.advance(more, lambda done: self.tell(Progress("descent", done, plan.descent.iterations)))
                tuning.descent = going.state()
                self.keep_best(model, self.look(step_of(model, self.config), f"descent {going.done}"))
            tuning.descent = {"done": going.done}
            self.save()
        if tuning.best:
            model.load_state_dict(tuning.best["model"])
        return model

    def keep_best(self, model: FullyConnectedNN, found: list[Score]) -> None:
        """The network that does best on `validation` is the one to go on with: the last one may know its tracks by heart."""
        value = mean_log_cost([score for score in found if score.tol in self.plan.learned], self.plan.order)
        if not self.tuning.best or value < self.tuning.best["value"]:
            state = {name: x.clone() for name, x in model.state_dict().items()}
            self.tuning.best = {"value": value, "model": state}
        self.save()

    def tracks(self) -> ReferenceTrajectories:
        """To learn from; made once."""
        if self._tracks is not None:
            return self._tracks
        plan = self.plan
        suite = make_suite(plan.learned_from, "train", plan.problems, 3, plan.own, TRACKS)
        self._tracks = make_tracks(
            Systems.of(suite),
            suite.family_of,
            plan.integrator,
            plan.measured_at,
            self.watch,
            self.threads,
            lambda k, n: self.tell(Progress("tracks", k, n)),
        )
        return self._tracks

    def search(self, model: FullyConnectedNN) -> FullyConnectedNN:
        """The policy search."""
        how = self.plan.search
        if not how.generations:
            return model

        def note(generation: Generation, mean: FullyConnectedNN) -> None:
            self.tuning.generations.append(generation.values)
            self.tell(Progress("search", generation.number + 1, how.generations))
            if (generation.number + 1) % 10 == 0:
                self.look(step_of(mean, self.config), f"search {generation.number + 1}")

        what = self.evaluation_set("train", SEARCHED, 4 * how.draw)
        known = list(self.tuning.generations)
        return search(model, self.config, what, how, self.plan.seed, known, self.threads, self.watch, note)

    def look(self, step: LearnedStep, when: str) -> list[Score]:
        """How the network does on `validation`, told and saved."""
        if self._validation is None:
            self._validation = self.evaluation_set("validation", 0, self.plan.validation)
        found = scores(self._validation, evaluate(step, self._validation, self.watch, self.threads))
        self.tuning.looks.append({"when": when, "scores": [score._asdict() for score in found]})
        self.save()
        self.tell(Progress(when, len(self.tuning.looks), 0, found))
        return found

    def save(self) -> None:
        """What has been done so far."""
        self.tuning.seconds = time.perf_counter() - self.began
        self.tuning.save(self.folder)


def input_ranges(tracks: ReferenceTrajectories, plan: TunePlan) -> tuple[torch.Tensor, torch.Tensor]:
    """(lowest, highest) of every input in training, a little beyond."""
    low, high = tracks.features.amin(0), tracks.features.amax(0)
    margin = MARGIN * (high - low) + 1e-6
    ends = [asked_features(torch.tensor([s]), torch.tensor([t]), plan.order)[0] for s, t in _corners(plan)]
    asked_low, asked_high = torch.stack(ends).amin(0), torch.stack(ends).amax(0)
    return torch.cat([low - margin, asked_low]), torch.cat([high + margin, asked_high])


def _corners(plan: TunePlan) -> list[tuple[float, float]]:
    """(error over tolerance, tolerance) at the ends: of all that calibration may tell a network."""
    room = (1.0 + MARGIN) * math.exp(FARTHEST)
    return [(-LARGEST, min(plan.asked) / room), (LARGEST, max(plan.asked) * room)]
