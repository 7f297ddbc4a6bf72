"""What a compiled run is told: one plan for all systems, and for each system the places of its numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

COMPOSITION, HERMITE, LOGH, RADAU = range(4)
PLAIN, HUAYNO, HMM = range(3)
LIMITED, SYMMETRIZED = range(2)
NO_OUTPUT, EVERY_TIME, EVERY_STEPS = range(3)
# plan.which[...]: the kinds of wrappers (LIMITED, SYMMETRIZED; inner first) stand at the end
METHOD, STAGES, KIND, BASE, TRIALS, WITH_SUMS, THREADS, OUTPUT, WRAP_COUNT, WRAPS = range(10)
# plan.how[...]: then 17 places for the fractions of a composition, then two numbers for each wrapper
GUARD, OUTPUT_EVERY, UNUSED, FRACTIONS = range(4)
WRAP_NUMBERS = FRACTIONS + 17
# a row of output: time, dt, energy, error, steps, then positions and velocities, axis after axis
ROW_TIME, ROW_DT, ROW_ENERGY, ROW_ERROR, ROW_STEPS, ROW_BODIES = range(6)


class Plan(NamedTuple):
    """What all systems of a run share."""

    which: Any  # whole numbers, as named above; STAGES: of Hermite, how often it corrects; TRIALS: iterations of HMM
    how: Any  # GUARD: largest change of the relative energy error in a step, 0: any


class Store(NamedTuple):
    """All systems of a run, one row each."""

    bodies: Any  # (B,) number of bodies
    system: Any  # (B, SYSTEMS)
    rule: Any  # (B, RULE_NUMBERS)
    states: Any  # (B, ...) see layout
    real: Any  # (B, REALS)
    count: Any  # (B, COUNTS)
    memory: Any  # (B, W) what wrappers remember
    window: Any  # (B, ...) what a learned step remembers
    radau: Any  # (B, ...) what the Gauss-Radau method remembers
    rows: Any  # (B, R, ROW_BODIES + 6 N) output


class Own(NamedTuple):
    """Where the numbers of one system lie."""

    real: Any
    count: Any
    system: Any
    rule: Any
    memory: Any
    window: Any
    radau: Any
