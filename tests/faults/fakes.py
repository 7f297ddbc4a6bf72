"""Kinds of files whose readers do all that no reader may do, run by the campaign; as a script: prints what came of each."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "diagnostics/faults"))

from cases import Case, Subject, prepare
from contents import PATTERN, Contents, digest_of
from damages import FLIPS, parts_of
from runner import Limits, outcomes, scratch

from aitimestepper.errors import UserError

CONTENT, NEIGHBOUR = b"0123456789" * 20, b"untouched"
MEMORY, FILE = 1 << 28, 1 << 20


def make(folder: Path) -> tuple[Path, ...]:
    (folder / "neighbour").write_bytes(NEIGHBOUR)
    (folder / "file").write_bytes(CONTENT)
    return (folder / "file",)


def reading(on_damage: Callable[[Path], object]) -> Callable[[Path], Contents]:
    """A reader that is right about a good file, and does something with a damaged one."""

    def read(path: Path) -> Contents:
        if path.read_bytes() == CONTENT:
            return Contents(digest_of(CONTENT))
        found = on_damage(path)
        return Contents(digest_of(CONTENT if found is None else found))

    return read


def refuse(words: str) -> Callable[[Path], object]:
    def act(path: Path) -> object:
        raise UserError(words)

    return act


def fail(path: Path) -> object:
    return {}["nothing"]


def loop(path: Path) -> object:
    while True:
        pass


def wait(path: Path) -> object:
    os.mkfifo(path.with_name("pipe"))
    return path.with_name("pipe").read_bytes()


def crash(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(path: Path) -> None:
    os._exit(3)


FAKES: dict[str, Callable[[Path], object]] = {
    "same": lambda path: None,
    "changed": lambda path: path.read_bytes(),
    "refused": refuse("the file is damaged; get it again."),
    "traceback: an exception": fail,
    "traceback: no words": refuse(""),
    "traceback: memory": lambda path: bytearray(4 * MEMORY),
    "traceback: disk": lambda path: path.with_name("more").write_bytes(bytes(2 * FILE)),
    "traceback: exit": lambda path: sys.exit(0),
    "hang: a loop": loop,
    "hang: a pipe": wait,
    "crash: a signal": crash,
    "crash: an exit": leave,
    "canary: changed": lambda path: path.with_name("neighbour").write_bytes(b"other") and None,
    "canary: removed": lambda path: path.with_name("neighbour").unlink(),
    "canary: the file itself": lambda path: path.write_bytes(CONTENT) and None,
    "canary: its bytes": lambda path: b"..." + PATTERN + b"...",
}


def main() -> None:
    folder, found = scratch(), {}
    for k, (name, act) in enumerate(FAKES.items()):
        subject = Subject(name, make, {"read": reading(act)}, (FLIPS,))
        good = {name: prepare(subject, folder / str(k), parts_of)}
        limits = Limits(seconds=0.5, memory=MEMORY, file=FILE)
        found[name] = [outcome._asdict() for outcome in outcomes([Case(name, n) for n in range(3)], good, 0, 2, limits)]
    shutil.rmtree(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
