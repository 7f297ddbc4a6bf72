"""What problems an agent meets and how it is rewarded, and the problems drawn by seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.agent import SERVED
from ..criteria.classical import EnergyBudget
from ..errors import ConfigError, nearest_name_hint, shown
from ..initial.families import SPLIT_SIZE, family_named, sample, seed_range
from ..initial.suites import Case, Suite
from ..integrators import like_splitting
from ..simulate.engine import simulate

LONGEST_ANALYTIC = 200_000  # steps of the analytic run that an episode is compared with, where it does not end before
BROKEN = 1.0  # relative energy error from which a run has broken off, whatever its status


class Problems(NamedTuple):
    """R problems at their start."""

    start: Bodies
    t_end: np.ndarray  # (R,)
    tol: np.ndarray  # (R,) tolerances asked for
    analytic_forces: np.ndarray  # (R,) force evaluations of the analytic step, which the cost is measured in
    names: tuple[str, ...]  # family and number: `kepler-17`


@dataclass(frozen=True)
class StepSettings:
    """Problems, reward and end of an episode.

    families, split: every episode is a problem of one of these families, with a number of that split: as no problem of `test`
    is in `train`, an agent that was trained on the one can be measured on the other. tol: the tolerance, one number or the two
    ends of a range from which each episode draws its own, uniformly in its logarithm. integrator: a splitting, or hermite4.

    A step of dt that evaluates forces f times is rewarded with saved - error_weight (P(e') - P(e)). saved is what the analytic
    step, `EnergyBudget(tol)`, would have spent on that time, less what was spent: (s dt (1/a + 1/a') / 2 - f) / F, where a and
    a' are the analytic steps at both ends, s the force evaluations of a step, and F those of the analytic step for the whole
    problem. e and e' are the largest relative energy errors before and after; P(e) = max(0, log10(min(e, 1) / tol))^2. So the
    sum over an episode is about 1 - forces / F - error_weight P(largest error): about 0 for the analytic step where it keeps
    the tolerance, 0.5 for a run of half its cost. (A reward of -f / F alone has nearly the same sum, but every step costs the
    same then, and that longer ones come to the end sooner is hundreds of steps away.)

    An episode terminates at the end of the problem; or where it breaks off (an error of 1, a state that is no number, a step
    that is no progress), which costs `most_forces` more. It is truncated when it has spent more than `most_forces` F.
    """

    families: tuple[str, ...] = ("kepler", "triple", "random3")
    split: str = "train"
    tol: float | tuple[float, float] = 1e-5
    integrator: str = "blanes_moan4"
    error_weight: float = 1.0
    most_forces: float = 10.0

    def __post_init__(self) -> None:
        names = (self.families,) if isinstance(self.families, str) else self.families
        if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"families = {shown(self.families)} must name at least one family of problems.")
        names = tuple(names)
        object.__setattr__(self, "families", names)
        for name in names:
            if sample(family_named(name), name, 0).external_field is not None:
                raise ConfigError(f"families: the problems of {name} have an outer field, which an environment cannot have.")
        seed_range(self.split, 1)
        if self.integrator not in SERVED:
            hint = nearest_name_hint(str(self.integrator), SERVED)
            raise ConfigError(f"integrator = {shown(self.integrator)}: {hint}")
        for name, value in (("error_weight", self.error_weight), ("most_forces", self.most_forces)):
            if isinstance(value, bool) or not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ConfigError(f"{name} = {shown(value)} must be a positive number.")
        low, high = self.tol_range
        if not 0 < low <= high < BROKEN:
            raise ConfigError(f"tol = {shown(self.tol)} must be one number between 0 and 1, or two that grow.")

    @property
    def tol_range(self) -> tuple[float, float]:
        """Both ends of the range of tolerances."""
        ends = tuple(self.tol) if isinstance(self.tol, (tuple, list)) else (self.tol, self.tol)
        if len(ends) != 2 or any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in ends):
            return math.nan, math.nan
        return float(ends[0]), float(ends[1])

    def draw(self, generators: Sequence[np.random.Generator]) -> Problems:
        """Draw one problem with each generator."""
        first = seed_range(self.split, 1).start
        low, high = (math.log(tol) for tol in self.tol_range)
        chosen = [
            (self.families[rng.integers(len(self.families))], first + int(rng.integers(SPLIT_SIZE)), rng.uniform(low, high))
            for rng in generators
        ]
        tol = np.clip(np.exp([log_tol for *_, log_tol in chosen]), *self.tol_range)
        return self.problems([(name, number) for name, number, _ in chosen], tol)

    def problems(self, chosen: Sequence[tuple[str, int]], tol: np.ndarray) -> Problems:
        """Return problems by family and number, with their tolerances (R,)."""
        made = [(name, number, sample(family_named(name), name, number)) for name, number in chosen]
        cases = (Case(f"{name}-{number}", name, s.initial, s.t_end, s.softening) for name, number, s in made)
        suite = Suite("episodes", tuple(cases))
        start, t_end = suite.batch()
        analytic = simulate(
            start,
            t_end=t_end,
            criterion=EnergyBudget(tuple(tol.tolist()), like_splitting(self.integrator)),
            integrator=self.integrator,
            max_steps=LONGEST_ANALYTIC,
            threads=1,
            warn=False,
        )
        return Problems(start, t_end, tol, analytic.force_evaluations.astype(float), tuple(c.name for c in suite.cases))

    def penalty(self, error: np.ndarray, tol: np.ndarray) -> np.ndarray:
        """Return P of the largest relative energy errors so far, (B,); an error that is no number counts as 1."""
        error = np.minimum(np.where(np.isfinite(error), error, BROKEN), BROKEN)
        return np.asarray(np.log10(np.maximum(error / tol, 1.0)) ** 2)


def checked_options(options: Any) -> Mapping[str, Any]:
    """Return the options of a reset, none for None, or raise an error."""
    if options is None or isinstance(options, Mapping):
        return options or {}
    raise ConfigError(f"options = {shown(options)} must be a mapping of names to values, or None.")


def as_array(values: Any) -> np.ndarray:
    """Return any values as an array; those that fit none are objects, which hold no numbers."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError, OverflowError):
        return np.array([None, None], dtype=object)
