"""The length of a run, for a learned step: the orbits of disturbed bodies are compared at the same time, late or not."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ..bodies import Bodies
from ..constants import LONG_RUN, MOST_DISTURBED
from ..criteria.base import Criterion
from ..criteria.learned import LearnedStep
from ..criteria.wrappers import Wrapper, innermost
from ..initial.problems import shortest_period


def for_length(criterion: Criterion, start: Bodies, end: np.ndarray) -> Criterion:
    """Return the criterion for runs until `end` (B,): a network that was trained on runs is told how many orbits they have."""
    if isinstance(criterion, Wrapper):
        return dataclasses.replace(criterion, criterion=for_length(criterion.criterion, start, end))
    if not isinstance(criterion, LearnedStep) or criterion.bound_model.config.judge != "run" or criterion.turns is not None:
        return criterion
    turns = turns_of(start, end)
    return criterion if turns.max() <= LONG_RUN else dataclasses.replace(criterion, turns=tuple(turns.tolist()))


MANY = 100.0  # orbits of a pair in a long run


def is_long(start: Bodies, end: np.ndarray) -> bool:
    """Return whether some system of few bodies has `MANY` orbits of its tightest pair until `end` (B,)."""
    return bool(are_long(start, end).any())


def are_long(start: Bodies, end: np.ndarray) -> np.ndarray:
    """Return which systems of few bodies have `MANY` orbits of their tightest pair until `end` (B,), (B,) bool."""
    return np.asarray(_orbits(start, end, 2) > MANY)


def calibrated_span(criterion: Criterion | None, start: Bodies, end: np.ndarray) -> float:
    """Return the time for which the tolerance of a learned step is calibrated, of one system: until `end` (1,) or 40 orbits."""
    inner = None if criterion is None else innermost(criterion)
    if not isinstance(inner, LearnedStep) or inner.bound_model.config.judge != "run":
        return math.inf
    if np.isfinite(end[0]):
        return float(abs(end[0] - start.time[0]))
    one_unit = turns_of(start, start.time + 1.0)[0]
    return LONG_RUN / one_unit if one_unit > 0 else math.inf


def turns_of(start: Bodies, end: np.ndarray) -> np.ndarray:
    """Return the orbits of the tightest pair until `end`, (B,): 0 for two bodies, clusters and runs without an end."""
    return _orbits(start, end, 3)


def _orbits(start: Bodies, end: np.ndarray, least: int) -> np.ndarray:
    """Return the orbits of the tightest pair until `end`, (B,), in systems of at least so many bodies; 0 in others."""
    found, massive = np.zeros(len(start)), (start.mass > 0).sum(1)
    some = np.flatnonzero((start.body_count >= least) & (massive <= MOST_DISTURBED) & np.isfinite(end))
    if len(some):
        found[some] = np.abs(end[some] - start.time[some]) / shortest_period(start.select(some))
    return found
