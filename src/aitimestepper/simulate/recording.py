"""Recording a run: the states of one system, thinned so that memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..bodies import Bodies

COLUMNS = ("time", "dt", "energy", "energy_error", "position", "velocity")


@dataclass(frozen=True)
class RecordedTrajectory:
    """S states of one system as arrays; the first is the start of the run (its dt is that of the first step)."""

    mass: np.ndarray  # (N,)
    time: np.ndarray  # (S,)
    position: np.ndarray  # (S, N, D)
    velocity: np.ndarray  # (S, N, D)
    dt: np.ndarray  # (S,) step that led to this state
    energy: np.ndarray  # (S,)
    energy_error: np.ndarray  # (S,) relative to the start of the run
    momentum: np.ndarray  # (S, D)
    angular_momentum: np.ndarray  # (S, 3)


class TrajectoryRecorder:
    """Recorder of the states of system `system`; beyond `limit` states every other one is dropped.

    Its method `take` is a sink for `simulate`.
    """

    def __init__(self, system: int = 0, limit: int = 20_000) -> None:
        self.system, self.limit, self.stride = system, limit, 1
        self._count = 0
        self._rows: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
        # the last state of a run belongs to its trajectory, whatever the stride
        self._latest: dict[str, np.ndarray] | None = None
        self._mass: np.ndarray | None = None
        self._present: np.ndarray | None = None

    def take(self, start: Bodies, rows: dict[str, np.ndarray]) -> None:
        """Record rows of output, (S, B, ...) by name."""
        if self._mass is None:
            self._begin(start)
        of_system = {name: rows[name][:, self.system] for name in COLUMNS}
        recorded = np.isfinite(of_system["time"])
        self._add({name: values[recorded] for name, values in of_system.items()})

    def _begin(self, start: Bodies) -> None:
        row = self.system if len(start) > 1 else 0
        self._present = start.present[row]
        self._mass = start.mass[row, self._present]

    def _add(self, rows: dict[str, np.ndarray]) -> None:
        count = len(rows["time"])
        if not count:
            return
        every = slice(-self._count % self.stride, None, self.stride)
        for name, values in rows.items():
            self._rows[name].extend(values[every].copy())
        self._latest = {name: values[-1].copy() for name, values in rows.items()}
        self._count += count
        while len(self._rows["time"]) > self.limit:
            self._rows = {name: values[::2] for name, values in self._rows.items()}
            self.stride *= 2

    def trajectory(self) -> RecordedTrajectory:
        """Return the recorded trajectory."""
        if self._latest is None or self._mass is None or self._count < 2:
            raise ValueError("nothing was recorded: the run took no step.")
        rows = {name: list(values) for name, values in self._rows.items()}
        if rows["time"][-1] != self._latest["time"]:
            for name in COLUMNS:
                rows[name].append(self._latest[name])
        a = {name: np.array(values) for name, values in rows.items()}
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
