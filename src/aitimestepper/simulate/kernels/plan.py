"""The data of a compiled run: one plan for all systems, and for each system its arrays. This module does not use numba."""

from __future__ import annotations

from typing import Any, NamedTuple

SPLITTING, HERMITE, LOGH, RADAU = range(4)  # as in integrators.py
PLAIN, HUAYNO, HMM = range(3)
LIMITED, SYMMETRIZED = range(2)
# plan.ints[KIND]
CONSTANT, FREEFALL, HUTMAKINO, BOEKHOLT, TIDAL, AARSETH, PRS23, ENERGYBUDGET, LEARNED, LAST_TERM, OWN_CRITERION = range(11)
NO_OUTPUT, EVERY_TIME, EVERY_STEPS = range(3)
# plan.ints[...]: the kinds of wrappers (LIMITED, SYMMETRIZED; innermost first) are at the end
METHOD, STAGES, KIND, BASE, TRIALS, WITH_SUMS, THREADS, OUTPUT, ADDRESS, WRAP_COUNT, WRAPS = range(11)
MOST_STAGES = 19  # drifts of a splitting
# plan.floats[...]: then the kicks and the drifts of a splitting, then two numbers for each wrapper
GUARD, OUTPUT_EVERY, KICKS = range(3)
DRIFTS = KICKS + MOST_STAGES + 1
WRAP_NUMBERS = DRIFTS + MOST_STAGES
WRAP_MEMORY = 3  # numbers for each wrapper: the last step taken, the wrapped step Q at its start, and Q one step before
# a row of output: time, dt, energy, error, steps, then positions and velocities, axis after axis
ROW_TIME, ROW_DT, ROW_ENERGY, ROW_ERROR, ROW_STEPS, ROW_BODIES = range(6)
# rule[b, ...]: eta, tol or dt of the criterion; order of the method; c; for learned steps the logarithms of the first two
VALUE, ORDER, BUDGET_C, LOG_VALUE, LOG_ORDER = range(5)
EPSILON = ORDER  # for the rules of the Gauss-Radau method
RULE_NUMBERS = 5
# net.shape[...]: then the widths of the layers
FEATURES, HISTORY, SLOT, INPUTS, SOFT, FOURIER, LAYERS, ACTIVATION, AXES, SCRATCH_SIZE, WIDTHS = range(11)
BASIC, RICH, TRANSITION, INVARIANT = range(4)
TANH, RELU, GELU, SILU, ELU, SIGMOID = range(6)
# net.numbers[...]: then the scales of a slot, the limits of the inputs, and the weights
CEILING, TIME_UNIT, MIN_DT, LOG_GAIN, LOG_RANGE, SCALES = range(6)


class Plan(NamedTuple):
    """The numbers that all systems of a run share."""

    ints: Any  # integers, as named above; STAGES: for Hermite the number of corrections; TRIALS: iterations of HMM
    floats: Any  # GUARD: largest change of the relative energy error in a step; 0: no limit


class Store(NamedTuple):
    """The arrays of all systems of a run, one row for each system."""

    bodies: Any  # (B,) number of bodies
    system: Any  # (B, SYSTEMS)
    rule: Any  # (B, RULE_NUMBERS)
    states: Any  # (B, ...) see layout
    real: Any  # (B, REALS)
    count: Any  # (B, COUNTS)
    memory: Any  # (B, W) past steps, for the wrappers
    window: Any  # (B, ...) past states, for a learned step
    radau: Any  # (B, ...) polynomials of the Gauss-Radau method
    rows: Any  # (B, R, ROW_BODIES + 6 N) output


class Net(NamedTuple):
    """A network and the description of its inputs, in the layout that `program` makes."""

    shape: Any  # integers, as named above; widths of the layers at the end
    # as named above; scales of a slot; limits of the inputs; weights: frequencies, then weight and bias of each layer, of the
    # step, of the error
    numbers: Any
    scratch: Any  # space for the inputs and two layers


class SystemRow(NamedTuple):
    """Pointers to the numbers of one system, as in `Store`."""

    real: Any
    count: Any
    system: Any
    rule: Any
    memory: Any
    window: Any
    radau: Any
