"""Files of simulations: closed and never closed, and all that is done with them: reading, inspecting, going on."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cases import Reading, Subject
from contents import Contents, digest_of
from damages import BYTES, FLIPS
from hdf5_damages import SEALED, STRUCTURES, canaries
from state_damages import OF_RUNS

from aitimestepper import Simulation, Snapshots, resume, simulate
from aitimestepper.bodies import ARRAYS, Bodies
from aitimestepper.cli.inspection import inspect_file, print_inspection
from aitimestepper.criteria.classical import PRS23, Constant, EnergyBudget, FreeFall
from aitimestepper.fields import tidal
from aitimestepper.initial import named
from aitimestepper.simulate import advance, first_state, session
from aitimestepper.simulate.progress import Status
from aitimestepper.simulate.result import NUMBERS, SimulationResult
from aitimestepper.simulate.snapshots import records

FIELDS = ("time", "dt", "energy", "energy_error", "position", "velocity", "steps")
VOLATILE = ("file", "size", "next", "created", "wall_time")  # of what `inspect` says, what differs between copies
OF_ROWS = ("rows", "time")  # what depends on the newest rows, which a file that was never closed may lack
SMALL = 1 << 11  # bytes of a chunk of positions, and of output held in memory
TURN = 4  # of a run in turns of a few steps, when its file is copied while it is being written


def bodies_of(made: named.InitialConditions, **more: Any) -> Bodies:
    """Return initial conditions as bodies."""
    return Bodies(made.mass, made.position, made.velocity, G=1.0 if made.G is None else made.G, **more)


def bodies_digest(bodies: Bodies) -> str:
    """Return a hash of everything that bodies are."""
    return digest_of([getattr(bodies, name) for name in ARRAYS], bodies.G, bodies.names, repr(bodies.external_field))


def result_digest(result: SimulationResult) -> str:
    """Return a hash of a result without its duration."""
    numbers = [getattr(result, name) for name in NUMBERS]
    words = (result.status, result.criterion, result.integrator, result.tol)
    return digest_of(bodies_digest(result.final), numbers, words, list(result.closest_approach or ()), result.reports)


def read(path: Path) -> Contents:
    """Read everything that a file of snapshots offers."""
    with Snapshots(path) as s:
        columns = [s.column(name)[:] for name in FIELDS]
        rows = tuple(digest_of(*(column[i] for column in columns)) for i in range(len(s)))
        saved = s.saved()
        about = digest_of(s.metadata, saved.constants, bodies_digest(s.initial), saved.initial)
        state = digest_of(saved.state, saved.rows, s.result, s.status)
        if len(s):
            digest_of(bodies_digest(s[0]), bodies_digest(s[-1]))  # made of what is hashed already
    return Contents(digest_of(about, state), rows, saved.rows)


def inspect(path: Path) -> Contents:
    """Describe a file as the command line does; what depends on the newest rows does not count."""
    content = inspect_file(path)
    with contextlib.redirect_stdout(io.StringIO()):
        print_inspection(content)
    return Contents(digest_of({name: content[name] for name in content if name not in (*VOLATILE, *OF_ROWS)}))


def _going_on(**more: Any) -> Reading:
    """Return a reading that goes on with the run in a copy of the file, then reads that copy."""

    def reading(path: Path) -> Contents:
        copy = path.with_name("copy.h5")
        shutil.copyfile(path, copy)
        result = resume(copy, threads=1, warn=False, **more)
        result.advice  # noqa: B018  it is what warns of the result
        with Snapshots(copy) as s:
            rows = digest_of(*(s.column(name)[:] for name in FIELDS))
        return Contents(digest_of(result_digest(result), rows))

    return reading


READINGS: dict[str, Reading] = {"read": read, "inspect": inspect}
DAMAGES = (FLIPS, FLIPS, BYTES, STRUCTURES, SEALED, OF_RUNS)


def snapshot(name: str, bodies: Callable[[], Bodies], later: float, weight: float = 4.0, **run: Any) -> Subject:
    """Return the file of a run that ended; `later` is the time to which it goes on."""

    def make(folder: Path) -> tuple[Path, ...]:
        path = folder / "run.h5"
        simulate(bodies(), output=path, threads=1, warn=False, **run)
        canaries(folder, path)
        return (path,)

    going_on = {"resume": _going_on(), "resume to a later end": _going_on(t_end=later)}
    return Subject(f"snapshots, {name}", make, READINGS, DAMAGES, weight, one_of=going_on)


def unclosed(name: str, bodies: Callable[[], Bodies], weight: float = 4.0, **run: Any) -> Subject:
    """Return the file of a run as a kill leaves it, with two saved states, of which either will do."""

    def make(folder: Path) -> tuple[Path, ...]:
        path, before = folder / "run.h5", folder / "before" / "run.h5"
        before.parent.mkdir()
        growing, turns = folder / "growing" / "run.h5", []
        growing.parent.mkdir()

        def watch(_: Status) -> None:
            turns.append(0)
            if len(turns) in (TURN, TURN + 1):
                shutil.copyfile(growing, before if len(turns) == TURN else path)
            if len(turns) > TURN:
                raise _CopiedError

        with short_turns(), contextlib.suppress(_CopiedError):
            simulate(bodies(), output=growing, threads=1, warn=False, progress=watch, **run)
        canaries(folder, path)
        return path, before

    return Subject(f"snapshots, {name}", make, {**READINGS, "resume": _going_on()}, DAMAGES, weight)


def simulation(name: str, bodies: Callable[[], Bodies], weight: float = 2.0, **given: Any) -> Subject:
    """Return the file of a `Simulation` that was saved in the middle of a step."""

    def make(folder: Path) -> tuple[Path, ...]:
        path = folder / "simulation.h5"
        Simulation(bodies(), threads=1, **given).steps(20).integrate(1.7).save(path)
        canaries(folder, path)
        return (path,)

    readings = {"load": _loaded, "inspect": inspect}
    return Subject(f"snapshots, {name}", make, readings, (FLIPS, BYTES, STRUCTURES, SEALED, OF_RUNS), weight)


def _loaded(path: Path) -> Contents:
    """Load a saved simulation, look into its past, and go on with it."""
    loaded = Simulation.load(path, threads=1)
    before = bodies_digest(loaded.bodies), loaded.energy_error, loaded.step_count, loaded.at([0.5 * loaded.time])[1:3]
    loaded.steps(3)
    return Contents(digest_of(before, bodies_digest(loaded.bodies), result_digest(loaded.result)))


class _CopiedError(Exception):
    """Ends a run whose file was copied."""


@contextlib.contextmanager
def short_turns(seconds: float = 1e-9) -> Iterator[None]:
    """Let a run take few steps a turn, of about so many seconds, and save its state in each of them."""
    before = advance.TURN, session.SAVE_EVERY
    advance.TURN, session.SAVE_EVERY = seconds, -math.inf
    try:
        yield
    finally:
        advance.TURN, session.SAVE_EVERY = before


def _kepler(**more: Any) -> Callable[[], Bodies]:
    return lambda: bodies_of(named.kepler(0.5), **more)


def _batch() -> Bodies:
    """Return systems of two, three and five bodies in one batch."""
    made = [named.kepler(0.3, dim=3), named.figure8(3), named.random(5, 3, seed=2)]
    return Bodies.stack([bodies_of(one) for one in made])


def _moving() -> Bodies:
    return bodies_of(named.kepler(0.2), external_field=tidal(M=2.0, R0=5.0, period=3.0))


def _many() -> Bodies:
    return bodies_of(named.plummer(20, seed=1), softening=0.05)


def subjects() -> list[Subject]:
    """Return the files of simulations, closed and never closed; they are small, so that random damage hits something."""
    assert records.CHUNK_BYTES >= SMALL <= first_state.ROW_MEMORY
    records.CHUNK_BYTES, first_state.ROW_MEMORY = SMALL, SMALL
    batch_of: dict[str, Any] = {"criterion": EnergyBudget((1e-4, 1e-5, 1e-6)), "integrator": "suzuki4", "output_every": 0.05}
    many: dict[str, Any] = {"criterion": FreeFall(0.1), "integrator": "leapfrog", "output_steps": 1, "steps": 100}
    return [
        snapshot("constant", _kepler(), 3.5, t_end=3.0, criterion=Constant(0.03), integrator="leapfrog", output_steps=1),
        snapshot("learned", _kepler(), 10.0, t_end=9.0, tol=1e-5, output_steps=1),
        snapshot("radau15", _kepler(), 10.0, t_end=9.0, criterion=PRS23(0.05), integrator="radau15", output_steps=1),
        snapshot("batch", _batch, 2.5, t_end=2.0, **batch_of),
        snapshot("tidal field", _moving, 2.5, t_end=2.0, criterion=FreeFall(0.03), integrator="suzuki4", output_every=0.05),
        simulation("Simulation", _kepler(), criterion=FreeFall(0.03), integrator="leapfrog"),
        simulation("Simulation, learned", _kepler(), tol=1e-5, t_end=30.0),
        unclosed("never closed", _kepler(), t_end=4.0, criterion=Constant(0.03), integrator="leapfrog", output_steps=1),
        unclosed("batch, never closed", _batch, t_end=3.0, **batch_of),
        unclosed("chunks, never closed", _many, 2.0, **many),
    ]
