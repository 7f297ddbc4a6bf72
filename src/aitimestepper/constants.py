"""Constants that both forms of the physics share, the compiled one and the one in torch.

The kernels have them compiled in: the stamp of their cache on disk covers this file (simulate/kernels/jit.py).
"""

# A relative energy error is measured against S = max(|E|, ENERGY_FLOOR (K + |U|)): an energy of zero is an ordinary one.
ENERGY_FLOOR = 1e-4
TINY = 2.2250738585072014e-308  # the smallest normal number
NEGLIGIBLE = 1e-20  # positive features that could vanish are raised to this before their logarithm is taken
# Pairs whose squared free-fall rate is below this fraction of the fastest have no weight in the terms of the velocities.
TIGHT = 1.0 / 32.0
# |1 - x/2| of a pair, x = r v^2 / G M, does not count as less than about this: on a parabola the own energy of a pair vanishes.
PARABOLIC = 0.02
MIN_DT = 1e-12  # added to every dt that a network gives, the same everywhere
# Orbits of the tightest pair up to which a network is asked for the same tolerance, whatever the length of the run. Disturbed
# bodies are compared at the same time, and they are late: by a time that grows in proportion to the length of the run, and with
# its square where the disturbance depends on it (planets in resonance). Beyond it the tolerance shrinks with the square, as far
# as for a thousand orbits. With the power 1.5 in hierarchies three of sixteen `kozai` exceeded every tolerance by blanes_moan6.
LONG_RUN, LONGEST_RUN = 40.0, 1000.0
# Largest masses of a light body of a planetary system, over that of its heaviest: of two and more of them, or of a single one
LIGHT, ALONE = 0.02, 1e-4
# Runs of hundreds of orbits are asked for no more than this, and for no more than is wanted: longer steps, near the ceilings,
# are not time-symmetric enough on an eccentric orbit, and the energy drifts. After 1000 orbits of e = 0.9 blanes_moan4 was 10
# times above 1e-4 and 3 times above 1e-3; now it is at 0.03 and 0.01 of them, for 0.9 to 1.25 times the forces
# (diagnostics/thousand_orbits.py).
LONG_TOLERANCES = {"chin4": 1e-3, "blanes_moan4": 1e-5, "blanes_moan6": 1e-6}
MOST_DISTURBED = 12  # largest number of bodies with mass for which that counts; in larger systems no orbit is regular
NEAREST = 1e-3  # smallest pericentre, as a fraction of the present distance, that features resolve
# EnergyBudget's c for each splitting, also the unit of the steps of its network (diagnostics/energy_budget_constant.py)
BUDGET_CONSTANTS = {
    "leapfrog": 0.4,
    "suzuki4": 0.7,
    "chin4": 0.75,
    "blanes_moan4": 2.2,
    "kahan_li6": 0.9,
    "blanes_moan6": 2.0,
    "kahan_li8": 1.0,
}
# Longest step of EnergyBudget in units of the dynamical time of the tightest pairs; and the largest change of ln tau_4 in a
# step of EnergyBudget and of networks. It is less than ln 2 = 0.69, beyond which a symmetrized step of a network falls back to
# the unsymmetrized one (`LearnedStep.symmetrization`).
BUDGET_CEILING = 0.5
MAX_CHANGE = 0.6
# Of outcomes that are decided (decided.py): kinetic over potential energy of two parts; the same with all mass, of more parts;
# their distance in apocentres of a binary.
MARGIN, MUTUAL, NEAR = 1.02, 2.0, 10.0
HUAYNO_PROBE = 1e-3  # of the step: its rate of change is a central difference over twice that time
# ---- of the network
LOG_RANGE = 30.0  # |ln dt| stays below this: 1e-13 ... 1e13 time units, so that exp neither overflows nor vanishes
LOG_GAIN = 4.0  # ln dt = LOG_GAIN x output: at the default learning rate a step of AdamW then changes dt by 1 %, not by 0.3 %
LARGEST = 1e12  # largest |ln dt| before it is limited: its square is finite in float32 too
KNEE = 4.0  # scale on which inputs that are logarithms already are compressed: x / (1 + |x| / KNEE)
