"""The learned step: a trained network as a criterion, with the features, scales and integrator it was trained with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import ConfigError
from ..integrators import COMPOSITIONS
from ..models import Model, find_model, load_model, shipped
from .base import Criterion, Numbers, Symmetrization, positive_numbers

DEFAULT = "default"
# The network sees the energy error so far, which is rough. Above 1.01 steps alternate, below 1.004 too few are symmetric; both
# spoil a thousand orbits (diagnostics/smoothness.py).
SYMMETRIZATION = Symmetrization(max_ratio=2.0, smoothness=1.007)
# A network trained for a tolerance is good for others that are at most so many times smaller or larger.
TOLERANCE_MARGIN = 3.0


@dataclass(frozen=True)
class LearnedStep(Criterion):
    """The step that a trained network chooses.

    Without a `model` it is the network that comes with the package for the integrator of the run. `tol` is the relative energy
    error wanted: of a whole run, if the network was trained on runs (as those of the package are); else of one step. Without
    it, that of the training.
    """

    name: ClassVar[str] = "learned"
    parameter: ClassVar[str] = "tol"
    model: Model | None = None
    tol: Numbers | None = None

    def __post_init__(self) -> None:
        if self.tol is not None:
            object.__setattr__(self, "tol", positive_numbers(self.tol, "tol"))

    @classmethod
    def load(cls, path_or_name: str | Path, tol: Any = None, integrator: str | None = None) -> LearnedStep:
        """Read the network in a model file, a run folder, or a run of that name; nothing else needs to be said.

        `default` is the network of the package, for `integrator` or for that of the run.
        """
        if path_or_name == DEFAULT:
            return cls(None if integrator is None else shipped(integrator), tol)
        step = cls(load_model(find_model(path_or_name)), tol)
        if integrator not in (None, step.made_for):
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
        """The network; policy binds the one of the package to the run's integrator."""
        if self.model is None:
            raise ConfigError("the network of the package depends on the integrator: give one to LearnedStep.load.")
        return self.model

    @property
    def exponent(self) -> float:
        """The power of tol that dt is proportional to: one step of order p errs like dt^(p+1), the unit is that of a run."""
        model = self.bound_model
        return 1.0 / (COMPOSITIONS[model.config.integrator].order + (0 if model.sees_tolerance else 1))

    @property
    def velocity_even(self) -> bool:
        """Whether the network looks at the present state alone."""
        return self.model is None or self.model.config.history_len == 0

    @property
    def made_for(self) -> str | None:
        """The integrator that the network was trained with."""
        return None if self.model is None else self.model.config.integrator

    @property
    def tolerance(self) -> Numbers | None:
        """The energy error that whole runs are to stay below, if the network was calibrated on runs."""
        return self.tol if self.model is None or self.model.calibration else None

    @property
    def symmetrization(self) -> Symmetrization:
        """How its steps are best made time-symmetric."""
        return SYMMETRIZATION if self.model is None or self.model.sees_tolerance else Symmetrization()

    def values(self, systems: int) -> np.ndarray:
        """Return the tolerance wanted of every system, (systems,); without one, that of the training."""
        if self.tol is None:
            return np.full(systems, self.bound_model.config.energy_threshold)
        return super().values(systems)

    def calibrated_tolerance(self, tol: np.ndarray) -> np.ndarray:
        """Return what the network is asked for where `tol` (B,) is wanted: the calibration, linear between logarithms."""
        if not self.bound_model.calibration:
            return tol
        at, factor = zip(*sorted(self.bound_model.calibration), strict=True)
        return np.asarray(tol * np.exp(np.interp(np.log(tol), np.log(at), np.log(factor))))

    def step_factor(self, tol: np.ndarray) -> np.ndarray:
        """Return what dt is multiplied by for `tol` (B,): 1 if the network is shown the tolerance."""
        model = self.bound_model
        return np.ones_like(tol) if model.sees_tolerance else (tol / model.config.energy_threshold) ** self.exponent

    def __str__(self) -> str:
        """Return its name: numbers of a network say nothing in a legend."""
        return self.name


def covers(model: Model, tol: float) -> bool:
    """Whether a network was calibrated for such a tolerance."""
    known = [pair[0] for pair in model.calibration]
    return bool(known) and min(known) / TOLERANCE_MARGIN <= tol <= max(known) * TOLERANCE_MARGIN
