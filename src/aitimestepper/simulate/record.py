"""Watching a run: the states of one system along its way, thinned so that memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..physics.invariants import angular_momentum, momentum
from ..physics.particle import ParticleTorch


@dataclass(frozen=True)
class Track:
    """S states of one system as arrays; the first is the start of the run (its dt is that of the first step)."""

    mass: np.ndarray  # (N,)
    time: np.ndarray  # (S,)
    position: np.ndarray  # (S, N, D)
    velocity: np.ndarray  # (S, N, D)
    dt: np.ndarray  # (S,) the step that led to this state
    energy: np.ndarray  # (S,)
    energy_error: np.ndarray  # (S,) relative, against the start
    momentum: np.ndarray  # (S, D)
    angular_momentum: np.ndarray  # (S, 3)


class TrackRecorder:
    """An observer for `simulate` that keeps system `system`; beyond `limit` states every other one is dropped."""

    def __init__(self, system: int = 0, limit: int = 20_000) -> None:
        self.system, self.limit, self.stride = system, limit, 1
        self._seen = 0
        self._rows: list[tuple[ParticleTorch, float]] = []
        # the last state of a run belongs to its track, whatever the stride
        self._latest: tuple[ParticleTorch, float] | None = None

    def __call__(self, before: ParticleTorch, after: ParticleTorch, error: Tensor, running: Tensor) -> None:
        """Keep the state after a step, if this system is still running and its turn has come."""
        place = (running == self.system).nonzero().flatten()
        if not len(place):
            return
        if not self._rows:
            start = before.select(place)
            start.update_dt(after.dt[place])
            self._rows.append((start, 0.0))
        self._seen += 1
        self._latest = (after.select(place), float(error[place]))
        if self._seen % self.stride == 0:
            self._rows.append(self._latest)
        if len(self._rows) > self.limit:
            self._rows = self._rows[::2]
            self.stride *= 2

    def track(self) -> Track:
        """What was seen."""
        if not self._rows:
            raise ValueError("nothing was recorded: the run took no step.")
        rows = self._rows if self._latest is None or self._latest is self._rows[-1] else [*self._rows, self._latest]
        batch = ParticleTorch.stack([p for p, _ in rows])
        real = self._rows[0][0].mask[0].cpu().numpy()

        def array(x: Tensor) -> np.ndarray:
            return np.asarray(x.detach().cpu().numpy())

        return Track(
            mass=array(batch.mass[0])[real],
            time=array(batch.time),
            position=array(batch.position)[:, real],
            velocity=array(batch.velocity)[:, real],
            dt=array(batch.dt),
            energy=array(batch.total_energy()),
            energy_error=np.array([error for _, error in rows]),
            momentum=array(momentum(batch)),
            angular_momentum=array(angular_momentum(batch)),
        )
