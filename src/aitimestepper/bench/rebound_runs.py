"""Runs of REBOUND: IAS15, leapfrogs of order 2 to 8, WHFast and TRACE."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..initial.named import InitialConditions
from ..initial.suites import Case
from .peer_runs import PeerRun, Prepared, energy_of, package, relative_error
from .timing import timed

ADAPTIVE_MODES = {"individual": 0, "global": 1, "prs23": 2, "aarseth85": 3}  # modes of IAS15 with their numbers in REBOUND
# methods of constant steps: integrator of REBOUND, force evaluations a step, settings
METHODS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "whfast": ("whfast", 1, {}),
    "trace": ("trace", 2, {}),
    "leapfrog": ("leapfrog", 1, {}),
    "leapfrog4": ("leapfrog", 3, {"order": 4}),
    "leapfrog6": ("leapfrog", 9, {"order": 6}),
    "leapfrog8": ("leapfrog", 17, {"order": 8}),
}
CENTRED = ("whfast", "trace")  # they need the central body first


def rebound_of(
    initial: InitialConditions, integrator: str, dt: float | None = None, softening: float = 0.0, **settings: Any
) -> Any:
    """Return the system as a `rebound.Simulation` about to be run; `settings` are those of the integrator."""
    sim = package("rebound").Simulation()
    sim.G, sim.softening = initial.G or 1.0, softening
    for m, x, v in zip(initial.mass, initial.position, initial.velocity, strict=True):
        place = dict(zip(("x", "y", "z"), x.tolist(), strict=False))
        speed = dict(zip(("vx", "vy", "vz"), v.tolist(), strict=False))
        sim.add(m=float(m), **place, **speed)
    sim.integrator = integrator
    if dt is not None:
        sim.dt = dt
    holder = getattr(sim, f"ri_{integrator}", sim.integrator)  # before REBOUND 5 the settings were in ri_...
    for name, setting in settings.items():
        setattr(holder, name, setting)
    return sim


def watched(
    make: Callable[[], Any], t_end: float, most: float, per_step: int | None = None, clean: Callable[[], Any] | None = None
) -> PeerRun:
    """Run the simulation that `make` returns, count its force evaluations, and measure its error after every step.

    REBOUND calls `additional_forces` once in each evaluation, including those of rejected steps. Callbacks must not change the
    run: its end is compared with that of a run without them. `per_step`: evaluations of every step, where they need no count.
    `clean` returns the simulation to be timed, if that is another one.
    """
    sim = make()
    error = _error_of(sim)
    counted, largest, stopped = 0, 0.0, False

    def count(_: object) -> None:
        nonlocal counted
        counted += 1

    def spent() -> int:
        return counted if per_step is None else per_step * int(sim.steps_done)

    def look(_: object) -> None:
        nonlocal largest, stopped
        largest = max(largest, error())
        if spent() > most:
            stopped = True
            sim.stop()

    sim.heartbeat = look
    if per_step is None:
        sim.additional_forces = count
    _integrate(sim, t_end)
    steps, final = int(sim.steps_done), error()
    if stopped or not math.isfinite(max(largest, final)):
        return PeerRun(math.inf, math.inf, spent(), steps, stopped)
    plain = (clean or make)()
    seconds = timed(lambda: _integrate(plain, t_end), time.process_time)
    if clean is None and not _same(sim, plain):
        raise RuntimeError("watching a run of REBOUND changed it, so its numbers mean nothing.")
    return PeerRun(max(largest, final), final, spent(), steps, False, seconds)


def rebound_run(method: str, mode: str, case: Case, value: float) -> Prepared:
    """Prepare runs by a method of `METHODS` or by IAS15 in a mode, with its own number: epsilon of IAS15, otherwise dt.

    Forces of TRACE are None. Its passes over all pairs can be counted, two a step; but when bodies meet, it integrates them by
    Bulirsch and Stoer, whose evaluations REBOUND does not report. Two a step are what its budget is counted in.
    """
    if method == "ias15":
        settings: dict[str, Any] = {"epsilon": value, "adaptive_mode": ADAPTIVE_MODES[mode]}
        integrator, per_step, dt = method, None, None
    else:
        (integrator, per_step, settings), dt = METHODS[method], value
    initial = _from_the_centre(case.initial) if method in CENTRED else case.initial

    def make(**more: Any) -> Any:
        return rebound_of(initial, integrator, dt, case.softening, **settings, **more)

    def clean() -> Any:
        # WHFast is fast if it joins the end of a step with the beginning of the next; errors need whole steps
        return make(safe_mode=0) if method == "whfast" else make()

    def watch(most: int) -> PeerRun:
        run = watched(make, case.t_end, most, per_step, clean if method == "whfast" else None)
        return run._replace(forces=None) if method == "trace" else run

    def job(amount: int) -> Callable[[], object]:
        runs = [clean() for _ in range(amount)]

        def run_all() -> None:
            with warnings.catch_warnings(action="ignore"):
                for run in runs:
                    run.integrate(case.t_end)

        return run_all

    return Prepared(watch, job)


def _integrate(sim: Any, t_end: float) -> None:
    with warnings.catch_warnings(action="ignore"):  # warnings of steps that are too long, as some are on purpose
        sim.integrate(t_end)


def _same(sim: Any, other: Any) -> bool:
    """Return whether two simulations end in the same state, to the last bit."""
    return all(p.x == q.x and p.vx == q.vx for p, q in zip(sim.particles, other.particles, strict=True))


def _error_of(sim: Any) -> Callable[[], float]:
    """Return a function that returns the relative energy error of a simulation since this call."""
    energy = _energy_of(sim)
    mass, state = np.array([p.m for p in sim.particles]), _state_of(sim)
    bodies = Bodies(mass, state[:, :3], state[:, 3:], softening=sim.softening, G=sim.G)
    start, scale = energy(), float(bodies.energy_scale()[0])
    return lambda: relative_error(energy(), start, scale)


def _energy_of(sim: Any) -> Callable[[], float]:
    """Return REBOUND's own energy; with softening, which it leaves out, our own sum."""
    if sim.softening == 0.0:
        return lambda: float(sim.energy())
    mass = np.array([p.m for p in sim.particles])
    return lambda: energy_of(mass, _state_of(sim), sim.G, sim.softening)


def _state_of(sim: Any) -> np.ndarray:
    """Return positions and velocities of all bodies, (N, 6)."""
    return np.array([[p.x, p.y, p.z, p.vx, p.vy, p.vz] for p in sim.particles])


def _from_the_centre(initial: InitialConditions) -> InitialConditions:
    """Return the bodies with the heaviest first and the others by their distance from it, as WHFast needs them."""
    distance = np.linalg.norm(initial.position - initial.position[np.argmax(initial.mass)], axis=1)
    order = np.argsort(distance, kind="stable")
    return initial._replace(mass=initial.mass[order], position=initial.position[order], velocity=initial.velocity[order])
