"""Compile the engine in some of its forms, for the processes that run tests: `python tests/engines.py lane lanes`.

`lane` is that of one system, `lanes` that of several side by side, `many` that of many bodies and of methods without lanes.
"""

import sys

from aitimestepper import Constant, simulate
from aitimestepper.initial.named import kepler
from aitimestepper.initial.suites import make_suite

for form in sys.argv[1:]:
    start = {"lane": kepler(0.5), "lanes": make_suite(("kepler",), "train", 2).batch()[0], "many": kepler(0.5)}[form]
    simulate(start, steps=1, criterion=Constant(0.01), integrator="hermite4" if form == "many" else "leapfrog")
