"""Other people's codes on the same problems: REBOUND (IAS15, WHFast, leapfrog) and heyoka (Taylor series).

Both are optional and imported when they are asked for. Nothing of theirs is changed but what is named here.
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

from ..errors import ConfigError, UserError, nearest_name_hint
from ..initial.named import Bodies
from ..initial.suites import Case
from .timing import Job, timed

ADAPTIVE_MODES = {"individual": 0, "global": 1, "prs23": 2, "aarseth85": 3}  # of IAS15, as REBOUND numbers them
CENTRAL = 0.9  # of all mass must be in one body for WHFast
UNROLLED = (
    6  # bodies up to which heyoka writes out every pair: the run is 1.4 times as fast, compiling takes 5 s instead of 0.2
)


@dataclass(frozen=True)
class Peer:
    """A method of another package."""

    package: str
    method: str
    mode: str = "plain"  # of IAS15: how it chooses its steps

    @property
    def name(self) -> str:
        """As it is asked for."""
        return f"{self.package}:{self.method}" + ("" if self.mode == "plain" else f":{self.mode}")

    @property
    def parameter(self) -> str:
        """The number that makes its steps longer or shorter."""
        return {"ias15": "epsilon", "taylor": "tol"}.get(self.method, "dt")


PEERS = {
    peer.name: peer
    for peer in (
        *(Peer("rebound", "ias15", mode) for mode in ("prs23", "global", "individual", "aarseth85")),
        Peer("rebound", "whfast"),
        Peer("rebound", "leapfrog"),
        Peer("heyoka", "taylor"),
    )
}


class PeerRun(NamedTuple):
    """How a run ended. Errors are relative, of the energy; infinite for a run that broke off or was stopped."""

    error: float  # largest over all steps
    final_error: float
    forces: float | None  # None: the method evaluates no forces
    steps: int
    unfinished: bool  # stopped, because it cost more than it was allowed to
    seconds: float | None = None  # processor time of one clean run; None: there is none
    more: dict[str, Any] | None = None  # what only this method has to say


class Prepared(NamedTuple):
    """A run about to be made, as often as wanted."""

    watch: Callable[[int], PeerRun]  # (most forces) step by step and counted, so not to be timed
    job: Job  # clean runs on one thread, to be timed


def available_peers() -> tuple[str, ...]:
    """Those whose package is installed."""
    return tuple(name for name, peer in PEERS.items() if importlib.util.find_spec(peer.package) is not None)


def peer_named(name: str) -> Peer:
    """`rebound:whfast`, `rebound:ias15:prs23`, `heyoka:taylor`, ..."""
    if name not in PEERS:
        raise ConfigError(f"unknown peer {name!r}: {nearest_name_hint(name, PEERS)}")
    return PEERS[name]


def refusal(peer: Peer, case: Case) -> str:
    """Why the method is not for this problem; empty: it is.

    WHFast splits the motion into ellipses about one body and small forces beside them. It is run where that body has nine
    tenths of all mass; what it makes of others says nothing about it. Of two bodies it makes no error at any step.
    """
    share = float(np.max(case.bodies.mass) / np.sum(case.bodies.mass))
    if peer.method == "whfast" and share <= CENTRAL:
        return f"WHFast needs a central body with more than {CENTRAL:.0%} of the mass, {case.name} has {share:.0%}"
    if peer.method in ("whfast", "taylor") and case.softening > 0:
        return f"{peer.name} knows no softening, {case.name} has {case.softening:g}"
    return ""


def prepare(peer: Peer, case: Case, value: float) -> Prepared:
    """The method with its own number (see `Peer.parameter`) on a problem."""
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
def rebound_of(bodies: Bodies, integrator: str, dt: float | None = None, softening: float = 0.0, **settings: Any) -> Any:
    """The system as a `rebound.Simulation` about to be run; `settings` are those of the integrator."""
    sim = _package("rebound").Simulation()
    sim.G, sim.softening = bodies.G or 1.0, softening
    for m, x, v in zip(bodies.mass, bodies.position, bodies.velocity, strict=True):
        place = dict(zip(("x", "y", "z"), x.tolist(), strict=False))
        speed = dict(zip(("vx", "vy", "vz"), v.tolist(), strict=False))
        sim.add(m=float(m), **place, **speed)
    sim.integrator = integrator
    if dt is not None:
        sim.dt = dt
    where = getattr(sim, f"ri_{integrator}", sim.integrator)  # before REBOUND 5 the settings were there
    for name, setting in settings.items():
        setattr(where, name, setting)
    return sim


def watched(
    make: Callable[[], Any], t_end: float, most: float, one_a_step: bool = False, clean: Callable[[], Any] | None = None
) -> PeerRun:
    """A run of the simulation that `make` makes, with its force evaluations and its error after every step.

    REBOUND calls `additional_forces` once in each evaluation, also in those of rejected steps. Callbacks must not change the
    run: its end is compared with that of one without them. `one_a_step`: nothing to count. `clean` makes the simulation to be
    timed, if that is another one.
    """
    sim = make()
    energy = _energy_of(sim)
    start, forces, worst, stopped = energy(), 0, 0.0, False

    def count(_: object) -> None:
        nonlocal forces
        forces += 1

    def look(_: object) -> None:
        nonlocal worst, stopped
        worst = max(worst, _apart(energy(), start))
        if (sim.steps_done if one_a_step else forces) > most:
            stopped = True
            sim.stop()

    sim.heartbeat = look
    if not one_a_step:
        sim.additional_forces = count
    _integrate(sim, t_end)
    steps = int(sim.steps_done)
    forces = steps if one_a_step else forces
    final = _apart(energy(), start)
    if stopped or not math.isfinite(max(worst, final)):
        return PeerRun(math.inf, math.inf, forces, steps, stopped)
    plain = (clean or make)()
    seconds = timed(lambda: _integrate(plain, t_end), time.process_time)
    if clean is None and not _same(sim, plain):
        raise RuntimeError("watching a run of REBOUND changed it, so its numbers mean nothing.")
    return PeerRun(max(worst, final), final, forces, steps, False, seconds)


def _rebound(peer: Peer, case: Case, value: float) -> Prepared:
    bodies, fixed = case.bodies, peer.method != "ias15"
    settings: dict[str, Any] = {} if fixed else {"epsilon": value, "adaptive_mode": ADAPTIVE_MODES[peer.mode]}
    if peer.method == "whfast":
        bodies = _from_the_centre(bodies)

    def make(**more: Any) -> Any:
        return rebound_of(bodies, peer.method, value if fixed else None, case.softening, **settings, **more)

    def clean() -> Any:
        # WHFast is fast if it may join the end of a step with the beginning of the next; to watch it each step must be whole
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
    with warnings.catch_warnings(action="ignore"):  # of steps that are too long: some are meant to be
        sim.integrate(t_end)


def _same(sim: Any, other: Any) -> bool:
    return all(p.x == q.x and p.vx == q.vx for p, q in zip(sim.particles, other.particles, strict=True))


def _energy_of(sim: Any) -> Callable[[], float]:
    """REBOUND's own energy; it leaves the softening out, so that with softening we sum ourselves."""
    if sim.softening == 0.0:
        return lambda: float(sim.energy())
    mass = np.array([p.m for p in sim.particles])

    def softened() -> float:
        state = np.array([[p.x, p.y, p.z, p.vx, p.vy, p.vz] for p in sim.particles])
        return energy_of(mass, state, sim.G, sim.softening)

    return softened


def _from_the_centre(bodies: Bodies) -> Bodies:
    """The heaviest first, the others by their distance from it: the order that WHFast's coordinates are made for."""
    apart = np.linalg.norm(bodies.position - bodies.position[np.argmax(bodies.mass)], axis=1)
    order = np.argsort(apart, kind="stable")
    return bodies._replace(mass=bodies.mass[order], position=bodies.position[order], velocity=bodies.velocity[order])


# ---- heyoka ----------------------------------------------------------------------------------------------------------
def _taylor(case: Case, tol: float) -> Prepared:
    """Taylor series whose order follows from the tolerance.

    It compiles each problem and each tolerance first, or finds them in a cache of its own; that is not timed with the run.
    """
    heyoka = _package("heyoka")
    bodies, G = case.bodies, case.bodies.G or 1.0
    state = np.zeros((case.size, 6))
    dim = bodies.position.shape[1]
    state[:, :dim], state[:, 3 : 3 + dim] = bodies.position, bodies.velocity
    began = time.process_time()
    motion = heyoka.model.nbody(case.size, masses=bodies.mass.tolist(), Gconst=G)
    machine = heyoka.taylor_adaptive(motion, state.ravel().tolist(), tol=tol, compact_mode=case.size > UNROLLED)
    about = {"order": int(machine.order), "compile_time": round(time.process_time() - began, 3)}
    start = energy_of(bodies.mass, state, G)

    def run(**how: Any) -> Any:
        machine.state[:], machine.time = state.ravel(), 0.0
        return machine.propagate_until(case.t_end, **how)

    def watch(most: int) -> PeerRun:
        worst = 0.0

        def look(now: Any) -> bool:
            nonlocal worst
            worst = max(worst, _apart(energy_of(bodies.mass, now.state.reshape(-1, 6), G), start))
            return True

        outcome, _, _, steps, *_ = run(callback=look, max_steps=most)
        unfinished = outcome == heyoka.taylor_outcome.step_limit
        if outcome != heyoka.taylor_outcome.time_limit or not math.isfinite(worst):
            return PeerRun(math.inf, math.inf, None, int(steps), unfinished, None, about)
        final = _apart(energy_of(bodies.mass, machine.state.reshape(-1, 6), G), start)
        return PeerRun(worst, final, None, int(steps), False, timed(run, time.process_time), about)

    return Prepared(watch, lambda amount: lambda: [run() for _ in range(amount)])


def energy_of(mass: np.ndarray, state: np.ndarray, G: float, softening: float = 0.0) -> float:
    """Kinetic and potential energy of rows (x, y, z, vx, vy, vz)."""
    i, j = np.triu_indices(len(mass), 1)
    apart = state[i, :3] - state[j, :3]
    distance = np.sqrt(np.einsum("pk,pk->p", apart, apart) + softening**2)
    kinetic = 0.5 * np.sum(mass * np.einsum("nk,nk->n", state[:, 3:], state[:, 3:]))
    return float(kinetic - G * np.sum(mass[i] * mass[j] / distance))


def _apart(energy: float, start: float) -> float:
    """Relative error; infinite where the energy is not a number any more, which `max` would pass over."""
    error = abs(energy / start - 1.0)
    return error if error == error else math.inf
