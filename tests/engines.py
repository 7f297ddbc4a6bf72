"""Compile or load the engine in some of its forms, for processes that run tests: `python tests/engines.py lane lanes`.

`lane` is that of one system, `lanes` that of several side by side, `many` that of many bodies and of methods without lanes.
"""

import sys
from collections.abc import Iterable

from aitimestepper import Constant, simulate
from aitimestepper.initial.named import kepler
from aitimestepper.initial.suites import make_suite

FORMS = ("lane", "lanes", "many")


def load(forms: Iterable[str] = FORMS) -> None:
    """Make a step with each form."""
    for form in forms:
        start = make_suite(("kepler",), "train", 2).batch()[0] if form == "lanes" else kepler(0.5)
        integrator = "hermite4" if form == "many" else "leapfrog"
        simulate(start, steps=1, criterion=Constant(0.01), integrator=integrator, threads=1)


if __name__ == "__main__":
    load(sys.argv[1:])
