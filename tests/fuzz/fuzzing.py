"""What random texts and numbers are made of, and how many of them there are."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from aitimestepper.errors import UserError

EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "0"))
LONGEST = 1000  # characters of a sentence
fuzzed = settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

NUMBERS = ("0", "1", "-1", "0.5", "2", "3", "1e-3", "1e400", "nan", "inf", "-inf", "1e308", "5e-324", "9" * 40, "9" * 5000)
ODD = (
    "",
    "x",
    "yes",
    "log",
    "merge",
    "stop",
    "١",
    "1_0",
    "+-1",
    "0x10",
    "a=b",
    ":",
    ",",
    "=",
    "\x00",
    "\ud800",
    "\n",
    "\u2028",
)
WORDS = st.sampled_from([*NUMBERS, *NUMBERS, *ODD]) | st.text(max_size=8) | st.floats().map(str) | st.integers(0, 9).map(str)
FLOATS = st.floats() | st.sampled_from([0.0, 1.0, -1.0, 1e308, 5e-324, 1e-160, 1e160, math.pi, 2.0])


def taken(read: Callable[[], Any]) -> Any:
    """Return what is read, or None where it is refused in one sentence; any other exception or warning is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return read()
        except UserError as error:
            words = str(error)
    assert words.strip(), "no words"
    assert len(words.splitlines()) == 1, words
    assert len(words) < LONGEST, words
    assert words.encode(errors="replace").decode() == words
    return None


@st.composite
def texts(draw: st.DrawFn, names: list[str], keys: list[str]) -> str:
    """Draw something like `name:key=value,key=value`, with anything in any place."""
    name = draw(st.sampled_from(names) | WORDS) if draw(st.booleans()) else draw(st.sampled_from(names))
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        key = draw(st.sampled_from([*keys, *keys, "x", ""]) | WORDS)
        parts.append(f"{key}={draw(WORDS)}" if draw(st.integers(0, 9)) else draw(WORDS))
    return name + draw(st.sampled_from([":", ":", ":", "", "::", " : "])) + ",".join(parts)
