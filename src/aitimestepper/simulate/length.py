"""Length of a run and kind of a system, for a learned step: disturbed orbits are compared at the same time, late or not."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ..binding import apsides, inverse_axis, joins_of
from ..bodies import Bodies
from ..constants import ALONE, LIGHT, LONG_RUN, MOST_DISTURBED
from ..criteria.base import Criterion
from ..criteria.learned import LearnedStep
from ..criteria.wrappers import Wrapper, innermost
from ..fields import outside_part
from ..hierarchy import TIDE
from ..initial.problems import shortest_period
from ..policy import Kind
from ..sums import dot
from ..validation import TINY


def for_length(criterion: Criterion, start: Bodies, end: np.ndarray, before: Criterion | None = None) -> Criterion:
    """Return the criterion for runs until `end` (B,).

    A network that was trained on runs is told how many orbits they have, which have hundreds, and which systems are sensitive;
    in a run that goes on with the same network and tolerance as `before`, what it was told then.
    """
    if isinstance(criterion, Wrapper):
        return dataclasses.replace(criterion, criterion=for_length(criterion.criterion, start, end, before))
    if not isinstance(criterion, LearnedStep) or criterion.bound_model.config.judge != "run":
        return criterion
    if not (criterion.turns is criterion.sensitive is criterion.long is None):
        return criterion
    told = None if before is None else innermost(before)
    if isinstance(told, LearnedStep) and dataclasses.replace(told, turns=None, sensitive=None, long=None) == criterion:
        return told
    orbits, sensitive = _orbits(start, end), are_sensitive(start)
    turns, long = _of_disturbed(start, orbits), orbits > MANY
    return dataclasses.replace(
        criterion,
        turns=tuple(turns.tolist()) if turns.max() > LONG_RUN else None,
        sensitive=tuple(sensitive.tolist()) if sensitive.any() else None,
        long=tuple(long.tolist()) if long.any() else None,
    )


def are_sensitive(bodies: Bodies) -> np.ndarray:
    """Return in which systems an error of the step counts most, (B,) bool; a network is asked for less there.

    These are planetary systems, encounters of three and more bodies, and few bodies in a field from outside.
    """
    few = (bodies.mass > 0).sum(1) <= MOST_DISTURBED
    if outside_part(bodies.external_field) is not None:
        return np.asarray(few)
    return are_planetary(bodies) | are_encounters(bodies)


def are_planetary(bodies: Bodies) -> np.ndarray:
    """Return which systems are planetary, (B,) bool: light bodies about one heavy one, or about two.

    A single one has to be very light: the total energy says nothing of it. Their orbits are disturbed by others that are nearly
    as fast, so that an error in time is an error of their energies.
    """
    mass = np.where(bodies.present, bodies.mass, -1.0)
    heaviest = mass.max(1, keepdims=True)
    light, heavy = (mass >= 0) & (mass <= LIGHT * heaviest), mass > LIGHT * heaviest
    alone = (mass >= 0) & (mass <= ALONE * heaviest)
    return np.asarray(((light.sum(1) >= 2) | alone.any(1)) & (heavy.sum(1) <= 2))


def are_encounters(bodies: Bodies) -> np.ndarray:
    """Return which systems are encounters of three and more bodies, but few, (B,) bool: not all of them are bound."""
    return np.asarray(((bodies.mass > 0).sum(1) <= MOST_DISTURBED) & are_loose(bodies))


def are_loose(bodies: Bodies) -> np.ndarray:
    """Return in which systems of three and more bodies one with mass is not bound to all others together, (B,) bool.

    Of three bodies it is the farthest: one of a pair is faster than it need be to leave the third. What is torn apart has no
    orbit on which errors of the energy could return: above the critical speed a third to a half of such runs exceeded their
    tolerance, by up to 3 times. It does not matter whether it comes or goes, so that a motion and its reverse have equal steps.
    """
    mass, count = bodies.mass, bodies.body_count
    with np.errstate(all="ignore"):
        total, m = mass.sum(1, keepdims=True), mass[..., None]
        share = np.maximum(1.0 - mass / total, TINY)[..., None]  # of the mass, of all others
        x, v = ((y - (m * y).sum(1, keepdims=True) / total[..., None]) / share for y in (bodies.position, bodies.velocity))
        unbound = inverse_axis(bodies.G * total, x, v, bodies.softening[:, None]) < 0
        distance = np.where(bodies.present & (mass > 0), dot(x, x), -1.0)
    found = unbound & (mass > 0) & bodies.present
    found &= (distance == distance.max(1, keepdims=True)) | (count > 3)[:, None]
    return np.asarray(found.any(1) & (count >= 3))


MANY = 100.0  # orbits of a pair in a long run


def kind_of(start: Bodies, end: np.ndarray) -> Kind:
    """Return the kind of a batch of runs until `end` (B,)."""
    return Kind(bool(are_long(start, end).any()), bool(are_encounters(start).all()))


def are_long(start: Bodies, end: np.ndarray) -> np.ndarray:
    """Return which systems of few bodies have `MANY` orbits of their tightest pair until `end` (B,), (B,) bool."""
    return np.asarray(_orbits(start, end) > MANY)


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
    """Return the orbits of the tightest pair until `end`, (B,).

    It is 0 for two bodies, clusters, encounters that leave no orbit as it is, and runs without an end.
    """
    return _of_disturbed(start, _orbits(start, end))


def _of_disturbed(start: Bodies, orbits: np.ndarray) -> np.ndarray:
    """Return the numbers of orbits (B,) in systems in which others disturb them, 0 elsewhere."""
    found = np.where(start.body_count >= 3, orbits, 0.0)
    many = np.flatnonzero(found > LONG_RUN)
    if len(many):
        found[many[are_meeting(start.select(many))]] = 0.0
    return found


def are_meeting(bodies: Bodies) -> np.ndarray:
    """Return in which systems two groups, not bound to each other, will come so near that they disturb all orbits, (B,) bool.

    No orbit of theirs is regular then, so that none is compared with another run at the same time.
    """
    with np.errstate(all="ignore"):
        joins = joins_of(bodies.mass, bodies.position, bodies.velocity, bodies.G, bodies.softening, bodies.present)
        rows, order = np.arange(len(bodies))[:, None], np.argsort(-joins.root_mass, axis=1)[:, :2]
        mass, x, v = (np.take(values[rows, order], [0, 1], 1) for values in (joins.root_mass, joins.root_x, joins.root_v))
        apart, speed = x[:, 1] - x[:, 0], v[:, 1] - v[:, 0]
        nearest, _ = apsides(bodies.G * mass.sum(1), apart, speed, bodies.softening)
        _, farthest = apsides(joins.gm, joins.x, joins.v, bodies.softening[:, None])
        root = np.take_along_axis(joins.root, joins.pair[..., 0].clip(0), 1)
        # the mass of the group that meets each orbit
        other = mass.sum(1, keepdims=True) - np.take_along_axis(joins.root_mass, root, 1)
        disturbed = ~(bodies.G * other / joins.gm * (farthest / nearest[:, None]) ** 3 < TIDE) | np.isnan(joins.gm)
    return np.asarray(((joins.root_mass > 0).sum(1) == 2) & (dot(apart, speed) < 0) & disturbed.all(1))


def _orbits(start: Bodies, end: np.ndarray) -> np.ndarray:
    """Return the orbits of the tightest pair until `end`, (B,), in systems of few bodies; 0 in clusters and without an end."""
    found, massive = np.zeros(len(start)), (start.mass > 0).sum(1)
    some = np.flatnonzero((massive <= MOST_DISTURBED) & np.isfinite(end))
    if len(some):
        with np.errstate(over="ignore", divide="ignore"):  # of a pair as good as at the same place they are without number
            found[some] = np.abs(end[some] - start.time[some]) / shortest_period(start.select(some))
    return found
