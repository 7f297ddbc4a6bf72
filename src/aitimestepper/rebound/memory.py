"""The memory of our integrators in a simulation of REBOUND, in words of eight bytes. This module does not use numba.

It is one block. The first `BASE` words belong to REBOUND's integrator in the modes that keep it: its own memory lies at the
beginning, where REBOUND looks for it. The words named here follow. Those with a name in `SCALARS`, and the arrays, are in
REBOUND's archives; the others are found anew by every process, and are zero at first.
"""

from __future__ import annotations

import zlib

from ..simulate.kernels import plan

# It changes whenever an archive written before could no longer be continued: with the version of this memory, and with what the
# numbers of a plan mean to the kernels.
_VERSION = 1
FORMAT_NUMBER = zlib.crc32(repr((_VERSION, sorted((k, v) for k, v in vars(plan).items() if type(v) is int))).encode())
BASE = 64
SPLITTING, LEAPFROG, WHFAST, IAS15 = range(4)  # KIND
KEPT = {"leapfrog": LEAPFROG, "whfast": WHFAST, "ias15": IAS15}
NAMES = ("aitimestepper", "aitimestepper_leapfrog", "aitimestepper_whfast", "aitimestepper_ias15")  # by KIND

(
    FORMAT,
    BODIES,  # number of particles that the memory of the criterion is about
    ANCHORED,  # whether the particles are aside of the run, at an output time; the run goes on from the anchor
    PRINT,  # fingerprint of the particles as the last step left them
    NATURAL,  # the step that the criterion chose, from the anchor where there is one; its sign is the direction of time
    ANCHOR_TIME,
    CHANGE,  # of the energy since the start, as the criterion saw it last
    LAST_DONE,  # last step of IAS15
) = range(8)
# arrays: a word for the length, then one for the address; lengths are in numbers of eight bytes
INTS, FLOATS, RULE, SHAPE, NET, REAL, MEMORY, ANCHOR = range(8, 24, 2)
(
    KIND,
    SETTLED,  # whether nobody but REBOUND can have touched the particles since the last step
    PRINTED,  # whether PRINT is that of the particles
    STEP_INDEX,  # steps done before the last step, plus 1
    CHECKED,  # whether the arrays were found to fit each other
    ONLY_CHOOSE,  # whether a call chooses the next step and makes none
    SPACE,  # address of the numbers of the criterion's bodies, and for how many bodies
    SPACE_BODIES,
    NET_SPACE,
) = range(24, 33)
WORDS = 40

SCALARS = {
    "format": FORMAT,
    "bodies": BODIES,
    "anchored": ANCHORED,
    "fingerprint": PRINT,
    "natural_dt": NATURAL,
    "anchor_time": ANCHOR_TIME,
    "energy_change": CHANGE,
    "last_done": LAST_DONE,
}
NUMBERS = ("natural_dt", "anchor_time", "energy_change", "last_done")  # those that are floating-point
ARRAYS = {
    "ints": INTS,
    "floats": FLOATS,
    "rule": RULE,
    "shape": SHAPE,
    "net": NET,
    "real": REAL,
    "memory": MEMORY,
    "anchor": ANCHOR,
}
