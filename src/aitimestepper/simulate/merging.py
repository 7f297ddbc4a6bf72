"""Runs in which colliding bodies merge: each merger ends a run of its system, and another one goes on with what is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..events import Collision, Event, Occurrence
from .result import EVENT, ClosestApproach, SimulationResult
from .trajectory import Trajectory

# runs one system on from given bodies, with given events; see `simulate`
GoOn = Callable[[Bodies, int, tuple[Event, ...]], SimulationResult]


def merges(events: tuple[Event, ...]) -> bool:
    """Return whether bodies merge at some event."""
    return any(isinstance(event, Collision) and event.action == "merge" for event in events)


def after_mergers(result: SimulationResult, events: tuple[Event, ...], go_on: GoOn) -> SimulationResult:
    """Return the result of a run whose systems go on after their mergers, with all that they did before.

    Bodies keep their numbers: the heavier of two takes up the other, which is absent then. A system with one body left ends.
    """
    change = np.zeros(len(result.status))
    last = {one.system: one for one in result.events}
    whole = dataclasses.replace(result, energy_change=change)  # the same array, which grows
    for b, one in last.items():
        event = events[one.number]
        if result.status[b] != EVENT or not isinstance(event, Collision) or event.action != "merge":
            continue
        before = result.final.select(b)
        bodies, stays, goes = together(before, *one.bodies)
        change[b] += (bodies.total_energy() - before.total_energy())[0]
        if bodies.body_count[0] > 1:
            grown = tuple(merged_radius(e, bodies.mass.shape[1], stays, goes) for e in events)
            whole = _joined(whole, b, go_on(bodies, b, grown), one)
        else:
            whole = dataclasses.replace(whole, final=_put(whole.final, b, bodies))
    return whole


def together(bodies: Bodies, one: int, other: int) -> tuple[Bodies, int, int]:
    """Return one system in which the heavier of two bodies has taken up the other, and their numbers: that stays, that goes."""
    stays, goes = sorted((one, other), key=lambda k: (-bodies.mass[0, k], k))
    mass, position, velocity, present = (np.array(a) for a in (bodies.mass, bodies.position, bodies.velocity, bodies.present))
    total = mass[0, stays] + mass[0, goes]
    share = 0.5 if total == 0.0 else mass[0, goes] / total
    for values in (position, velocity):
        values[0, stays] += share * (values[0, goes] - values[0, stays])
        values[0, goes] = 0.0
    mass[0, stays], mass[0, goes], present[0, goes] = total, 0.0, False
    return bodies._with(mass=mass, position=position, velocity=velocity, present=present), stays, goes


def merged_radius(event: Event, bodies: int, stays: int, goes: int) -> Event:
    """Return a collision with the radius of a body that took up another: volumes add up."""
    if not isinstance(event, Collision):
        return event
    radii = event.radii(bodies).copy()
    radii[stays] = np.cbrt(radii[stays] ** 3 + radii[goes] ** 3)
    return dataclasses.replace(event, radius=tuple(radii.tolist()))


def _joined(whole: SimulationResult, b: int, leg: SimulationResult, at: Occurrence) -> SimulationResult:
    """Return a result in which system b went on as in `leg`, from the merger `at` on."""

    def put(name: str, merge: Callable[[Any, Any], Any]) -> None:
        old, new = getattr(whole, name), getattr(leg, name)
        if old is not None and new is not None:
            old[b] = merge(old[b], new[0])

    for name in ("steps", "force_evaluations", "rejected_steps", "energy_change"):
        put(name, lambda old, new: old + new)
    for name in ("max_energy_error", "momentum_error", "angular_momentum_error", "dt_max"):
        put(name, max)
    put("dt_min", min)
    put("final_energy_error", lambda old, new: new)
    _join_reports(whole.reports, leg.reports, b)
    _join_nearest(whole.closest_approach, leg.closest_approach, b)
    if whole.trajectory is not None and leg.trajectory is not None:
        _join_rows(whole.trajectory, leg.trajectory, b)
    return dataclasses.replace(
        whole,
        final=_put(whole.final, b, leg.final),
        status=tuple(leg.status[0] if k == b else status for k, status in enumerate(whole.status)),
        events=(*whole.events, *(one._replace(system=b) for one in leg.events)),
        wall_time=whole.wall_time + leg.wall_time,
    )


def _join_reports(old: dict[str, np.ndarray | None], new: dict[str, np.ndarray | None], b: int) -> None:
    for name, values in old.items():
        more = new.get(name)
        if values is not None and more is not None:
            values[b] = max(values[b], more[0]) if name == "expected_step_error" else values[b] + more[0]


def _join_nearest(old: ClosestApproach | None, new: ClosestApproach | None, b: int) -> None:
    if old is not None and new is not None and new.distance[0] < old.distance[b]:
        for values, more in zip(old, new, strict=True):
            values[b] = more[0]


def _join_rows(old: Trajectory, new: Trajectory, b: int) -> None:
    """Write the rows of system b after a merger, at the last of the output times, over those that were not reached."""
    first = len(old.time) - len(new.time)
    for name in Trajectory._fields[1:]:
        getattr(old, name)[first:, b] = getattr(new, name)[:, 0]


def _put(batch: Bodies, b: int, one: Bodies) -> Bodies:
    """Return a batch with another system b, as bodies that begin a new run."""
    arrays = {}
    for name, values in batch.arrays().items():
        arrays[name] = np.array(values)
        arrays[name][b] = getattr(one, name)[0]
    return batch._with(**arrays)
