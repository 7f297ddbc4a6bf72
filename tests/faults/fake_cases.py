"""Cases that do all that no case may do, run by the campaigns of numbers; as a script: prints what came of each."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "diagnostics/faults"))

from isolated import WrongError, verdicts

from aitimestepper.errors import UserError


def refuse() -> str:
    raise UserError("this cannot be computed; choose other units.")


def no_words() -> str:
    raise UserError("")


def wrong() -> str:
    raise WrongError("an energy error that is none")


def fail() -> str:
    return {}["nothing"]


def loop() -> str:
    while True:
        pass


def crash() -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return "alive"


CASES: list[tuple[str, Callable[[], str]]] = [
    ("ok", lambda: "ok"),
    ("refused", refuse),
    ("traceback", no_words),
    ("wrong", wrong),
    ("crash", crash),
    ("ok", lambda: "ok"),
    ("hang", loop),
    ("traceback", fail),
    ("crash", lambda: os._exit(3)),
    ("ok", lambda: "ok"),
]

if __name__ == "__main__":
    found = verdicts(lambda number: CASES[number][1](), range(len(CASES)), 2, 1.0)
    print(json.dumps({verdict.number: verdict.kind for verdict in found}))
