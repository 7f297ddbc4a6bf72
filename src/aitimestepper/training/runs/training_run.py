"""Training on runs: references, descent, calibration, a model with its card. A stopped training can be continued."""

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
MARGIN = 0.05  # inputs may exceed their range in training by this fraction of it
LARGEST = 3.0  # in units of the tolerance: larger errors so far are clipped to this


class Progress(NamedTuple):
    """Progress of a training, for progress bars and tables."""

    stage: str  # references, descent, calibration; for a validation, the stage before it
    done: int
    total: int
    scores: list[Score] | None = None  # the result of a validation


Report = Callable[[Progress], None]


@dataclass
class TrainingState:
    """State of a training, written into its folder after every validation, from which it can be continued."""

    fingerprint: dict[str, Any]
    descent: dict[str, Any] = field(default_factory=dict)
    validations: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # weights and mean ln cost of the best validation during the descent
    seconds: float = 0.0

    def save(self, folder: Path) -> None:
        """Write the state into the folder."""
        save_plain(folder / STATE, vars(self))

    @classmethod
    def begin(cls, plan: TrainingPlan, folder: Path) -> TrainingState:
        """Return the state of this plan in the folder, or a new one."""
        if not (folder / STATE).exists():
            return cls(plan.fingerprint())
        try:
            known = cls(**torch.load(folder / STATE, weights_only=True))
        except Exception as error:  # damaged files raise errors of many kinds
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

    A training that was stopped is continued from its state there. start: the network to begin with. command: for the card.
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
        "start": {} if start is None else dict(start.card),  # card of the network that this one began with
        "validation": [score._asdict() for score in run.validate(step, "calibrated")],
        "hours": round(run.seconds / 3600.0, 3),
        "error_estimate_deviation": round(deviation, 2),  # in decades
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
        """Time of the training, including that before it was stopped."""
        return time.perf_counter() - self._began

    def evaluation_set(self, split: str, first: int, count: int, families: Sequence[str] = ()) -> EvaluationSet:
        """Return `count` problems of each family, from number `first` of the split on, at the tolerances of the plan."""
        p = self.plan
        return EvaluationSet.make(p.integrator, p.asked, split, count, families or p.families, p.own, first, self.threads)

    def references(self) -> ReferenceTrajectories:
        """Return the trajectories to learn from; they are computed once."""
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
        """Learn from the references by gradient descent, and return the network with the best validation."""
        plan, state = self.plan, self.state
        network = untrained_network(self.config) if start is None else started_from(start, self.config)
        if start is None or plan.descent.iterations:  # a network that learns nothing new keeps its own limits
            network.limit_inputs(*input_ranges(self.references(), plan))
        if state.descent.get("done", 0) < plan.descent.iterations:
            self._descend(network)
        if state.best:
            network.load_state_dict(state.best["network"])
        return network

    def _descend(self, network: FullyConnectedNN) -> None:
        """Descend to the end, from the beginning or from the last state, validating every `VALIDATE_EVERY` iterations."""
        plan, state, total = self.plan, self.state, self.plan.descent.iterations
        adapter = ModelAdapter(self.config)
        descent = Descent(network, adapter, self.references(), plan.learned, plan.descent, plan.seed)
        if state.descent:
            descent.restore(state.descent)
        while descent.done < total:
            more = min(VALIDATE_EVERY, total - descent.done)
            descent.advance(more, lambda done: self.report(Progress("descent", done, total)))
            state.descent = descent.state()
            self._remember_best(network, self.validate(learned_step(network, self.config), f"descent {descent.done}"))
        state.descent = {"done": descent.done}
        self.save()

    def _remember_best(self, network: FullyConnectedNN, found: list[Score]) -> None:
        """Store the network if it is the best so far on `validation`: the last one may be overfitted to its references."""
        value = mean_log_cost([score for score in found if score.tol in self.plan.learned], self.plan.order)
        if not self.state.best or value < self.state.best["value"]:
            weights = {name: x.clone() for name, x in network.state_dict().items()}
            self.state.best = {"value": value, "network": weights}
        self.save()

    def calibrate(self, network: FullyConnectedNN) -> list[list[float]]:
        """Return [tolerance, factor] for each tolerance of the plan (see `tolerances.calibrate`); none if it asks for none."""
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
        """Write the state of the training."""
        self.state.seconds = self.seconds
        self.state.save(self.folder)


def input_ranges(references: ReferenceTrajectories, plan: TrainingPlan) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lowest and highest value (11,) of every input in training, with a margin."""
    low, high = references.features.amin(0), references.features.amax(0)
    margin = MARGIN * (high - low) + 1e-6
    ends = [requested_features(torch.tensor([s]), torch.tensor([t]), plan.order)[0] for s, t in _corners(plan)]
    requested_low, requested_high = torch.stack(ends).amin(0), torch.stack(ends).amax(0)
    return torch.cat([low - margin, requested_low]), torch.cat([high + margin, requested_high])


def _corners(plan: TrainingPlan) -> list[tuple[float, float]]:
    """Return (error over tolerance, tolerance) at the ends of the range that calibration may ask a network for."""
    beyond = (1.0 + MARGIN) * math.exp(FARTHEST)
    return [(-LARGEST, min(plan.asked) / beyond), (LARGEST, max(plan.asked) * beyond)]
