"""Numbered cases in processes of their own that may crash or hang: a worker takes one after the other until it ends.

A worker is a fork of a process that has everything imported and compiled. It answers each case with one line through a pipe. Of
one that crashed or took too long the number is known, and another worker goes on with the next case.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import selectors
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from cases import is_sentence, where

from aitimestepper.errors import UserError

BAD = ("wrong", "traceback", "crash", "hang")
MEMORY = 3 << 30  # bytes beyond those that a worker has when it begins


class Verdict(NamedTuple):
    """What came of a case."""

    number: int
    kind: str
    words: str = ""
    where: str = ""


class WrongError(AssertionError):
    """A result that is not what it must be."""


Act = Callable[[int], str]  # does a case, and returns a word for what came of it


def answer(act: Act, number: int) -> Verdict:
    """Return what comes of a case in this process: a word, a refusal in one sentence, or a fault."""
    try:
        return Verdict(number, act(number))
    except UserError as error:
        words = str(error)
        return Verdict(number, "refused" if is_sentence(words) else "traceback", words, where(error))
    except WrongError as error:
        return Verdict(number, "wrong", str(error))
    except Exception as error:
        return Verdict(number, "traceback", f"{type(error).__name__}: {str(error)[:300]}", where(error))


def verdicts(act: Act, numbers: range, workers: int, seconds: float) -> Iterator[Verdict]:
    """Do all cases, `workers` at a time with `seconds` for each, and yield what came of them."""
    parts = [numbers[k::workers] for k in range(workers)]
    with selectors.DefaultSelector() as selector:
        running = [_Worker(act, part, seconds) for part in parts if len(part)]
        for worker in running:
            selector.register(worker.pipe, selectors.EVENT_READ, worker)
        try:
            while selector.get_map():
                ready = [key.data for key, _ in selector.select(0.2)]
                for worker in [key.data for key in selector.get_map().values()]:
                    yield from worker.answers() if worker in ready else ()
                    if not worker.lives:
                        selector.unregister(worker.pipe)
                        yield from worker.bury()
                        if worker.start():
                            selector.register(worker.pipe, selectors.EVENT_READ, worker)
                    elif time.monotonic() > worker.deadline:
                        worker.stop_overdue()
        finally:
            for worker in running:
                worker.end()


class _Worker:
    """A process that does some cases in turn, and is replaced where it ends before its last one."""

    def __init__(self, act: Act, numbers: range, seconds: float) -> None:
        self.act, self.rest, self.seconds = act, list(numbers), seconds
        self.pid = 0
        self.start()

    def start(self) -> bool:
        """Begin with the first case that is left; False: there is none."""
        if not self.rest:
            return False
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  of this object
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            _work(self.act, self.rest, writer, self.log)
        os.close(writer)
        self.pipe, self.lives, self.overdue, self.said = os.fdopen(reader, "rb", buffering=0), True, False, b""
        self.deadline = time.monotonic() + self.seconds
        return True

    def answers(self) -> Iterator[Verdict]:
        """Yield what the process has answered since."""
        data = self.pipe.read(1 << 16)
        self.lives = bool(data)
        *lines, self.said = (self.said + data).split(b"\n")
        for line in lines:
            self.deadline = time.monotonic() + self.seconds
            verdict = Verdict(*json.loads(line))
            self.rest.remove(verdict.number)
            yield verdict

    def bury(self) -> Iterator[Verdict]:
        """Yield what a process left that ended during a case."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pipe.close()
        self.pid = 0
        if self.rest:
            number = self.rest.pop(0)
            words = "" if self.overdue else signal.Signals(-code).name if code < 0 else f"exit code {code}"
            yield Verdict(number, "hang" if self.overdue else "crash", words, _last_place(self.log))
        self.log.close()

    def stop_overdue(self) -> None:
        """Let a process that takes too long say where it is, and kill it."""
        self.overdue = True
        self.deadline += 3600.0
        os.kill(self.pid, signal.SIGALRM)
        time.sleep(0.2)
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill the process if it lives."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def _work(act: Act, numbers: list[int], writer: int, log: IO[str]) -> None:
    """Do cases in this process, which ends with them."""
    code = 1
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.enable(log)
        faulthandler.register(signal.SIGALRM, log)
        with open(writer, "w", encoding="utf-8") as pipe:
            for number in numbers:
                print(json.dumps(answer(act, number)), file=pipe, flush=True)
        code = 0
    except BaseException:
        traceback.print_exc(file=log)
    finally:
        os._exit(code)


def _last_place(log: IO[str]) -> str:
    """Return the last line of the package in what a process wrote at its end."""
    log.seek(0)
    lines = [line.strip() for line in log if line.strip().startswith("File ") and "aitimestepper" in line]
    return lines[0].rpartition(os.sep)[2].replace('"', "") if lines else ""


def quiet_but_strict() -> None:
    """Let every warning that is not meant for users be an error, as a fault of its own."""
    from aitimestepper.errors import SimulationWarning

    warnings.simplefilter("error")
    warnings.simplefilter("ignore", SimulationWarning)
