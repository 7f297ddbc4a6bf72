"""Other codes on the same problems: REBOUND (IAS15, WHFast, leapfrog) and heyoka (Taylor series).

Both are optional and imported where they are used. All their settings are the defaults, except those that are set here.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies, as_bodies
from ..errors import ConfigError, UserError, nearest_name_hint
from ..initial.named import InitialConditions
from ..initial.suites import Case
from .timing import Job, timed

ADAPTIVE_MODES = {"individual": 0, "global": 1, "prs23": 2, "aarseth85": 3}  # modes of IAS15 with their numbers in REBOUND
CENTRAL = 0.9  # fraction of all mass that must be in one body for WHFast
# Bodies up to which heyoka writes out every pair: the run is 1.4 times as fast, compiling takes 5 s instead of 0.2.
UNROLLED = 6


@dataclass(frozen=True)
class Peer:
    """A method of another package."""

    package: str
    method: str
    mode: str = "plain"  # how IAS15 chooses its steps

    @property
    def name(self) -> str:
        """Name of the peer, as `peer_named` takes it."""
        return f"{self.package}:{self.method}" + ("" if self.mode == "plain" else f":{self.mode}")

    @property
    def parameter(self) -> str:
        """Name of the parameter that controls the length of its steps."""
        return {"ias15": "epsilon", "taylor": "tol"}.get(self.method, "dt")


_ALL = (
    *(Peer("rebound", "ias15", mode) for mode in ("prs23", "global", "individual", "aarseth85")),
    *(Peer("rebound", method) for method in ("whfast", "leapfrog")),
    Peer("heyoka", "taylor"),
)
PEERS = {peer.name: peer for peer in _ALL}


class PeerRun(NamedTuple):
    """Result of a run. Errors are relative energy errors, infinite for a run that broke off or was stopped."""

    error: float  # largest over all steps
    final_error: float
    forces: float | None  # force evaluations; None: the method evaluates none
    steps: int
    unfinished: bool  # stopped, because it cost more than allowed
    seconds: float | None = None  # processor time of one clean run; None: no run was completed
    more: dict[str, Any] | None = None  # quantities of this method only


class Prepared(NamedTuple):
    """A run that can be repeated."""

    watch: Callable[[int], PeerRun]  # takes the largest number of forces; it checks every step, so that it must not be timed
    job: Job  # clean runs on one thread, to be timed


def available_peers() -> tuple[str, ...]:
    """Return the names of the peers whose package is installed."""
    return tuple(name for name, peer in PEERS.items() if importlib.util.find_spec(peer.package) is not None)


def peer_named(name: str) -> Peer:
    """Return a peer by name: `rebound:whfast`, `rebound:ias15:prs23`, `heyoka:taylor`, ..."""
    if name not in PEERS:
        raise ConfigError(f"unknown peer {name!r}: {nearest_name_hint(name, PEERS)}")
    return PEERS[name]


def refusal(peer: Peer, case: Case) -> str:
    """Return why the method does not suit a problem; empty: it does.

    WHFast splits the motion into ellipses about one body and small perturbations. It is run only where that body has nine
    tenths of all mass, as it is meant to be. With two bodies it makes no error at any step.
    """
    share = float(np.max(case.initial.mass) / np.sum(case.initial.mass))
    if peer.method == "whfast" and share <= CENTRAL:
        return f"WHFast needs a central body with more than {CENTRAL:.0%} of the mass, {case.name} has {share:.0%}"
    if peer.method in ("whfast", "taylor") and case.softening > 0:
        return f"{peer.name} knows no softening, {case.name} has {case.softening:g}"
    return ""


def prepare(peer: Peer, case: Case, value: float) -> Prepared:
    """Prepare runs of a problem by a method with its own number (see `Peer.parameter`)."""
    why = refusal(peer, case)
    if why:
        raise ConfigError(f"{why}.")
    return _taylor(case, value) if peer.package == "heyoka" else _rebound(peer, case, value)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{name} is not installed: pip install 'aitimestepper[bench]'") from None


# ---- REBOUND ---------------------------------------------------------------------------------------------------------
def rebound_of(
    initial: InitialConditions, integrator: str, dt: float | None = None, softening: float = 0.0, **settings: Any
) -> Any:
    """Return the system as a `rebound.Simulation` about to be run; `settings` are those of the integrator."""
    sim = _package("rebound").Simulation()
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
    make: Callable[[], Any], t_end: float, most: float, one_a_step: bool = False, clean: Callable[[], Any] | None = None
) -> PeerRun:
    """Run the simulation that `make` returns, count its force evaluations, and measure its error after every step.

    REBOUND calls `additional_forces` once in each evaluation, including those of rejected steps. Callbacks must not change the
    run: its end is compared with that of a run without them. `one_a_step`: a step is one evaluation, so that no count is
    needed. `clean` returns the simulation to be timed, if that is another one.
    """
    sim = make()
    error = _error_of(sim)
    forces, largest, stopped = 0, 0.0, False

    def count(_: object) -> None:
        nonlocal forces
        forces += 1

    def look(_: object) -> None:
        nonlocal largest, stopped
        largest = max(largest, error())
        if (sim.steps_done if one_a_step else forces) > most:
            stopped = True
            sim.stop()

    sim.heartbeat = look
    if not one_a_step:
        sim.additional_forces = count
    _integrate(sim, t_end)
    steps = int(sim.steps_done)
    forces = steps if one_a_step else forces
    final = error()
    if stopped or not math.isfinite(max(largest, final)):
        return PeerRun(math.inf, math.inf, forces, steps, stopped)
    plain = (clean or make)()
    seconds = timed(lambda: _integrate(plain, t_end), time.process_time)
    if clean is None and not _same(sim, plain):
        raise RuntimeError("watching a run of REBOUND changed it, so its numbers mean nothing.")
    return PeerRun(max(largest, final), final, forces, steps, False, seconds)


def _rebound(peer: Peer, case: Case, value: float) -> Prepared:
    initial, fixed = case.initial, peer.method != "ias15"
    settings: dict[str, Any] = {} if fixed else {"epsilon": value, "adaptive_mode": ADAPTIVE_MODES[peer.mode]}
    if peer.method == "whfast":
        initial = _from_the_centre(initial)

    def make(**more: Any) -> Any:
        return rebound_of(initial, peer.method, value if fixed else None, case.softening, **settings, **more)

    def clean() -> Any:
        # WHFast is fast if it joins the end of a step with the beginning of the next; errors need whole steps
        return make(safe_mode=0) if peer.method == "whfast" else make()

    def job(amount: int) -> Callable[[], object]:
        runs = [clean() for _ in range(amount)]

        def run_all() -> None:
            with warnings.catch_warnings(action="ignore"):
                for run in runs:
                    run.integrate(case.t_end)

        return run_all

    other = clean if peer.method == "whfast" else None
    return Prepared(lambda most: watched(make, case.t_end, most, fixed, other), job)


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
    return lambda: _relative_error(energy(), start, scale)


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


# ---- heyoka ----------------------------------------------------------------------------------------------------------
def _taylor(case: Case, tol: float) -> Prepared:
    """Prepare runs with Taylor series, whose order follows from the tolerance.

    heyoka compiles each problem for each tolerance first, or takes it from its own cache; that is not timed with the run.
    """
    heyoka = _package("heyoka")
    initial, G = case.initial, case.initial.G or 1.0
    state = np.zeros((case.size, 6))
    dim = initial.position.shape[1]
    state[:, :dim], state[:, 3 : 3 + dim] = initial.position, initial.velocity
    began = time.process_time()
    motion = heyoka.model.nbody(case.size, masses=initial.mass.tolist(), Gconst=G)
    machine = heyoka.taylor_adaptive(motion, state.ravel().tolist(), tol=tol, compact_mode=case.size > UNROLLED)
    about = {"order": int(machine.order), "compile_time": round(time.process_time() - began, 3)}
    start, scale = energy_of(initial.mass, state, G), float(as_bodies(initial).energy_scale()[0])

    def error(now: np.ndarray) -> float:
        return _relative_error(energy_of(initial.mass, now.reshape(-1, 6), G), start, scale)

    def run(**settings: Any) -> Any:
        machine.state[:], machine.time = state.ravel(), 0.0
        return machine.propagate_until(case.t_end, **settings)

    def watch(most: int) -> PeerRun:
        largest = 0.0

        def look(now: Any) -> bool:
            nonlocal largest
            largest = max(largest, error(now.state))
            return True

        outcome, _, _, steps, *_ = run(callback=look, max_steps=most)
        unfinished = outcome == heyoka.taylor_outcome.step_limit
        if outcome != heyoka.taylor_outcome.time_limit or not math.isfinite(largest):
            return PeerRun(math.inf, math.inf, None, int(steps), unfinished, None, about)
        final = error(machine.state)
        return PeerRun(largest, final, None, int(steps), False, timed(run, time.process_time), about)

    return Prepared(watch, lambda amount: lambda: [run() for _ in range(amount)])


def energy_of(mass: np.ndarray, state: np.ndarray, G: float, softening: float = 0.0) -> float:
    """Return the total energy of bodies from their masses (N,) and rows (x, y, z, vx, vy, vz) (N, 6)."""
    i, j = np.triu_indices(len(mass), 1)
    separation = state[i, :3] - state[j, :3]
    distance = np.sqrt(np.einsum("pk,pk->p", separation, separation) + softening**2)
    kinetic = 0.5 * np.sum(mass * np.einsum("nk,nk->n", state[:, 3:], state[:, 3:]))
    return float(kinetic - G * np.sum(mass[i] * mass[j] / distance))


def _relative_error(energy: float, start: float, scale: float) -> float:
    """Return the relative error; infinite where the energy is NaN, which `max` would ignore."""
    error = abs(energy - start) / scale
    return error if error == error else math.inf
