"""The result of a simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..events import Occurrence
from ..fields import acts_from_outside, conserves_spin
from ..hierarchy import covered_bodies
from .trajectory import Trajectory

OK, MAX_STEPS, NON_FINITE, STUCK, EVENT = "ok", "max_steps", "non_finite", "stuck", "event"
ENDED = (OK, EVENT)  # at the end time, or at the event that was asked for
ROUNDING_UNIT = 0.1 * np.finfo(np.float64).eps  # with it Burrau's problem has a rounding error of 6e-10; it reaches 8e-10


class ClosestApproach(NamedTuple):
    """The closest approach of two bodies in each system, located between steps."""

    pair: np.ndarray  # (B, 2) numbers of the bodies
    distance: np.ndarray  # (B,)
    time: np.ndarray  # (B,)


@dataclass(frozen=True)
class Limits:
    """What advice about a run depends on besides its result."""

    start: Bodies
    final: Bodies
    nearest: ClosestApproach
    scale: np.ndarray  # (B,) the denominator S of energy errors
    error_before: list[float] | None = None  # largest energy error of each system before the last piece of the run
    covers: tuple[float, float] | None = None  # tolerances that the network covers; None: there is no calibrated one
    finest: bool = False  # no smaller tolerance makes the steps shorter

    @cached_property
    def rounding_error(self) -> np.ndarray:
        """About the relative energy error that rounding alone causes, (B,): computed only where a tolerance was missed.

        It is that of the sums K + |U| at the start, and of the potential of the closest pair. Rounding of the largest
        coordinate is an error of the distance of that pair.
        """
        start, pair = self.start, self.nearest.pair
        sums = start.kinetic_energy() + np.abs(start.potential_energy())
        masses = np.take_along_axis(start.mass, pair, axis=1).prod(1)
        distance = np.sqrt(self.nearest.distance**2 + start.softening**2)
        extent = np.maximum(np.abs(start.position).max((1, 2)), np.abs(self.final.position).max((1, 2)))
        with np.errstate(all="ignore"):  # two bodies at the same place
            found = ROUNDING_UNIT * (sums + start.G * masses / distance * (1.0 + extent / distance)) / self.scale
        return np.where(np.isfinite(found), found, math.inf)


NUMBERS = (
    "steps",
    "force_evaluations",
    "rejected_steps",
    "max_energy_error",
    "final_energy_error",
    "momentum_error",
    "angular_momentum_error",
    "dt_min",
    "dt_max",
)


@dataclass(frozen=True, repr=False)
class SimulationResult:
    """The outcome of every system of a batch. Arrays are (B,).

    Energy errors are relative to S = max(|E|, 1e-4 (K + |U|)) at the start of the run; `max_energy_error` is the
    largest over all steps. The work of a time-dependent outer field and that of a velocity-dependent force is subtracted. A run
    that went on from the result of another one counts from the first start: its errors, its steps and its force evaluations.

    Examples:
        >>> from aitimestepper import simulate
        >>> from aitimestepper.initial import triple
        >>> result = simulate(triple(), t_end=100.0, tol=1e-5)
        >>> result.status, result.final.time.tolist(), bool(result.max_energy_error[0] < 1e-5)
        (('ok',), [100.0], True)
    """

    final: Bodies
    # ok; event (one that stops the run); max_steps; non_finite (the last finite state is returned); stuck (dt below round-off
    # of t, or the guard found no step small enough)
    status: tuple[str, ...]
    steps: np.ndarray
    force_evaluations: np.ndarray
    rejected_steps: np.ndarray  # steps that were made again; their force evaluations are counted
    max_energy_error: np.ndarray
    final_energy_error: np.ndarray
    momentum_error: np.ndarray | None  # over sum m|v|; None with a field from outside, which does not conserve it
    angular_momentum_error: np.ndarray | None  # over sum m|x||v|; None with an oblate body, too
    dt_min: np.ndarray
    dt_max: np.ndarray
    closest_approach: ClosestApproach | None  # None from the loop in torch
    wall_time: float  # seconds
    criterion: str
    integrator: str
    # reports of a learned step about its run, each (B,); None: the network cannot tell
    reports: dict[str, np.ndarray | None]
    tol: np.ndarray | None = None  # (B,) tolerance for `max_energy_error`, if the criterion has one
    output: Path | None = None
    events: tuple[Occurrence, ...] = ()  # what was found of the events that were asked for, turn by turn
    energy_change: np.ndarray | None = None  # (B,) total energy that mergers brought; None where no bodies may merge
    trajectory: Trajectory | None = None  # states at the `times` that were asked for
    limits: Limits | None = None  # None from the loop in torch

    def __repr__(self) -> str:
        from .described import line_of

        return line_of(self)

    def _repr_html_(self) -> str:
        from .described import html_of

        return html_of(self)

    @property
    def within_tolerance(self) -> np.ndarray | None:
        """Whether each system reached its end within the tolerance asked for, (B,); None if no tolerance was asked for."""
        if self.tol is None:
            return None
        ended = np.array([status in ENDED for status in self.status])
        return np.asarray(ended & (self.max_energy_error <= self.tol))

    @cached_property
    def covered_bodies(self) -> np.ndarray | None:
        """Which bodies have an own orbit, about what they are bound to, that a calibrated tolerance covers, (B, N) bool.

        It is as of the first start of the run: the body is bound, and other bodies stay so far away that its motion is regular.
        The error of its own orbit cannot be measured during the run; `within_tolerance` is about the total energy. None if no
        tolerance was asked for, and from the loop in torch.
        """
        return None if self.tol is None or self.limits is None else covered_bodies(self.limits.start)

    @property
    def advice(self) -> tuple[str, ...]:
        """One sentence for each thing that went wrong in a system: what happened, and what to do. `simulate` warns of them."""
        from .advice import advice_on

        return advice_on(self)

    def summary(self) -> dict[str, Any]:
        """Return plain numbers for JSON: those of the system, or for a batch those of each system under `systems`."""
        within = self.within_tolerance
        rows = [self._row(i, within) for i in range(len(self.status))]
        shared: dict[str, Any] = {"criterion": self.criterion, "integrator": self.integrator, "wall_time": self.wall_time}
        if self.output is not None:
            shared["output"] = str(self.output)
        advice = self.advice
        if advice:
            shared["advice"] = list(advice)
        return {**rows[0], **shared} if len(rows) == 1 else {**shared, "systems": rows}

    def _row(self, i: int, within: np.ndarray | None) -> dict[str, Any]:
        row: dict[str, Any] = {"status": self.status[i], "time": self.final.time[i].item()}
        if self.tol is not None and within is not None:
            row |= {"tol": self.tol[i].item(), "within_tolerance": bool(within[i])}
        if self.covered_bodies is not None:
            row["covered_bodies"] = self._covered(i)
        for name in NUMBERS:
            values = getattr(self, name)
            row[name] = None if values is None else values[i].item()
        row |= {name: None if values is None else values[i].item() for name, values in self.reports.items()}
        row = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        near = self.closest_approach
        if near is not None:
            pair = near.pair[i].tolist()
            row["closest_approach"] = {"pair": pair, "distance": near.distance[i].item(), "time": near.time[i].item()}
            if self.final.names is not None:
                row["closest_approach"]["names"] = [self.final.names[k] for k in pair]
        found = [self._event(one) for one in self.events if one.system == i]
        return row | ({"events": found} if found else {})

    def _event(self, one: Occurrence) -> dict[str, Any]:
        row: dict[str, Any] = {"kind": one.kind, "time": one.time, "bodies": list(one.bodies), "value": one.value}
        return row if self.final.names is None else row | {"names": [self.final.names[k] for k in one.bodies]}

    def _covered(self, i: int) -> str | list[str] | list[int]:
        """Return "all" if all bodies of a system are covered, else the names, or numbers, of those that are."""
        assert self.covered_bodies is not None
        covered, names = self.covered_bodies[i], self.final.names
        if covered[self.final.present[i]].all():
            return "all"
        found = np.flatnonzero(covered).tolist()
        return found if names is None else [names[k] for k in found]


def momentum_errors(start: Bodies, final: Bodies) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return (momentum, angular momentum) errors, each (B,), over the sums of the sizes of their terms.

    None with a field from outside, which conserves neither, and for the angular momentum with an oblate body. Masses,
    positions and velocities are first divided by the largest of each system, so that no unit system overflows.
    """
    if acts_from_outside(start.external_field):
        return None, None
    m = start.mass / start.mass.max(1, keepdims=True)
    x0, x1 = _scaled(start.position, final.position)
    v0, v1 = _scaled(start.velocity, final.velocity)
    flat = [(0, 0), (0, 0), (0, 3 - x0.shape[-1])]

    def sizes(*vectors: np.ndarray) -> np.ndarray:
        product = m.copy()
        for vector in vectors:
            product = product * np.linalg.norm(vector, axis=-1)
        return np.asarray(product.sum(1))

    def spin(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray((m[..., None] * np.cross(np.pad(x, flat), np.pad(v, flat))).sum(1))

    tiny = np.finfo(float).tiny
    p = np.linalg.norm((m[..., None] * v1).sum(1) - (m[..., None] * v0).sum(1), axis=-1)
    L = np.linalg.norm(spin(x1, v1) - spin(x0, v0), axis=-1)
    p_scale = np.maximum(sizes(v0), sizes(v1))
    L_scale = np.maximum(sizes(x0, v0), sizes(x1, v1))
    spin_error = L / np.maximum(L_scale, tiny) if conserves_spin(start.external_field) else None
    return p / np.maximum(p_scale, tiny), spin_error


def _scaled(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both arrays (B, N, D), divided by the largest absolute component of each system in either."""
    largest = np.maximum(np.abs(a).max((1, 2)), np.abs(b).max((1, 2)))
    unit = np.where(largest > 0, largest, 1.0)[:, None, None]
    with np.errstate(invalid="ignore"):  # infinite ones of a run that broke off
        return a / unit, b / unit
