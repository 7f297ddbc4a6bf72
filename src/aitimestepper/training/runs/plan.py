"""What to tune, and how long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import ConfigError, nearest_name_hint
from ...integrators import COMPOSITIONS
from ...initial.families import STANDARD, Family, family_named
from .descent import Descent
from .search import Search

TOLERANCES: dict[str, tuple[float, ...]] = {  # where an order is worth asking
    "leapfrog": (1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
    "suzuki4": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "kahan_li6": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "kahan_li8": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
}
# and the loosest of them where ceilings and smoothness leave it something to learn
LOOSEST_LEARNED = {"leapfrog": 1e-1, "suzuki4": 1e-3, "kahan_li6": 1e-4, "kahan_li8": 1e-6}
EVERY = 350  # iterations of the descent between looks at `validation`
# first problems of `train` for each purpose: tracks, policy search, calibration
TRACKS, SEARCHED, CALIBRATED = 0, 10_000, 20_000


@dataclass(frozen=True)
class TunePlan:
    """A network for one integrator."""

    integrator: str = "leapfrog"
    tolerances: Sequence[float] | None = None  # None: `TOLERANCES` of the integrator
    families: Sequence[str] = STANDARD
    own: Mapping[str, Family] = field(default_factory=dict)
    layers: Sequence[int] = (16,)
    dt_ceiling: float = 0.7
    problems: int = 60  # tracks of each family
    validation: int = 24  # problems of each family to look at
    calibration: int = 128  # and to calibrate on; 0: none
    descent: Descent = field(default_factory=Descent)
    search: Search = field(default_factory=Search)
    seed: int = 1
    threads: int | None = None

    def checked(self) -> TunePlan:
        """The plan, or one sentence about what is wrong with it."""
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
            ("generations", self.search.generations, self.search.generations >= 0, ">= 0"),
            ("population", self.search.population, self.search.population >= 4, ">= 4"),
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
        """Families of the tracks: where all of the package's are meant, also eccentric orbits and resonances of long runs."""
        return (*self.families, *(("longrun",) if tuple(self.families) == STANDARD else ()))

    @property
    def asked(self) -> tuple[float, ...]:
        """The tolerances, from loose to tight."""
        return tuple(sorted(self.tolerances or TOLERANCES[self.integrator], reverse=True))

    @property
    def learned(self) -> tuple[float, ...]:
        """Those of the tolerances that are learned from; the network is calibrated for all."""
        return self.asked if self.tolerances else tuple(t for t in self.asked if t <= LOOSEST_LEARNED[self.integrator])

    @property
    def order(self) -> int:
        """Of the integrator."""
        return COMPOSITIONS[self.integrator].order

    @property
    def measured_at(self) -> tuple[float, ...]:
        """Tolerances whose steps errors are measured with: the ends, and between them one a factor of 100 or more."""
        first, last = math.log(max(self.asked)), math.log(min(self.asked))
        parts = max(1, round((first - last) / math.log(100.0)))
        return (
            tuple(math.exp(first + (last - first) * k / parts) for k in range(parts + 1))
            if first > last
            else (max(self.asked),)
        )

    def fingerprint(self) -> dict[str, Any]:
        """All that decides about the result, as plain values."""
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
            "search": self.search._asdict(),
            "seed": self.seed,
        }
