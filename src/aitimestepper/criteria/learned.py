"""The learned step: a trained network as a criterion, with the features, scales and integrator it was trained with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..constants import LONG_RUN, LONG_TOLERANCES, LONGEST_RUN
from ..errors import ConfigError, shown
from ..html import card
from ..integrators import SPLITTINGS
from ..models import Model, find_model, load_model, shipped
from .base import Criterion, Numbers, Symmetrization, each, positive_numbers

DEFAULT = "default"
# The energy error so far, an input of the network, is rough. With a smoothness above 1.01 steps alternate, below 1.004 too few
# are symmetric; both ruin runs of a thousand orbits (diagnostics/smoothness.py).
SYMMETRIZATION = Symmetrization(max_ratio=2.0, smoothness=1.007)
# A network calibrated for a tolerance also covers tolerances smaller or larger by this factor.
TOLERANCE_MARGIN = 3.0


@dataclass(frozen=True)
class LearnedStep(Criterion):
    """The step that a trained network chooses.

    Without a `model` it is the shipped network for the integrator of the run. `tol` is the relative energy error wanted: of a
    whole run, if the network was calibrated on runs (as the shipped ones are); else of one step. None means that of the run
    or of the training. A network that was calibrated on runs brings its symmetrization: `simulate` makes the steps
    time-symmetric unless `symmetrized` is False or a wrapper does so.

    Examples:
        >>> from aitimestepper import LearnedStep, simulate
        >>> from aitimestepper.initial import kepler
        >>> step = LearnedStep.load("default", tol=1e-4, integrator="blanes_moan4")
        >>> result = simulate(kepler(e=0.9), t_end=62.8, criterion=step)
        >>> result.integrator, result.within_tolerance.tolist()
        ('blanes_moan4', [True])
    """

    name: ClassVar[str] = "learned"
    parameter: ClassVar[str] = "tol"
    model: Model | None = None
    tol: Numbers | None = None
    symmetrized: bool = True
    # orbits of the tightest pair in a run, for systems in which it matters; `simulate` counts them
    turns: Numbers | None = None
    # whether systems are sensitive, for which the network has a calibration of its own; `simulate` looks
    sensitive: bool | tuple[bool, ...] | None = None
    long: bool | tuple[bool, ...] | None = None  # whether runs have hundreds of orbits; `simulate` looks

    def __post_init__(self) -> None:
        if self.model is not None and not isinstance(self.model, Model):
            raise ConfigError(
                f"LearnedStep needs a Model, not {type(self.model).__name__} {shown(self.model)}: take LearnedStep.load."
            )
        if not isinstance(self.symmetrized, bool):
            raise ConfigError(f"symmetrized = {shown(self.symmetrized)} must be True or False.")
        if self.tol is not None:
            object.__setattr__(self, "tol", positive_numbers(self.tol, "tol"))
        if self.turns is not None and not all(0 <= number < math.inf for number in each(self.turns)):
            raise ConfigError(f"turns = {shown(self.turns)} must be numbers of orbits.")
        for name in ("sensitive", "long"):
            given = getattr(self, name)
            if given is not None and not all(isinstance(x, bool) for x in (given if isinstance(given, tuple) else (given,))):
                raise ConfigError(f"{name} = {shown(given)} must be True or False, or one of them a system.")

    @classmethod
    def load(cls, path_or_name: str | Path, tol: Any = None, integrator: str | None = None) -> LearnedStep:
        """Read the network in a model file, a run folder, or a run of that name; it needs no further settings.

        `default` is the shipped network, for `integrator` or for that of the run.
        """
        if path_or_name == DEFAULT:
            step = cls(None if integrator is None else shipped(integrator), tol)
        else:
            step = cls(load_model(find_model(path_or_name)), tol)
        if step.tol is not None and step.model is not None and step.calibrated:
            refuse_uncovered(step.model, step.tol)
        if integrator is not None and not step.serves(integrator):
            raise ConfigError(
                f"the network of {path_or_name} was trained with {step.made_for}, not with integrator = {integrator}: "
                "leave it out, or train a network with yours."
            )
        return step

    def at_tolerance(self, tol: Any) -> LearnedStep:
        """Return the step of the same network at another tolerance, a number or one a system."""
        return dataclasses.replace(self, tol=tol)

    @property
    def bound_model(self) -> Model:
        """The network; `policy.bind` puts the shipped one for the run's integrator in place of None."""
        if self.model is None:
            raise ConfigError("the network of the package depends on the integrator: give one to LearnedStep.load.")
        return self.model

    @property
    def exponent(self) -> float:
        """The power of tol that dt is proportional to: 1/p for runs of order p, 1/(p+1) for a network of single steps."""
        model = self.bound_model
        return 1.0 / (SPLITTINGS[model.config.integrator].order + (0 if model.sees_tolerance else 1))

    @property
    def velocity_even(self) -> bool:
        """Whether the features are those of the present state alone."""
        return self.model is None or self.model.config.history_len == 0

    @property
    def made_for(self) -> str | None:
        """The integrator that the network is for."""
        return None if self.model is None else self.model.integrator

    def serves(self, integrator: str) -> bool:
        """Return whether the network is for that integrator; with another one its steps miss the tolerance by far."""
        return self.model is None or integrator.partition(":")[0] == self.model.integrator

    @property
    def calibrated(self) -> bool:
        """Whether the network was calibrated on runs, so that its tolerance is that of a run."""
        return self.model is None or bool(self.model.calibration)

    @property
    def tolerance(self) -> Numbers | None:
        """The energy error that whole runs are to stay below, if the network was calibrated on runs."""
        return self.tol if self.calibrated else None

    @property
    def symmetrization(self) -> Symmetrization:
        """Parameters with which its steps are best made time-symmetric; those of the calibration, if there was one."""
        if self.model is not None and self.model.symmetrization is not None:
            return Symmetrization(*self.model.symmetrization)
        return SYMMETRIZATION if self.model is None or self.model.sees_tolerance else Symmetrization()

    def values(self, systems: int) -> np.ndarray:
        """Return the tolerance wanted for every system, (systems,); by default that of the training."""
        if self.tol is None:
            learned = self.bound_model.card.get("learned")  # of a network that was trained on runs and is not calibrated yet
            return np.full(systems, min(learned) if learned else self.bound_model.config.energy_threshold)
        return super().values(systems)

    def calibrated_tolerance(self, tol: np.ndarray) -> np.ndarray:
        """Return the tolerance that the network is asked for where `tol` (B,) is wanted: linear between logarithms.

        In sensitive systems and in long runs it is smaller.
        """
        tol, model = tol * self.shortening(tol), self.bound_model
        kinds = (self.sensitive or False, self.long or False)
        return np.asarray(tol * factor_asked((model.calibration, model.sensitive_calibration), tol, *kinds))

    def shortening(self, tol: np.ndarray) -> np.ndarray:
        """Return the factor of the tolerance `tol` (B,) for the length of the run, (B,), at most 1.

        With more than `LONG_RUN` orbits of disturbed bodies it shrinks with the square of their number.
        """
        share = LONG_RUN / np.clip(np.asarray(self.turns or 0.0, float), LONG_RUN, LONGEST_RUN)
        found = np.broadcast_to(share * share, np.shape(tol)).copy()
        largest = LONG_TOLERANCES.get(self.bound_model.integrator, math.inf)
        return np.where(self.long, np.minimum(found, largest / tol), found) if self.long else found

    def step_factor(self, tol: np.ndarray) -> np.ndarray:
        """Return the factor of dt (B,) for `tol` (B,): 1 if the tolerance is an input of the network."""
        model = self.bound_model
        return np.ones_like(tol) if model.sees_tolerance else (tol / model.config.energy_threshold) ** self.exponent

    def _repr_html_(self) -> str:
        from ..models.described import html_of

        if self.model is not None:
            return html_of(self.model, self.tol)
        tol = "that of the run" if self.tol is None else ", ".join(f"{tol:g}" for tol in each(self.tol))
        return card("Learned step", [("network", "that of the package for the integrator of the run"), ("tolerance", tol)])

    def __str__(self) -> str:
        """Return its name without a number: a tolerance would not identify the network in a legend."""
        return self.name


def calibration_factor(calibration: Sequence[tuple[float, float]], tol: np.ndarray) -> np.ndarray:
    """Return the factor (B,) of the tolerances `tol` (B,) by pairs (tolerance, factor): linear between logarithms."""
    if not calibration:
        return np.ones_like(tol)
    at, factor = zip(*sorted(calibration), strict=True)
    return np.asarray(np.exp(np.interp(np.log(tol), np.log(at), np.log(factor))))


def factor_asked(
    calibrations: tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]],
    tol: np.ndarray,
    sensitive: bool | Sequence[bool] | np.ndarray,
    long: bool | Sequence[bool] | np.ndarray,
) -> np.ndarray:
    """Return the factor (B,) with which a network is asked for `tol` (B,).

    calibrations: of systems that are not `sensitive`, and of those that are. It is at most 1 in `long` runs.
    """
    factor, own = (calibration_factor(pairs, tol) for pairs in calibrations)
    factor = np.where(sensitive, own, factor)
    return np.where(long, np.minimum(factor, 1.0), factor)


def nearest_covered(model: Model, tol: float) -> float:
    """Return the tolerance nearest to `tol` that a network was calibrated for."""
    calibrated = [pair[0] for pair in model.calibration]
    return min(max(tol, min(calibrated)), max(calibrated))


def refuse_uncovered(model: Model, tolerances: Numbers) -> None:
    """Raise an error for a tolerance that a calibrated network was not calibrated for."""
    for tol in (tol for tol in each(tolerances) if not covers(model, tol)):
        low, high = nearest_covered(model, 0.0), nearest_covered(model, math.inf)
        which = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise ConfigError(
            f"tol = {tol:g}: the network was calibrated for {which} (and {TOLERANCE_MARGIN:g} times beyond): ask for one of "
            "these, or leave the model out."
        )


def covered(model: Model) -> tuple[float, float]:
    """Return the smallest and the largest tolerance that a calibrated network covers."""
    return nearest_covered(model, 0.0) / TOLERANCE_MARGIN, nearest_covered(model, math.inf) * TOLERANCE_MARGIN


def covers(model: Model, tol: float) -> bool:
    """Return whether a network was calibrated for such a tolerance."""
    return bool(model.calibration) and covered(model)[0] <= tol <= covered(model)[1]


def unsymmetrized(criterion: Criterion) -> Criterion:
    """Return the criterion; a network that was calibrated with time-symmetric steps without them."""
    return dataclasses.replace(criterion, symmetrized=False) if isinstance(criterion, LearnedStep) else criterion
