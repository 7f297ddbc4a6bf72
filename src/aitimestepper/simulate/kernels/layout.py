"""Layout of the arrays that a compiled run works on: one row of numbers for each system, with the places named here.

One array holds one system: a few numbers about it, three blocks, its masses, and scratch space. It is one array because a
call passes an array as seven words, too much for a step of two bodies (seven arrays: 370 ns a step, one: ~30 ns).

A block holds one state as six vectors of `3 n` numbers: position, velocity, the rounding errors of both, acceleration and jerk.
Each is stored axis after axis, so that a loop over bodies reads neighbouring numbers. Bodies in the plane have a third axis of
zeros. A run has two blocks for the states before and after a step, and a third one as scratch space for trial steps.
"""

from __future__ import annotations

import numpy as np

U0, U1, U2, U3 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
# Up to this number of bodies a loop keeps its order, so that systems can run side by side with the bits of single runs.
# Above it a loop over the bodies of one system is vectorized: single runs of 13 bodies are faster so (benchmarks/engine.py).
FEW = 12

# vectors of a block
POSITION, VELOCITY, POSITION_COMPENSATION, VELOCITY_COMPENSATION, ACCELERATION, JERK = (np.uint64(k) for k in range(6))
VECTORS = 6

# real[b, ...]: floating-point numbers about a system, besides its bodies
(
    TIME,
    TIME_COMPENSATION,
    ENERGY_START,
    ENERGY_SCALE,  # denominator of relative energy errors; see `system.energy_scale`
    POTENTIAL,
    KINETIC,
    WORK,
    ENERGY,
    ERROR,
    MAX_ERROR,
    DT_MIN,
    DT_MAX,
    DT_LAST,
    CLOSEST,
    CLOSEST_TIME,
    RATE2_SUM,
    RATE4_SUM,
    RATE8_SUM,
    BINDING_SUM,
    LOGH_STEP,
    RADAU_DT,  # next step by the rule of the Gauss-Radau method
    EXPECTED,
    TIME_BEFORE,
    POTENTIAL_BEFORE,
    WORK_BEFORE,
    RETRY_DT,  # the shorter step with which the last attempt is repeated; 0: it was accepted
    DUE,  # the next of the output times, if there is a list of them
    PAIR_X,  # six numbers: separation and relative velocity of the nearest pair
) = range(28)
REALS = PAIR_X + 6

# count[b, ...]
(
    STATUS,
    STEPS,
    FORCES,
    REJECTED,
    CLOSEST_I,
    CLOSEST_J,
    PAIR_I,
    PAIR_J,
    ROWS,
    PENDING,
    AT_CEILING,
    OUT_OF_RANGE,
    CURRENT,
    TRIES,  # attempts at the present step that were rejected
    NOTED,  # states around steps in which events may be, in this turn
) = range(15)
COUNTS = 15

# s[...]: the head of a system's array; then 3 blocks and the vectors below
(
    SOFTENING2,
    TIME_SIGN,  # 1, or -1 in a run backward in time: the engine integrates the motion with all velocities reversed, from -t on
    FIELD_TERMS,  # number of fields and forces besides gravity
    FIELD_WORKS,  # 1.0: some of them may do work that no potential accounts for
    FIELD_SPEEDS,  # 1.0: some of them depend on velocities
    FIELD_OUTSIDE,  # 1.0: some of them act from outside
) = range(6)
# then the terms, each a kind and seven numbers. Kinds:
NO_FIELD, FIXED, CIRCULAR, OWN_FIELD, OWN_MOVING, VELOCITY_FORCE, PLUMMER, LOGARITHMIC, MIYAMOTO_NAGAI, NFW = map(
    float, range(10)
)
UNIFORM, OBLATENESS, PRECESSION = 10.0, 11.0, 12.0
BETWEEN_KINDS = (OBLATENESS, PRECESSION)
OWN_KINDS = (OWN_FIELD, OWN_MOVING, VELOCITY_FORCE)
FIRST_TERM, TERM, MOST_TERMS = 8, 8, 4
HEAD = FIRST_TERM + MOST_TERMS * TERM
# numbers of a term after its kind, from its first: of a tide G M, the place or the circle of its source
FIELD_GM, FIELD_X, FIELD_Y, FIELD_Z, FIELD_RADIUS, FIELD_OMEGA, FIELD_PHASE = (np.uint64(k) for k in range(1, 8))
FIELD_ADDRESS = FIELD_GM  # of a user's own: the bits of its address, an integer
# of a halo G M or v0^2, then its shape, and its centre; of a force between bodies the number of its body, strength, and axis
FIELD_A, FIELD_B, FIELD_C, FIELD_CENTRE_X, FIELD_CENTRE_Y, FIELD_CENTRE_Z = (np.uint64(k) for k in range(2, 8))
FIELD_BODY, FIELD_STRENGTH = np.uint64(1), np.uint64(2)
FIELD_AXIS_X, FIELD_AXIS_Y, FIELD_AXIS_Z = (np.uint64(k) for k in range(3, 6))
BLOCKS = 3
# vectors of n numbers after the blocks: masses, G times masses, two vectors of row sums over pairs, twelve of scratch space
MASS, GM, ROW_SUM, TRIAL_ROW_SUM, SCRATCH, PARTIAL = (np.uint64(BLOCKS * 3 * VECTORS + k) for k in (0, 1, 2, 3, 4, 16))

# status of a system; `session.STATUS_WORDS` has the words for these
RUNNING, OK, MAX_STEPS, NON_FINITE, STUCK = range(5)
IDLE = 5  # of a lane without a system
PAUSED = 6  # until an event that may have been is looked for; never between turns
GOES_ON = (RUNNING, OK, MAX_STEPS)  # a system that broke off stays where it is

# system[b, ...]: numbers that do not change during a run. The last step is cut to end at T_END; a run also ends with the first
# step that reaches STOP.
T_END, STEP_LIMIT, OUTPUT_START, STOP = range(4)
SYSTEMS = 4
