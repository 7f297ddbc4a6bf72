"""Watching a run: the states of one system along its way, thinned so that memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..differentiable.particle import ParticleTorch

COLUMNS = ("time", "dt", "energy", "energy_error", "position", "velocity")


@dataclass(frozen=True)
class RecordedTrajectory:
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


class TrajectoryRecorder:
    """Keeps the rows of system `system`; beyond `limit` states every other one is dropped.

    `take` is a sink of the compiled engine, the recorder itself an observer of the reference loop.
    """

    def __init__(self, system: int = 0, limit: int = 20_000) -> None:
        self.system, self.limit, self.stride = system, limit, 1
        self._seen = 0
        self._kept: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
        # the last state of a run belongs to its track, whatever the stride
        self._latest: dict[str, np.ndarray] | None = None
        self._mass: np.ndarray | None = None
        self._present: np.ndarray | None = None

    def take(self, batch: Any, rows: dict[str, np.ndarray]) -> None:
        """Rows of output, (S, B, ...)."""
        if self._mass is None:
            self._know(batch.start)
        mine = {name: rows[name][:, self.system] for name in COLUMNS}
        there = np.isfinite(mine["time"])
        self._add({name: values[there] for name, values in mine.items()})

    def __call__(self, before: ParticleTorch, after: ParticleTorch, error: Tensor, running: Tensor) -> None:
        """The state after a step, if this system is still running."""
        place = (running == self.system).nonzero().flatten()
        if not len(place):
            return
        if self._mass is None:
            self._know(before.select(place))
            self._add(_row(before.select(place), 0.0))
        self._add(_row(after.select(place), float(error[place])))

    def _know(self, start: ParticleTorch) -> None:
        row = self.system if len(start) > 1 else 0
        self._present = start.mask[row].cpu().numpy()
        self._mass = start.mass[row].detach().cpu().numpy()[self._present]

    def _add(self, rows: dict[str, np.ndarray]) -> None:
        count = len(rows["time"])
        if not count:
            return
        turn = slice(-self._seen % self.stride, None, self.stride)
        for name, values in rows.items():
            self._kept[name].extend(values[turn].copy())
        self._latest = {name: values[-1].copy() for name, values in rows.items()}
        self._seen += count
        while len(self._kept["time"]) > self.limit:
            self._kept = {name: values[::2] for name, values in self._kept.items()}
            self.stride *= 2

    def track(self) -> RecordedTrajectory:
        """What was seen."""
        if self._latest is None or self._mass is None or self._seen < 2:
            raise ValueError("nothing was recorded: the run took no step.")
        kept = {name: list(values) for name, values in self._kept.items()}
        if kept["time"][-1] != self._latest["time"]:
            for name in COLUMNS:
                kept[name].append(self._latest[name])
        a = {name: np.array(values) for name, values in kept.items()}
        a["dt"][0] = a["dt"][1] if len(a["dt"]) > 1 else a["dt"][0]
        position, velocity = a["position"][:, self._present], a["velocity"][:, self._present]
        flat = [(0, 0), (0, 0), (0, 3 - position.shape[-1])]
        spin = np.cross(np.pad(position, flat), np.pad(velocity, flat))
        return RecordedTrajectory(
            mass=self._mass,
            time=a["time"],
            position=position,
            velocity=velocity,
            dt=a["dt"],
            energy=a["energy"],
            energy_error=a["energy_error"],
            momentum=np.einsum("n,snd->sd", self._mass, velocity),
            angular_momentum=np.einsum("n,snd->sd", self._mass, spin),
        )


def _row(p: ParticleTorch, error: float) -> dict[str, np.ndarray]:
    """One state as a row of output."""
    values = {"time": p.time, "dt": p.dt, "energy": p.total_energy(), "position": p.position, "velocity": p.velocity}
    return {**{k: v.detach().cpu().numpy() for k, v in values.items()}, "energy_error": np.array([error])}
