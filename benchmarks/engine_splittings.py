"""The fewest forces that keep a tolerance: the splittings of Chin and of Blanes & Moan against those that the package had."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from aitimestepper.bench.timing import Effort
from aitimestepper.criteria.classical import FreeFall
from aitimestepper.evaluation.calibration import hindsight_forces
from aitimestepper.evaluation.contenders import Contender, Rule
from aitimestepper.evaluation.runs import Systems
from aitimestepper.evaluation.statistics import geometric_mean
from aitimestepper.evaluation.sweep import ParameterSweep, sweep_parameters
from aitimestepper.initial.suites import Suite, make_suite
from measure import Row

TARGET = 0.6
PAIRS = {
    ("chin4", "suzuki4"): (1e-2, 1e-3),
    ("blanes_moan4", "suzuki4"): (1e-3, 1e-5),
    ("blanes_moan6", "kahan_li6"): (1e-5, 1e-7),
}
BUDGET = 400_000  # force evaluations of a run
# In four times the usual steps a sweep begins: a step of six forces may be half an orbit long at a tolerance of 1e-3.
COARSER = 4.0


def swept(suite: Suite, tolerances: tuple[float, ...], integrator: str) -> ParameterSweep:
    """Return runs of all problems with ever smaller eta of a symmetrized free-fall step, down to the smallest tolerance."""
    groups = [np.flatnonzero(suite.family_of == k) for k in range(len(suite.families))]
    slices = [slice(int(rows[0]), int(rows[-1]) + 1) for rows in groups]
    rule = Rule("freefall", lambda s, *_: FreeFall(COARSER * s), lambda _: 1.0)
    contender = Contender(rule, "symmetrized", integrator)
    return sweep_parameters(Systems.of(suite), contender, tolerances, BUDGET, share=1.0, groups=slices)


def forces_in_hindsight(effort: Effort) -> Iterator[Row]:
    """Compare geometric means over the five families of `validation`; eta is the best one for each problem and tolerance.

    A problem that no eta within the budget solves counts with the budget. There is no clock in it: every run gives the same.
    """
    suite = make_suite(split="validation", count=10 if effort.quick else 40)
    for names, tolerances in PAIRS.items():
        new, old = map(functools.partial(swept, suite, tolerances), names)
        for tol in tolerances:
            forces = [geometric_mean(np.minimum(hindsight_forces(sweep, tol), BUDGET)) for sweep in (new, old)]
            what = f"{names[0]} / {names[1]} at {tol:.0e}"
            note = f"{forces[0]:.0f} and {forces[1]:.0f} forces a problem, {len(suite)} problems"
            yield Row("forces in hindsight", what, forces[0] / forces[1], "x", TARGET, False, note)
