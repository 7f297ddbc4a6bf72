"""Judge `run`: what is accepted are runs that stay within their tolerance, at few force evaluations.

Part 1 makes accurate runs of new problems. Along each the errors of steps are measured, so that the error and the cost of any
choice of steps are integrals with gradients (`predicted`). Part 2 learns from minibatches of problems until the predicted
errors of one are within the tolerance. The end is a calibration on true runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...config import Config
from ...differentiable.adapter import ModelAdapter
from ...differentiable.network import FullyConnectedNN
from ...differentiable.particle import ParticleTorch
from ...errors import ConfigError, UserError
from ...evaluation.evaluation_set import LONG
from ...initial.families import LEARNED
from ...initial.own_families import families_named
from ...initial.suites import make_suite
from ...integrators import SPLITTINGS
from ...simulate.threads import chosen_threads
from ..checkpoints import misfit
from ..collection import Collected
from ..generalization import Generalized
from . import Watch
from .calibration import calibrate
from .error_estimate import fit_error_estimate
from .networks import learned_step, trained_parameters
from .objective import SHARE, Score, log_cost, mean_log_cost, scores
from .predicted import PredictedError, converged_prediction, predict_error
from .problems import ProblemSets
from .ranges import input_ranges
from .reference import MeasuredTrajectory, ReferenceTrajectories, join_references, measure_references
from .tolerances import asked, learned, measured_at

# Weight of the penalty on steps that are not time-symmetric. A weight 7 times as large took 11 % more forces at order 6, one 13
# times as large 27 % more at order 8.
ROUGHNESS_WEIGHT = 16.0
# Standard deviation of ln of the factor between the error that is an input of the network and the predicted one, since real
# errors differ from predictions.
NOISE = 0.35
CLIP = 1.0  # largest norm of a gradient
DAMPING = 0.5  # weight of the previous prediction of the error so far in its moving average
ROUNDS = 3  # iterations of the prediction, after which the error so far has about converged
CALIBRATION = 20_000  # number of the first problem of the split `train` to calibrate on; smaller ones are learned from


class RunRecord:
    """The trajectories that were accepted so far; `final` is where the next epoch starts."""

    def __init__(self, references: ReferenceTrajectories, final: ParticleTorch) -> None:
        self.references, self.final = references, final

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self.references.time)


class RunJudge:
    """The two parts of an epoch with whole runs, validation after each, and calibration at the end."""

    def __init__(self, network: nn.Module, optimizer: Optimizer, config: Config, adapter: ModelAdapter) -> None:
        check_settings(config)
        if not isinstance(network, FullyConnectedNN):
            raise ConfigError(f"judge = run needs a FullyConnectedNN, which simulations can use, not {type(network).__name__}.")
        self.network, self.optimizer, self.config, self.adapter = network, optimizer, config, adapter
        self.learned_from, self.own = families_named(config.ic_family or LEARNED)
        # long runs are learned from and calibrated on, but take too long after every epoch
        self.families = [f for f in self.learned_from if f != LONG] or self.learned_from
        self.tolerances, self.order = learned(config), SPLITTINGS[config.integrator].order
        self.threads = chosen_threads(config.threads)
        self.measured: list[tuple[int, MeasuredTrajectory]] = []  # (family, trajectory)
        self.best: dict[str, Any] = {}  # weights and mean ln cost of the best validation
        self._iterations = 0
        self._last: dict[str, Tensor] = {}  # the network of the last epoch, once `finish` has replaced it
        self._validation: ProblemSets | None = None

    # ---- Part 1 ---------------------------------------------------------------------------------------------------------
    def collect(self, particle: ParticleTorch, epoch: int, watch: Watch) -> Collected:
        """Run `num_orbits` new problems of each family accurately; a run whose error exceeds its gate is made again."""
        made = self._measure(epoch, watch)
        references = self._joined()
        self.network.limit_inputs(*input_ranges(references, asked(self.config)))
        return Collected(RunRecord(references, particle), _part1_metrics(made))

    def _measure(self, epoch: int, watch: Watch) -> list[MeasuredTrajectory | None]:
        config = self.config
        suite = make_suite(self.learned_from, "train", config.num_orbits, 3, self.own, (epoch - 1) * config.num_orbits)
        made = measure_references(
            suite,
            config.integrator,
            measured_at(asked(config)),
            config.energy_threshold,
            self.threads,
            lambda done, total: watch("part 1", done, total, ""),
        )
        self.measured += [(int(k), one) for k, one in zip(suite.family_of, made, strict=True) if one is not None]
        return made

    def _joined(self) -> ReferenceTrajectories:
        if not self.measured:
            raise UserError("no reference run of the problems reached its end; look at them with aitimestepper bench suite.")
        family, made = zip(*self.measured, strict=True)
        return join_references(made, family).to(self.adapter.device)

    # ---- Part 2 ---------------------------------------------------------------------------------------------------------
    def generalize(self, trajectory: RunRecord, watch: Watch) -> Generalized:
        """Learn from random problems, one tolerance after the other, until all families of a minibatch pass.

        A family passes if the predicted errors of `SHARE` of its problems are within the tolerance. Calibration multiplies the
        tolerance by a factor afterwards, one for sensitive systems and one for the others, so the factor that all recorded
        problems of a kind need at the start comes first.
        """
        config, references = self.config, trajectory.references
        members = [torch.nonzero(references.family == k).flatten().cpu() for k in torch.unique(references.family)]
        shown, factors = self._predicted(references)
        for iteration in range(1, config.replay_steps + 1):
            turn = self._iterations % len(self.tolerances)
            self._iterations += 1
            drawn = (torch.randperm(len(m), generator=self.adapter.generator)[: config.replay_batch_size] for m in members)
            chosen = torch.cat([m[index] for m, index in zip(members, drawn, strict=True)])
            part, points = references.rows(chosen)
            found = self._predict(part, turn, shown[turn, points])
            allowed = factors[turn, chosen.to(factors.device)]
            within = found.log_excess.detach() <= allowed
            passed = all(bool(within[part.family == k].double().mean() >= SHARE) for k in torch.unique(part.family))
            if (passed and iteration > config.replay_min_steps) or iteration == config.replay_steps:
                break
            self._learn(found, part)
            shown[turn, points] = DAMPING * shown[turn, points] + (1.0 - DAMPING) * found.error_fraction
            watch("part 2", iteration, config.replay_steps, f"{float(within.double().mean()):.0%} within")
        errors = self.tolerances[turn] * torch.exp(found.log_excess.detach() - allowed)
        metrics = {
            "mean_rel_dE": float(errors.mean()),
            "max_rel_dE": float(errors.max()),
            "final_pass_rate": float(within.double().mean()),
        }
        return Generalized(passed, iteration, metrics)

    def _predicted(self, references: ReferenceTrajectories) -> tuple[Tensor, Tensor]:
        """Return error over tolerance so far (T, S), and ln of the factor (T, P) with which every family is within it."""
        shown, factors, kind = [], [], references.sensitive
        for tol in self.tolerances:
            found, fraction = converged_prediction(self.network, self.adapter, references, tol, ROUNDS)
            worst = [largest_tail(found.log_excess[which], references.family[which]) for which in (~kind, kind)]
            shown.append(fraction)
            factors.append(torch.where(kind, worst[1], worst[0]))
        return torch.stack(shown), torch.stack(factors)

    def _predict(self, part: ReferenceTrajectories, turn: int, fraction: Tensor) -> PredictedError:
        """Return the prediction for a minibatch, with noise in the error so far that the network is shown."""
        noise = torch.randn(len(part.first), generator=self.adapter.generator, dtype=torch.float64)
        shown = fraction * torch.exp(NOISE * noise).to(fraction)[part.trajectory]
        return predict_error(self.network, self.adapter, part, self.tolerances[turn], shown)

    def _learn(self, found: PredictedError, part: ReferenceTrajectories) -> None:
        """Take one optimizer step on cost and roughness of the predicted runs, with a learning rate that falls all the time."""
        done = self._iterations / (self.config.epochs * self.config.replay_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self.config.lr_decay**done
        cost = log_cost(found.log_forces, found.log_excess, part.family, self.order, part.sensitive)
        self.optimizer.zero_grad(set_to_none=True)
        (cost + ROUGHNESS_WEIGHT * found.roughness.mean()).backward()
        torch.nn.utils.clip_grad_norm_(trained_parameters(self.network), CLIP)
        self.optimizer.step()

    # ---- validation, and the end ----------------------------------------------------------------------------------------
    def after_epoch(self, trajectory: RunRecord, watch: Watch) -> dict[str, Any]:
        """Validate on true runs, and remember the network if it is the best so far: later ones may be overfitted."""
        found = [score for score in self._validate({}, watch) if score.tol in self.tolerances]
        value = mean_log_cost(found, self.order)
        if not self.best or value < self.best["value"]:
            self.best = {"value": value, "network": _copied(self.network)}
        return {
            "validation/cost": float(np.exp(value)),
            "validation/compliance": float(np.mean([score.compliance for score in found])),
        }

    def _validate(self, card: dict[str, Any], watch: Watch) -> list[Score]:
        watch("validation", 0, 1, "")
        if self._validation is None:
            self._validation = self._problems("validation", 0, self.config.validation, self.families)
        step = learned_step(self.network, self.config, card)
        return scores(self._validation, self._validation.evaluate(step, self.threads))

    def _problems(self, split: str, first: int, count: int, families: Sequence[str]) -> ProblemSets:
        """Return `count` problems of each family, from number `first` of the split on, at the tolerances asked for."""
        config = self.config
        return ProblemSets.make(config.integrator, asked(config), split, count, families, self.own, first, self.threads)

    def about(self) -> dict[str, Any]:
        """Return what the card of every model says: the families and tolerances that were learned from."""
        return {
            "families": self.learned_from,
            "tolerances": list(asked(self.config)),
            "learned": list(self.tolerances),
        }

    def state(self) -> dict[str, Any]:
        """Return the best network so far, and that of the last epoch, which further epochs begin with."""
        return {"iterations": self._iterations, "best": self.best, "network": self._last or _copied(self.network)}

    def restore(self, state: dict[str, Any], epochs: int, watch: Watch) -> None:
        """Continue after `epochs` epochs; their reference runs are made again, to the same bits."""
        try:
            self._iterations, self.best = int(state["iterations"]), dict(state["best"])
            if self.best:
                self.best["value"] = float(self.best["value"])
                self.network.load_state_dict(self.best["network"])
            self.network.load_state_dict(state["network"])
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise misfit(error) from None
        for epoch in range(1, epochs + 1):
            self._measure(epoch, watch)

    def finish(self, watch: Watch) -> dict[str, Any]:
        """Take the best network, fit its error estimate, calibrate it, and measure it once more."""
        config = self.config
        self._last = _copied(self.network)
        if self.best:
            self.network.load_state_dict(self.best["network"])
        deviation = fit_error_estimate(self.network, self.adapter, self._joined(), asked(config))  # in decades
        card: dict[str, Any] = {**self.about(), "error_estimate_deviation": round(deviation, 2)}
        if config.calibration:
            problems = self._problems("train", CALIBRATION, config.calibration, self.learned_from)
            step = learned_step(self.network, config)
            report = lambda done, total: watch("calibration", done, total, "")  # noqa: E731  one use, one line
            card |= calibrate(step, problems, self.threads, report).card()
            card["symmetrization"] = list(step.symmetrization)
        card["validation"] = [score._asdict() for score in self._validate(card, watch)]
        return card


def check_settings(config: Config) -> None:
    """Raise an error for settings that problems of families do not have, or that are too many."""
    if config.integrator not in SPLITTINGS:
        raise ConfigError(f"integrator = {config.integrator}: a network is trained through one of {', '.join(SPLITTINGS)}.")
    for name, usual in (("dtype", "float64"), ("G", 1.0), ("softening", 0.0), ("external_field", None)):
        if getattr(config, name) != usual:
            raise ConfigError(
                f"judge = run learns from families of problems with {name} = {usual}, not {getattr(config, name)}: leave it "
                "out."
            )
    if config.epochs * config.num_orbits > CALIBRATION:
        raise ConfigError(
            f"epochs = {config.epochs} of num_orbits = {config.num_orbits} problems are more than {CALIBRATION}, of each "
            "family; give fewer."
        )


def largest_tail(log_excess: Tensor, family: Tensor) -> Tensor:
    """Return the largest of the excesses that `SHARE` of each family stay below; 0 if there are no problems."""
    tails = [torch.quantile(log_excess[family == k], SHARE) for k in torch.unique(family)]
    return torch.stack(tails).max() if tails else log_excess.new_zeros(())


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: x.detach().cpu().clone() for name, x in network.state_dict().items()}


def _part1_metrics(made: Sequence[MeasuredTrajectory | None]) -> dict[str, Any]:
    """Return counts and means over the runs of one epoch, under the names of `collect_trajectory`."""
    accepted = [one for one in made if one is not None]
    rejected = [one.rejected for one in accepted] or [0]
    points = sum(len(one.time) for one in accepted)
    return {
        "total_steps": points,
        "trajectory_length": points,
        "warmup_discarded": 0,
        "mean_retrain_iterations": float(np.mean(rejected)),
        "max_retrain_iterations": max(rejected),
        "mean_energy_error": float(np.mean([one.error for one in accepted])) if accepted else 0.0,
        "mean_dt": sum(float(one.time[-1] - one.time[0]) for one in accepted) / max(points - len(accepted), 1),
        "dropped_systems": len(made) - len(accepted),
    }
