"""Training on runs: references, descent, calibration, a model with its card. It can be stopped anywhere, and goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...config import Config
from ...criteria.learned import LearnedStep
from ...differentiable.adapter import ModelAdapter
from ...differentiable.features import requested_features
from ...differentiable.network import FullyConnectedNN
from ...errors import CheckpointError, ConfigError
from ...evaluation.evaluation_set import EvaluationSet, evaluate
from ...evaluation.runs import Systems
from ...initial.suites import make_suite
from ...models import Model, model_name
from ...simulate.progress import Watch
from ...simulate.threads import available_cores
from ..checkpoints import checkpoint_name, save_checkpoint, save_plain
from .descent import Descent
from .error_estimate import fit_error_estimate
from .networks import config_for, learned_step, started_from, untrained_network
from .objective import Score, mean_log_cost, scores
from .plan import CALIBRATION, REFERENCES, TrainingPlan
from .reference import ReferenceTrajectories, make_references
from .tolerances import FARTHEST, calibrate

MODEL, CHECKPOINT, STATE = model_name(1), checkpoint_name(1), "training_state.pt"
VALIDATE_EVERY = 350  # iterations of the descent
MARGIN = 0.05  # of the range of an input seen in training, beyond it
LARGEST = 3.0  # times the tolerance: errors beyond that count as that


class Progress(NamedTuple):
    """Where a training stands: for progress bars and tables."""

    stage: str  # references, descent, calibration; of a validation: what it follows
    done: int
    total: int
    scores: list[Score] | None = None  # of a validation


Report = Callable[[Progress], None]


@dataclass
class TrainingState:
    """What is written into the folder of a training after every validation, so that it can be gone on with."""

    fingerprint: dict[str, Any]
    descent: dict[str, Any] = field(default_factory=dict)
    validations: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # of the validations during the descent: weights, mean ln cost
    seconds: float = 0.0

    def save(self, folder: Path) -> None:
        """Write the state into the folder."""
        save_plain(folder / STATE, vars(self))

    @classmethod
    def begin(cls, plan: TrainingPlan, folder: Path) -> TrainingState:
        """Return what the folder holds of this very plan, or a new beginning."""
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
                f"{folder} holds a training with another {', '.join(changed)}: give the same settings to go on with it, or "
                "another --save-name."
            )
        return known


def train_on_runs(
    plan: TrainingPlan,
    folder: Path,
    start: Model | None = None,
    command: str = "",
    watch: Watch | None = None,
    report: Report = lambda progress: None,
) -> Path:
    """Train a network on runs, write model and checkpoint into `folder`, and return the path of the model.

    A training that was stopped goes on with what it left there. start: the network to begin with. command: for the card.
    """
    plan.checked()
    run = TrainingRun(plan, TrainingState.begin(plan, folder), folder, watch, report)
    network = run.descend(start)
    deviation = fit_error_estimate(network, ModelAdapter(run.config), run.references(), plan.asked)
    calibration = run.calibrate(network)
    step = learned_step(network, run.config, {"calibration": calibration})
    card = {
        "calibration": calibration,
        "plan": plan.fingerprint(),
        "command": command,
        "start": {} if start is None else dict(start.card),  # what made the network that this one began as
        "validation": [score._asdict() for score in run.validate(step, "calibrated")],
        "hours": round(run.seconds / 3600.0, 3),
        "error_estimate_deviation": round(deviation, 2),  # of log10
    }
    save_checkpoint(folder / CHECKPOINT, network, config=run.config, epoch=1, card=card)
    (folder / STATE).unlink(missing_ok=True)
    return folder / MODEL


class TrainingRun:
    """The stages of a training, on one set of problems."""

    def __init__(
        self,
        plan: TrainingPlan,
        state: TrainingState | None = None,
        folder: Path = Path(),
        watch: Watch | None = None,
        report: Report = lambda progress: None,
    ) -> None:
        self.plan, self.state, self.folder = plan, state or TrainingState(plan.fingerprint()), folder
        self.watch, self.report = watch, report
        self.threads = plan.threads or available_cores()
        self.config: Config = config_for(plan.integrator, plan.layers, plan.dt_ceiling, plan.seed)
        self._began = time.perf_counter() - self.state.seconds
        self._validation: EvaluationSet | None = None
        self._references: ReferenceTrajectories | None = None

    @property
    def seconds(self) -> float:
        """Time spent on the training, with that before it was stopped."""
        return time.perf_counter() - self._began

    def evaluation_set(self, split: str, first: int, count: int, families: Sequence[str] = ()) -> EvaluationSet:
        """Return `count` problems of each family, from number `first` of the split on, at the tolerances of the plan."""
        p = self.plan
        return EvaluationSet.make(p.integrator, p.asked, split, count, families or p.families, p.own, first, self.threads)

    def references(self) -> ReferenceTrajectories:
        """Return the trajectories to learn from; they are made once."""
        if self._references is None:
            plan = self.plan
            suite = make_suite(plan.learned_from, "train", plan.problems, 3, plan.own, REFERENCES)
            self._references = make_references(
                Systems.of(suite),
                suite.family_of,
                plan.integrator,
                plan.measured_at,
                self.watch,
                self.threads,
                lambda done, total: self.report(Progress("references", done, total)),
            )
        return self._references

    def descend(self, start: Model | None = None) -> FullyConnectedNN:
        """Learn from the references by gradients, and return the network that validated best."""
        plan, state = self.plan, self.state
        network = untrained_network(self.config) if start is None else started_from(start, self.config)
        if start is None or plan.descent.iterations:  # a network that learns nothing new stays with the limits that it has
            network.limit_inputs(*input_ranges(self.references(), plan))
        if state.descent.get("done", 0) < plan.descent.iterations:
            self._descend(network)
        if state.best:
            network.load_state_dict(state.best["network"])
        return network

    def _descend(self, network: FullyConnectedNN) -> None:
        """Descend to the end, from the beginning or from where it was stopped, with a validation every so often."""
        plan, state, total = self.plan, self.state, self.plan.descent.iterations
        adapter = ModelAdapter(self.config)
        descent = Descent(network, adapter, self.references(), plan.learned, plan.descent, plan.seed)
        if state.descent:
            descent.go_on_from(state.descent)
        while descent.done < total:
            more = min(VALIDATE_EVERY, total - descent.done)
            descent.advance(more, lambda done: self.report(Progress("descent", done, total)))
            state.descent = descent.state()
            self._remember_best(network, self.validate(learned_step(network, self.config), f"descent {descent.done}"))
        state.descent = {"done": descent.done}
        self.save()

    def _remember_best(self, network: FullyConnectedNN, found: list[Score]) -> None:
        """Go on with the network that does best on `validation`: the last one may know its references by heart."""
        value = mean_log_cost([score for score in found if score.tol in self.plan.learned], self.plan.order)
        if not self.state.best or value < self.state.best["value"]:
            weights = {name: x.clone() for name, x in network.state_dict().items()}
            self.state.best = {"value": value, "network": weights}
        self.save()

    def calibrate(self, network: FullyConnectedNN) -> list[list[float]]:
        """Return [tolerance, what to ask the network for over it] for each tolerance of the plan; none if it says so."""
        plan = self.plan
        if not plan.calibration:
            return []
        problems = self.evaluation_set("train", CALIBRATION, plan.calibration, plan.learned_from)
        step = learned_step(network, self.config)
        pairs = calibrate(
            step, problems, self.threads, self.watch, lambda done, n: self.report(Progress("calibration", done, n))
        )
        return [list(pair) for pair in pairs]

    def validate(self, step: LearnedStep, when: str) -> list[Score]:
        """Measure a network on `validation`, report it and save it."""
        if self._validation is None:
            self._validation = self.evaluation_set("validation", 0, self.plan.validation)
        found = scores(self._validation, evaluate(step, self._validation, self.watch, self.threads))
        self.state.validations.append({"when": when, "scores": [score._asdict() for score in found]})
        self.save()
        self.report(Progress(when, len(self.state.validations), 0, found))
        return found

    def save(self) -> None:
        """Write what has been done so far."""
        self.state.seconds = self.seconds
        self.state.save(self.folder)


def input_ranges(references: ReferenceTrajectories, plan: TrainingPlan) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lowest and highest value (11,) of every input in training, a little beyond."""
    low, high = references.features.amin(0), references.features.amax(0)
    margin = MARGIN * (high - low) + 1e-6
    ends = [requested_features(torch.tensor([s]), torch.tensor([t]), plan.order)[0] for s, t in _corners(plan)]
    asked_low, asked_high = torch.stack(ends).amin(0), torch.stack(ends).amax(0)
    return torch.cat([low - margin, asked_low]), torch.cat([high + margin, asked_high])


def _corners(plan: TrainingPlan) -> list[tuple[float, float]]:
    """Return (error over tolerance, tolerance) at the ends of all that calibration may ask a network for."""
    beyond = (1.0 + MARGIN) * math.exp(FARTHEST)
    return [(-LARGEST, min(plan.asked) / beyond), (LARGEST, max(plan.asked) * beyond)]
