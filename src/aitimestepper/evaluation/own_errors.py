"""Errors of the bodies' own energies: how far a run's bodies are from their own orbits, beside its error of the total energy.

Energies are compared at the same times with a run of Gauss-Radau. All problems of a batch are compared at multiples of
`EVERY` in units in which each run takes between 1 and 2; such units change times by powers of two, and hence no bit of a run.
An external field allows no such units: there it is a fraction of the shortest run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.classical import PRS23
from ..hierarchy import own_energy, own_orbits
from ..simulate.engine import simulate
from ..simulate.result import OK, SimulationResult

if TYPE_CHECKING:
    from .runs import Systems

EVERY = 0.0618  # 16 to 32 times of comparison; the golden ratio, so that they are at no fixed phase of an orbit
REFERENCE_ERROR = 1e-8  # largest relative energy error of a reference run that is compared with


class OwnReference(NamedTuple):
    """The own energies of the bodies of P problems at K times, the last of which is the end of the run.

    Two bodies with mass alone need none: the relative error of their own energy is that of the total.
    """

    host: np.ndarray  # (P, N, N) bool, as in `OwnOrbits`
    group: np.ndarray  # (P, N, N) bool
    covered: np.ndarray  # (P, N) bool: bodies whose own energy counts
    compared: np.ndarray  # (P,) bool: the problem's own energies have to be compared; otherwise the total error is the own one
    energy: np.ndarray  # (K, P, N) specific energy; NaN after the end of a run, and where nothing is compared
    scale: np.ndarray  # (K, P, N) what its errors are relative to
    every: float  # time between two comparisons, in natural units

    def rows(self, index: np.ndarray) -> OwnReference:
        """Return the reference of the problems of these indices."""
        by_problem = self.host[index], self.group[index], self.covered[index], self.compared[index]
        return OwnReference(*by_problem, self.energy[:, index], self.scale[:, index], self.every)


class Comparison:
    """The largest error of the own energies of a run of all problems of a reference; `take` is a sink for `simulate`."""

    def __init__(self, reference: OwnReference) -> None:
        self.rows = np.flatnonzero(reference.compared)
        self.reference = reference.rows(self.rows)
        self.error = np.zeros(len(reference.compared))  # (P,) so far
        self._next = 0

    def take(self, start: Bodies, rows: dict[str, np.ndarray]) -> None:
        """Compare rows of output, (S, P, ...) by name."""
        for state in _states(start, rows, self.rows):
            self._compare(state, self._next)
            self._next += 1

    def end(self, final: Bodies) -> None:
        """Compare the final states."""
        self._compare(final.select(self.rows), -1)

    def _compare(self, state: Bodies, k: int) -> None:
        ref = self.reference
        energy, _ = own_energy(state, ref.host, ref.group)
        error = np.abs(energy - ref.energy[k]) / ref.scale[k]
        error = np.where(ref.covered & ~np.isnan(error), error, 0.0)  # NaN: after the end of a run
        self.error[self.rows] = np.maximum(self.error[self.rows], error.max(1, initial=0.0))


def own_reference(systems: Systems, regular: np.ndarray, threads: int = 1) -> OwnReference:
    """Return the own energies of all bodies that count: those on regular orbits in the problems that are `regular`, (P,).

    Only problems of three and more bodies, or in an external field, need a run; the energy of two bodies alone is that of their
    start. Nothing counts in a problem whose reference run breaks off or has an error above `REFERENCE_ERROR`.
    """
    found = own_orbits(systems.start)
    covered = found.covered & np.asarray(regular, bool)[:, None]
    pair = (systems.start.body_count == 2) & (systems.start.external_field is None)
    compared = covered.any(1) & ~(pair & ((systems.start.mass > 0).sum(1) == 2))
    runs = np.flatnonzero(compared & ~pair)
    natural = natural_units(systems)
    every = EVERY if systems.start.external_field is None else EVERY * float(natural.ends.min(initial=np.inf))
    energy, scale, good = _energies_of_runs(natural, every, runs, found.host, found.group, threads)
    covered[runs[~good]] = compared[runs[~good]] = False
    constant = np.flatnonzero(compared & pair)
    start = natural.rows(constant).start
    energy[:, constant], scale[:, constant] = own_energy(start, found.host[constant], found.group[constant])
    return OwnReference(found.host, found.group, covered, compared, energy, scale, every)


def accurate_run(systems: Systems, threads: int, **output: Any) -> SimulationResult:
    """Run problems by Gauss-Radau with its own rule, as precisely as rounding allows; `output` is that of `simulate`."""
    return simulate(
        systems.start, t_end=systems.ends, criterion=PRS23(), integrator="radau15", threads=threads, warn=False, **output
    )


def natural_units(systems: Systems) -> Systems:
    """Return the same problems, each in a unit of time that is a power of two and in which its run takes from 1 to below 2.

    G, lengths and softenings stay; masses are multiplied by the unit squared. In an external field the unit is that of time
    itself, since the field is shared.
    """
    if not len(systems.start):
        return systems
    start, duration = systems.start, systems.ends - systems.start.time
    unit = np.exp2(np.floor(np.log2(np.where(duration > 0, duration, 1.0))))
    if start.external_field is not None:
        unit = np.ones_like(unit)
    mass, velocity = start.mass * (unit * unit)[:, None], start.velocity * unit[:, None, None]
    return systems._replace(
        start=start.replace(mass=mass, velocity=velocity, time=np.zeros(len(unit))),
        ends=np.where(duration > 0, duration, 0.0) / unit,
    )


def _energies_of_runs(
    systems: Systems, every: float, runs: np.ndarray, host: np.ndarray, group: np.ndarray, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return own energies and their scales, (K, P, N), by reference runs of some problems, and which of these are good."""
    shape, latest = systems.start.mass.shape, int(systems.ends.max(initial=0.0) / every) + 2
    energy, scale = (np.full((latest + 1, *shape), np.nan) for _ in range(2))
    if not len(runs):
        return energy, scale, np.zeros(0, bool)
    chosen, members, k = systems.rows(runs), (host[runs], group[runs]), 0

    def take(start: Bodies, rows: dict[str, np.ndarray]) -> None:
        nonlocal k
        for state in _states(start, rows, np.arange(len(runs))):
            energy[k, runs], scale[k, runs] = own_energy(state, *members)
            k += 1

    result = accurate_run(chosen, threads, output_every=every, sinks=(take,))
    energy[-1, runs], scale[-1, runs] = own_energy(result.final, *members)
    good = np.array([status == OK for status in result.status]) & (result.max_energy_error <= REFERENCE_ERROR)
    return energy, scale, good


def _states(start: Bodies, rows: dict[str, np.ndarray], which: np.ndarray) -> list[Bodies]:
    """Return the states of some systems in rows of output."""
    some = start.select(which)
    return [
        some.moved(x[which], v[which], t[which])
        for x, v, t in zip(rows["position"], rows["velocity"], rows["time"], strict=True)
    ]
