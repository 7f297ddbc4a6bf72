"""Full disks, folders that are read-only, and folders that vanish, at every write.

    python diagnostics/faults/writes.py [--cases 200] [--seed 0] [--write NAME ...]

A case writes a file over an older one in a process of its own, where files may grow to a random part of its size only (as a
disk that fills up), where the folder may not be written to (as another user, if this one is root), or where the folder has
gone. The write must succeed with all of its content, or fail in one sentence and leave the older file as it was; nothing
half-written may stay beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import resource
import shutil
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cases import is_sentence
from file_subjects import results, untrained_model
from runner import scratch

from aitimestepper import Bodies, FreeFall, Simulation, Snapshots, simulate
from aitimestepper.cli import main as command
from aitimestepper.initial.named import kepler
from aitimestepper.initial.suite_file import save_suite
from aitimestepper.initial.suites import make_suite
from aitimestepper.models import save_model

OLD = b"what was there before"
WAYS = ("full disk", "read-only folder", "vanished folder")
NOBODY = 65534  # user who may write nowhere


class Write(NamedTuple):
    """Something that writes one file."""

    name: str
    file: str
    act: Callable[[Path], object]  # writes that file, over an older one
    needs: str = ""
    grows: bool = False  # written row by row: of a run that met a full disk, the rows before it stay


def _bodies() -> Bodies:
    b = kepler(0.5)
    return Bodies(b.mass, b.position, b.velocity)


def _save_simulation(path: Path) -> None:
    Simulation(_bodies(), criterion=FreeFall(0.05), integrator="leapfrog").steps(30).save(path, overwrite=True)


def _command(*words: str) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        code = command([word.replace("FILE", str(path)) for word in words])
        if code == 2:
            raise SystemExit(2)
        assert code == 0, f"exit code {code}"

    return act


def writes(run: Path) -> list[Write]:
    """Return all kinds of writes; `run` is the file of a simulation to draw."""
    draw = [Write(f"plot {kind}", f"it{kind}", _command("plot", "energy", str(run), "-o", "FILE", "--overwrite"), "matplotlib")
            for kind in (".pdf", ".png", ".svg")]  # fmt: skip
    movie = ("simulate", "--ic", "kepler", "--steps", "20", "--movie", "FILE", "--movie-seconds", "0.5", "--quiet")
    suite = make_suite(("kepler",), "test", 2, 2)
    given = {"t_end": 9.0, "criterion": FreeFall(0.05), "integrator": "leapfrog", "output_steps": 1, "overwrite": True}
    return [
        Write("Simulation.save", "it.h5", _save_simulation),
        Write("simulate, output", "it.h5", lambda path: simulate(_bodies(), output=path, **given), grows=True),
        Write("report, page", "it.html", _command("report", str(run), "-o", "FILE", "--overwrite", "--quiet")),
        *draw,
        Write("movie", "it.mp4", _command(*movie), "imageio_ffmpeg"),
        Write("results of a study", "it.json.gz", lambda path: results().save(path)),
        Write("model", "it.npz", lambda path: save_model(path, untrained_model())),
        Write("suite", "it.h5", lambda path: save_suite(suite, path)),
    ]


class Found(NamedTuple):
    """What a write left behind."""

    kind: str  # written, refused, or what is wrong
    words: str = ""


def attempt(write: Write, way: str, limit: int, folder: Path) -> Found:
    """Write in a fork under a condition, and return what came of it."""
    here = folder / "here"
    here.mkdir(parents=True)
    (here / write.file).write_bytes(OLD)
    reader, writer = os.pipe()  # a file could not grow, either
    if (pid := os.fork()) == 0:
        _in_child(write, way, limit, here, writer)
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as pipe:
        words = pipe.read().strip()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = sorted(path.name for path in here.iterdir()) if here.is_dir() else []
    content = (here / write.file).read_bytes() if (here / write.file).is_file() else None
    if any(name != write.file for name in left):
        return Found("leftover", f"{left}")
    if code == 0:
        return Found("written") if content and content != OLD else Found("nothing written", words)
    if code != 2:
        return Found("traceback" if code == 1 else "crash", f"exit code {code}: {words[-500:]}")
    lines = [line for line in words.splitlines() if "warning:" not in line]
    if len(lines) != 1 or not is_sentence(lines[0]):
        return Found("no sentence", words[-300:])
    if content != OLD and way != "vanished folder" and not (write.grows and _is_readable(here / write.file)):
        return Found("older file changed", f"{words}; {content[:40] if content else content!r}")
    return Found("refused", lines[0])


def _is_readable(path: Path) -> bool:
    with Snapshots(path) as s:
        return len(s) >= 0 and len(s.status) == 1


def _in_child(write: Write, way: str, limit: int, here: Path, log: int) -> None:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(log, 2)
        warnings.simplefilter("ignore")
        os.chdir(here)
        if way == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        elif way == "read-only folder":
            here.chmod(0o555)
            (here / write.file).chmod(0o444)
            if os.getuid() == 0:
                os.setuid(NOBODY)
        else:
            shutil.rmtree(here)
        write.act(here / write.file)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except ValueError as error:  # of Python: UserError
        print(str(error) if type(error).__module__.startswith("aitimestepper") else traceback.format_exc(), file=sys.stderr)
        code = 2 if type(error).__module__.startswith("aitimestepper") else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def campaign(cases: int, seed: int, chosen: list[str] | None) -> list[tuple[str, str, Found]]:
    """Return all that came of writes of every kind in every way: name, way, outcome."""
    folder, found = scratch(), list[tuple[str, str, Found]]()
    folder.chmod(0o755)
    try:
        run = folder / "drawn.h5"
        simulate(_bodies(), output=run, t_end=6.0, criterion=FreeFall(0.05), integrator="leapfrog", output_steps=1)
        for write in writes(run):
            if (chosen and not any(write.name.startswith(c) for c in chosen)) or (write.needs and not _has(write.needs)):
                continue
            (folder / "whole").mkdir()
            with contextlib.redirect_stdout(open(os.devnull, "w")):
                write.act(folder / "whole" / write.file)
            size = (folder / "whole" / write.file).stat().st_size
            shutil.rmtree(folder / "whole")
            rng = np.random.default_rng([seed, size])
            for k in range(cases):
                way = WAYS[0 if k >= len(WAYS) else k]
                outcome = attempt(write, way, int(rng.integers(0, size)), folder / "case")
                found.append((write.name, way, outcome))
                shutil.rmtree(folder / "case")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def main() -> int:
    """Print a table of what came of all writes, and return 1 if one of them went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="of each kind of write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", nargs="+", metavar="NAME", help="only writes whose names begin so")
    given = parser.parse_args()
    found = campaign(given.cases, given.seed, given.write)
    for (name, way, kind), count in Counter((name, way, one.kind) for name, way, one in found).items():
        print(f"{name:20} {way:18} {kind:18} {count:6}")
    wrong = [one for one in found if one[2].kind not in ("written", "refused")]
    for name, way, outcome in wrong[:10]:
        print(f"{name}, {way}: {outcome.kind}: {outcome.words}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
