"""The data of a compiled run: one plan for all systems, and for each system its arrays. This module does not use numba."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kinds import Counts, Numbers

Floats = NDArray[np.float64]  # kernels pass pointers on, which are indexed in the same way
Integers = NDArray[np.int64]

SPLITTING, HERMITE, LOGH, RADAU = range(4)  # as in integrators.py
PLAIN, HUAYNO, HMM = range(3)
LIMITED, SYMMETRIZED = range(2)
# plan.ints[KIND]
CONSTANT, FREEFALL, HUTMAKINO, BOEKHOLT, TIDAL, AARSETH, PRS23, ENERGYBUDGET, LEARNED, LAST_TERM, OWN_CRITERION = range(11)
AGENT = 11  # a function of the user's own wrote the step of every system into its rule
NO_OUTPUT, EVERY_TIME, EVERY_STEPS, AT_TIMES = range(4)
# plan.ints[...]: the kinds of wrappers (LIMITED, SYMMETRIZED; innermost first) are at the end
(
    METHOD,
    STAGES,
    KIND,
    BASE,
    TRIALS,
    WITH_SUMS,
    THREADS,
    OUTPUT,
    ADDRESS,
    TIMES,  # where in `floats` the output times are
    TIME_COUNT,
    EVENTS,  # where in `ints` the events are, at the end; 0: none are looked for
    WRAP_COUNT,
    WRAPS,
) = range(14)
# plan.ints[plan.ints[EVENTS] + ...]: number of events; bodies of which `Store.events` has a number for each event; where those
# of the events are in `floats`; then of each event its kind, and 1 if the run of its system may end there
EVENT_COUNT, EVENT_BODIES, EVENT_NUMBERS, EVENT_KINDS = range(4)
# the kinds of events: any, which are looked for after every step; encounter, collision, escape, crossing
AFTER_EVERY_STEP, MEET, TOUCH, LEAVE, CROSS = range(5)
EVENT_SIZE = 5  # numbers of an event: its distance; of a crossing x, y, z, offset, and 1 if both directions count
FIRST_LOOK, LOOKS = 16, 16  # steps until a look at whether the outcome is decided; looks in each doubling of many steps
MOST_STAGES = 19  # drifts of a splitting
# plan.floats[...]: then kicks, drifts and displacements of a splitting, then two numbers for each wrapper
GUARD, OUTPUT_EVERY, TIDE, KICKS = range(4)
DRIFTS = KICKS + MOST_STAGES + 1
DISPLACEMENTS = DRIFTS + MOST_STAGES  # one for each kick
WRAP_NUMBERS = DISPLACEMENTS + MOST_STAGES + 1
WRAP_MEMORY = 3  # numbers for each wrapper: the last step taken, the wrapped step Q at its start, and Q one step before
# a row of output: time, dt, energy, error, steps, then positions and velocities, axis after axis
ROW_TIME, ROW_DT, ROW_ENERGY, ROW_ERROR, ROW_STEPS, ROW_BODIES = range(6)
# rule[b, ...]: eta, tol or dt of the criterion; order of the method; c; for learned steps the logarithm of the first
VALUE, ORDER, BUDGET_C, LOG_VALUE = range(4)
EPSILON = ORDER  # for the rules of the Gauss-Radau method
RULE_NUMBERS = 4
# net.shape[...]: then the widths of the layers
FEATURES, HISTORY, SLOT, INPUTS, SOFT, FOURIER, LAYERS, ACTIVATION, AXES, SCRATCH_SIZE, WIDTHS = range(11)
BASIC, RICH, TRANSITION, INVARIANT = range(4)
TANH, RELU, GELU, SILU, ELU, SIGMOID = range(6)
# net.numbers[...]: then the scales of a slot, the limits of the inputs, and the weights
CEILING, TIME_UNIT, MIN_DT, LOG_GAIN, LOG_RANGE, SCALES = range(6)


class Plan(NamedTuple):
    """The numbers that all systems of a run share."""

    ints: Integers  # as named above; STAGES: drifts of a splitting, or corrections of Hermite; TRIALS: iterations of HMM
    floats: Floats  # GUARD: largest change of the relative energy error in a step, 0: no limit; TIDE: of `Decided`


class Store(NamedTuple):
    """The arrays of all systems of a run, one row for each system; or of those side by side, one column for each lane."""

    bodies: Integers  # (B,) number of bodies
    system: Floats  # (B, SYSTEMS)
    rule: Floats  # (B, RULE_NUMBERS)
    states: Floats  # (B, ...) see layout
    real: Floats  # (B, REALS)
    count: Integers  # (B, COUNTS)
    memory: Floats  # (B, W) past steps, for the wrappers
    window: Floats  # (B, ...) past states, for a learned step
    radau: Floats  # (B, ...) polynomials of the Gauss-Radau method
    rows: Floats  # (B, R, ROW_BODIES + 6 N) output
    noted: Floats  # (B, R, ROW_BODIES + 6 N) states around the steps in which events may be
    events: Floats  # (B, E N) a number of each body for each event: radius, mass of the others, 1 if it counts
    look_until: Floats  # (B,) steps up to which a system pauses at its limit to be looked at; 0: it only ends there


class Net(NamedTuple):
    """A network and the description of its inputs, in the layout that `program` makes."""

    shape: Integers  # as named above; widths of the layers at the end
    # as named above; scales of a slot; limits of the inputs; weights: frequencies, then weight and bias of each layer, of the
    # step, of the error
    numbers: Floats
    scratch: Floats  # space for the inputs and two layers


class Registers(NamedTuple):
    """The arrays of systems side by side: every number of the layout `width` times, one for each lane."""

    states: Floats  # (..., width)
    numbers: Floats  # (..., width) real, memory and window
    counts: Integers  # (COUNTS, width)
    constants: Floats  # (SYSTEMS + RULE_NUMBERS, width)
    radau: Floats  # (..., width)
    events: Floats  # (..., width)
    copies: Floats  # (..., width) of the numbers
    count_copies: Integers  # (COUNTS, width)
    lanes: Integers  # (2, width): the system in each lane, -1 for none; the number of steps at which it has used its budget


class SystemRow(NamedTuple):
    """Pointers to the numbers of one system, as in `Store`, or of systems side by side."""

    real: Numbers
    count: Counts
    system: Numbers
    rule: Numbers
    memory: Numbers
    window: Numbers
    radau: Numbers
    events: Numbers
