"""Settings of a training on runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...errors import ConfigError, nearest_name_hint
from ...initial.families import STANDARD, Family, family_named
from ...integrators import COMPOSITIONS

TOLERANCES: dict[str, tuple[float, ...]] = {  # tolerances for which an order is of use
    "leapfrog": (1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
    "suzuki4": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "kahan_li6": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "kahan_li8": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
}
# The loosest of them at which there is something to learn: at looser ones ceilings and smoothness determine the steps.
LOOSEST_LEARNED = {"leapfrog": 1e-1, "suzuki4": 1e-3, "kahan_li6": 1e-4, "kahan_li8": 1e-6}
# Numbers of the first problems of the split `train` for each purpose. Those in between were used by a search that is gone.
REFERENCES, CALIBRATION = 0, 20_000


class DescentSettings(NamedTuple):
    """Length and learning rates of the descent."""

    iterations: int = 2100
    lr: float = 5e-3  # at the start; it decreases to lr times `lr_end`
    lr_end: float = 0.02
    batch: int = 12  # trajectories of each family in an iteration
    weight_decay: float = 1e-3


@dataclass(frozen=True)
class TrainingPlan:
    """Settings of the training of a network for one integrator."""

    integrator: str = "leapfrog"
    tolerances: Sequence[float] | None = None  # None: `TOLERANCES` of the integrator
    families: Sequence[str] = STANDARD
    own: Mapping[str, Family] = field(default_factory=dict)
    layers: Sequence[int] = (16,)
    dt_ceiling: float = 0.7
    problems: int = 60  # reference trajectories of each family
    validation: int = 24  # problems of each family to validate on
    calibration: int = 128  # problems of each family to calibrate on; 0: no calibration
    descent: DescentSettings = field(default_factory=DescentSettings)
    seed: int = 1
    threads: int | None = None

    def checked(self) -> TrainingPlan:
        """Return the plan, or raise an error of one sentence that says what is wrong with it."""
        if self.integrator not in COMPOSITIONS:
            raise ConfigError(f"integrator = {self.integrator!r}: {nearest_name_hint(self.integrator, COMPOSITIONS)}")
        for name in self.families:
            if name not in self.own:
                family_named(name)
        for name, value, ok, must in (
            ("problems", self.problems, self.problems >= 4, ">= 4"),
            ("validation", self.validation, self.validation >= 4, ">= 4"),
            ("calibration", self.calibration, self.calibration == 0 or self.calibration >= 8, "0 or >= 8"),
            ("iterations", self.descent.iterations, self.descent.iterations >= 0, ">= 0"),
            ("threads", self.threads, self.threads is None or self.threads >= 1, ">= 1"),
            ("dt_ceiling", self.dt_ceiling, 0 < self.dt_ceiling < 2, "> 0 and < 2"),
            *(("layers", width, width >= 1, ">= 1") for width in self.layers),
            *(("tol", tol, 1e-14 <= tol < 1, ">= 1e-14 and < 1") for tol in self.asked),
        ):
            if not ok:
                raise ConfigError(f"{name} = {value} must be {must}.")
        return self

    @property
    def learned_from(self) -> tuple[str, ...]:
        """Families of the references: with all of the package's also `longrun`, for eccentric orbits and resonances."""
        return (*self.families, *(("longrun",) if tuple(self.families) == STANDARD else ()))

    @property
    def asked(self) -> tuple[float, ...]:
        """The tolerances, from loose to tight."""
        return tuple(sorted(self.tolerances or TOLERANCES[self.integrator], reverse=True))

    @property
    def learned(self) -> tuple[float, ...]:
        """The tolerances that are learned from; the network is calibrated for all."""
        return self.asked if self.tolerances else tuple(t for t in self.asked if t <= LOOSEST_LEARNED[self.integrator])

    @property
    def order(self) -> int:
        """Order of the integrator."""
        return COMPOSITIONS[self.integrator].order

    @property
    def measured_at(self) -> tuple[float, ...]:
        """Tolerances whose steps errors are measured with: the two ends, and others at factors of about 100 between them."""
        first, last = math.log(max(self.asked)), math.log(min(self.asked))
        if first == last:
            return (max(self.asked),)
        parts = max(1, round((first - last) / math.log(100.0)))
        return tuple(math.exp(first + (last - first) * k / parts) for k in range(parts + 1))

    def fingerprint(self) -> dict[str, Any]:
        """Return all settings that the result depends on, as plain values."""
        return {
            "integrator": self.integrator,
            "tolerances": list(self.asked),
            "learned": list(self.learned),
            "families": list(self.learned_from),
            "layers": list(self.layers),
            "dt_ceiling": self.dt_ceiling,
            "problems": self.problems,
            "validation": self.validation,
            "calibration": self.calibration,
            "descent": self.descent._asdict(),
            "seed": self.seed,
        }
