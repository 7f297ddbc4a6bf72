"""True runs to validate and to calibrate on: problems with different external fields are run apart, and scored together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...criteria.learned import LearnedStep
from ...evaluation.evaluation_set import EvaluationSet, Scores, evaluate
from ...initial.draws import Family
from ...initial.suites import make_suite


class ProblemSets(NamedTuple):
    """Evaluation sets with the same tolerances, one for each external field."""

    sets: tuple[EvaluationSet, ...]

    @classmethod
    def make(
        cls,
        integrator: str,
        tolerances: Sequence[float],
        split: str,
        count: int,
        families: Sequence[str],
        own: Mapping[str, Family] | None = None,
        first: int = 0,
        threads: int = 1,
    ) -> ProblemSets:
        """Return `count` problems of each family, as `EvaluationSet.make` does; all problems of a family share a field."""
        apart = [part.families for _, part in make_suite(families, split, 1, 3, own, first).by_field()]
        return cls(
            tuple(EvaluationSet.make(integrator, tolerances, split, count, names, own, first, threads) for names in apart)
        )

    @property
    def tolerances(self) -> tuple[float, ...]:
        """The tolerances."""
        return self.sets[0].tolerances

    @property
    def families(self) -> tuple[str, ...]:
        """The names of all families."""
        return tuple(name for one in self.sets for name in one.families)

    @property
    def family(self) -> np.ndarray:
        """The family of every problem as an index into `families`, (P,)."""
        before = np.cumsum([0, *(len(one.families) for one in self.sets[:-1])])
        return np.concatenate([k + one.family for k, one in zip(before, self.sets, strict=True)])

    def at(self, k: int) -> ProblemSets:
        """Return the same problems with the tolerance number k alone."""
        return ProblemSets(
            tuple(one._replace(tolerances=one.tolerances[k : k + 1], budgets=one.budgets[k : k + 1]) for one in self.sets)
        )

    @property
    def sensitive(self) -> np.ndarray:
        """Which problems are sensitive systems, (P,) bool."""
        return np.concatenate([one.sensitive for one in self.sets])

    def only(self, chosen: np.ndarray) -> ProblemSets:
        """Return the problems that `chosen` (P,) bool names."""
        parts = np.split(chosen, np.cumsum([len(one.family) for one in self.sets])[:-1])
        return ProblemSets(tuple(one.rows(np.flatnonzero(part)) for one, part in zip(self.sets, parts, strict=True)))

    def evaluate(self, step: LearnedStep, threads: int = 1, factor: float = 1.0) -> Scores:
        """Return the scores (T, P) of a learned step that is asked for `factor` times each tolerance."""
        found = [evaluate(step, one, None, threads, factor=factor) for one in self.sets if len(one.family)]
        return Scores(*(np.concatenate([getattr(x, name) for x in found], axis=1) for name in ("log_forces", "log_excess")))
