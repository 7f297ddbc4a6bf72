"""What a simulation is now: its bodies, its errors, and what it has cost so far."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..elements import JACOBI, Elements, Primary
from ..errors import ConfigError, nearest_name_hint, shown
from .branch import Branch, Earlier, Moment
from .changes import body_number
from .described import simulation_card
from .kernels import layout as at
from .outcome import STATUS_WORDS
from .result import ENDED, EVENT, OK
from .steering import Steering


class Present:
    """The present of a simulation, to be read; `Simulation` moves it."""

    _start: Bodies
    _now: Moment
    _branch: Branch
    _branches: dict[float, Branch]
    _earlier: Earlier
    _steering: Steering
    _stopped: bool  # whether it is at an event that stops

    @property
    def time(self) -> float:
        """Time of the present state."""
        return self._now.time

    @property
    def position(self) -> np.ndarray:
        """Positions now, (N, D)."""
        return self._now.position

    @property
    def velocity(self) -> np.ndarray:
        """Velocities now, (N, D)."""
        return self._now.velocity

    @property
    def mass(self) -> np.ndarray:
        """Masses, (N,)."""
        return self._start.mass[0].copy()

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the bodies, if they have some."""
        return self._start.names

    @property
    def G(self) -> float:
        """Gravitational constant."""
        return self._start.G

    @property
    def bodies(self) -> Bodies:
        """The present state as `Bodies`, a batch of one system."""
        now = self._now
        return self._start.moved(now.position[None], now.velocity[None], np.array([now.time]))

    @property
    def dt(self) -> float:
        """Length of the step that the present state is in, or that ended with it."""
        return self._now.dt

    @property
    def energy_error(self) -> float:
        """Relative energy error now, since the start or the last change of the bodies."""
        return self._now.energy_error

    @property
    def max_energy_error(self) -> float:
        """Largest relative energy error of the steps from the start to the newest one; going back takes it back, too."""
        made = [float(branch.real[at.MAX_ERROR]) for branch in self._branches.values()]
        return max(self._earlier.max_energy_error, *made)

    @property
    def step_count(self) -> int:
        """Number of steps that led to the present state from the first start."""
        return self._earlier.steps + self._now.steps

    @property
    def force_evaluations(self) -> int:
        """Number of force evaluations of the steps from the start to the newest one.

        Those of steps that are repeated after going back, and between steps for states asked for, come on top.
        """
        return self._earlier.force_evaluations + sum(int(b.count[at.FORCES]) for b in self._branches.values())

    @property
    def status(self) -> str:
        """`ok`; `event` at one that stops; or why the motion cannot be followed further: `non_finite`, `stuck`."""
        code = int(self._branch.count[at.STATUS])
        if code in at.GOES_ON:
            return EVENT if self._stopped else OK
        return STATUS_WORDS[code]

    @property
    def criterion(self) -> str:
        """What chooses the steps."""
        return str(self._steering.words["criterion"])

    @property
    def integrator(self) -> str:
        """What takes the steps."""
        return str(self._steering.words["integrator"])

    @property
    def tol(self) -> float | None:
        """Tolerance of the energy error, if the criterion has one."""
        asked = self._steering.words["run_tolerance"]
        return None if asked is None else float(asked[0])

    @property
    def within_tolerance(self) -> bool | None:
        """Whether `max_energy_error` is within the tolerance; None without one."""
        return None if self.tol is None else self.status in ENDED and self.max_energy_error <= self.tol

    @property
    def energy_change(self) -> float:
        """Total energy that changes of the bodies have brought so far; negative for what mergers lose."""
        return self._earlier.energy_change

    def energy(self) -> float:
        """Return the total energy now, that in the outer field included."""
        return float(self.bodies.total_energy()[0])

    def orbits(self, primary: Primary = JACOBI) -> Elements:
        """Return the osculating orbital elements of all bodies but the first, each (N-1,): see `Bodies.elements`."""
        return Elements(*(values[0] for values in self.bodies.elements(primary)))

    def index(self, which: str | int) -> int:
        """Return the number of a body, from its name or its number."""
        return body_number(self._start, which)

    def __len__(self) -> int:
        """Return the number of bodies."""
        return int(self._start.mass.shape[1])

    def __repr__(self) -> str:
        asked = "" if self.tol is None else f", tol={self.tol:g}"
        return (
            f"<Simulation of {len(self)} bodies at t = {self.time:g} after {self.step_count} steps of {self.integrator}{asked}"
            f", energy error {self.energy_error:.1e}, {self.status}>"
        )

    def plot(self, kind: str = "orbits", **options: Any) -> Any:
        """Draw `orbits`, `energy`, `steps` or `elements` until now, and return the axes: see `aitimestepper.plots`."""
        plots = importlib.import_module("aitimestepper.report.plots")  # above this package, and loaded only where one draws
        if kind not in plots.KINDS:
            raise ConfigError(f"plot: {shown(kind)} is none; {nearest_name_hint(str(kind), plots.KINDS)}")
        return getattr(plots, f"plot_{kind}")(self, **options)

    def _repr_html_(self) -> str:
        return simulation_card(self)
