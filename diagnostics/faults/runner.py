"""Cases in processes of their own, with limits on time and memory.

A case is a fork of a process that has everything imported and compiled. It damages a copy of a good file in a folder of its
own, and reads it in every way. What the readers answer comes through a pipe; crashes, hangs and changed files are seen from
outside.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import selectors
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cases import KINDS, PACKAGE, Case, Good, Outcome, changed_files, run_case

LOG = "fault.log"


class Limits(NamedTuple):
    """What a case may use."""

    seconds: float = 5.0
    memory: int = 3 << 30  # bytes beyond those that the process has when it begins
    file: int = 1 << 28  # bytes of a file that it writes


@dataclass
class _Child:
    """A case that runs."""

    case: Case
    good: Good
    folder: Path
    pid: int
    pipe: int
    deadline: float
    tries: int
    said: bytearray = field(default_factory=bytearray)
    overdue: bool = False


def scratch() -> Path:
    """Return a new folder, in memory where that is possible."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="faults-", dir=memory if os.access(memory, os.W_OK) else None))


def outcomes(
    cases: Iterable[Case], goods: dict[str, Good], seed: int, workers: int, limits: Limits | None = None
) -> Iterator[Outcome]:
    """Run all cases, `workers` at a time, and yield what came of each. A hang is one only if it happens twice."""
    limits, waiting, again = limits or Limits(), ((case, 1) for case in cases), list[tuple[Case, int]]()
    running: dict[int, _Child] = {}
    try:
        with selectors.DefaultSelector() as selector:
            while True:
                while len(running) < workers and (todo := again.pop() if again else next(waiting, None)) is not None:
                    child = _start(*todo, goods[todo[0].subject], seed, limits)
                    running[child.pipe] = child
                    selector.register(child.pipe, selectors.EVENT_READ)
                if not running:
                    return
                for child in _ended(selector, running):
                    selector.unregister(child.pipe)
                    del running[child.pipe]
                    outcome = _conclude(child)
                    if outcome.kind == "hang" and child.tries == 1:
                        again.append((child.case, 2))
                    else:
                        yield outcome
    finally:
        for child in running.values():
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            shutil.rmtree(child.folder, ignore_errors=True)


def _ended(selector: selectors.BaseSelector, running: dict[int, _Child]) -> list[_Child]:
    """Wait for the next event, and return the cases whose pipe was closed; those beyond their time are killed."""
    first = min(child.deadline for child in running.values())
    found = []
    for key, _ in selector.select(max(0.0, first - time.monotonic())):
        child, data = running[key.fd], os.read(key.fd, 1 << 16)
        child.said += data
        if not data:
            found.append(child)
    for child in running.values():
        if child not in found and not child.overdue and time.monotonic() > child.deadline:
            child.overdue, child.deadline = True, child.deadline + 3600.0
            os.kill(child.pid, signal.SIGKILL)
    return found


def _start(case: Case, tries: int, good: Good, seed: int, limits: Limits) -> _Child:
    folder = scratch()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            _limit(folder, limits)
            with open(writer, "w", encoding="utf-8") as pipe:
                run_case(case, good, seed, folder, lambda answer: print(json.dumps(answer), file=pipe, flush=True))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    return _Child(case, good, folder, pid, reader, time.monotonic() + limits.seconds, tries)


def _limit(folder: Path, limits: Limits) -> None:
    """Set the limits of this process, let it say where it crashed or hung, and let nothing else be heard of it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = {resource.RLIMIT_AS: used + limits.memory, resource.RLIMIT_FSIZE: limits.file, resource.RLIMIT_CORE: 0}
    for what, limit in most.items():
        resource.setrlimit(what, (limit, limit))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    log = open(folder / LOG, "w")  # noqa: SIM115  open until the process ends
    faulthandler.enable(log)
    faulthandler.dump_traceback_later(0.9 * limits.seconds, file=log)


def _conclude(child: _Child) -> Outcome:
    """Return the worst of what a case said and of what is seen from outside, and remove its folder."""
    os.close(child.pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    answers = [json.loads(line) for line in child.said.decode(errors="replace").splitlines() if line.endswith("}")]
    about = {key: answer[key] for answer in answers for key in ("damage", "details") if key in answer}
    verdicts = [answer for answer in answers if "kind" in answer]
    names, place = list(child.good.subject.readings_of(child.case.number)), _place(child.folder / LOG)
    reading = names[min(len(verdicts), len(names) - 1)] if "details" in about else "while it was damaged"
    if child.overdue:
        verdicts.append({"reading": reading, "kind": "hang", "words": "", "where": place})
    elif code != 0:
        words = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        verdicts.append({"reading": reading, "kind": "crash", "words": words, "where": place})
    if about and (touched := changed_files(child.good, child.folder)):
        verdicts.append({"reading": reading, "kind": "canary", "words": f"{touched} changed", "where": place})
    shutil.rmtree(child.folder, ignore_errors=True)
    worst = max(verdicts, key=lambda answer: KINDS.index(answer["kind"]))
    three = worst["reading"], worst["words"], worst["where"]
    return Outcome(child.case, worst["kind"], about.get("damage", ""), about.get("details", ""), *three)


def _place(log: Path) -> str:
    """Return the last line of the package in what `faulthandler` wrote, and the very last one."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()] if log.is_file() else []
    lines = [line for line in lines if line.startswith("File ")]
    mine = [line for line in lines if PACKAGE in line]
    return " > ".join(dict.fromkeys(line.rpartition(os.sep)[2].replace('"', "") for line in [*mine[:1], *lines[:1]]))
