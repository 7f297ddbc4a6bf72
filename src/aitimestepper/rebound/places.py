"""Where things lie in REBOUND's memory: the offsets that the installed version of REBOUND declares.

They are compiled into the callbacks, whose cache on disk is stamped with them.
"""

from __future__ import annotations

import ctypes

import rebound


def _of(*names: str) -> tuple[int, ...]:
    """Return the offsets of fields of a simulation, in bytes."""
    return tuple(int(getattr(rebound.Simulation, name).offset) for name in names)


# ---- a simulation -----------------------------------------------------------------------------------------------------------
T, G, SOFTENING, DT, DT_LAST_DONE, STEPS_DONE = _of("t", "G", "softening", "dt", "dt_last_done", "steps_done")
N, N_ACTIVE, N_VARIATIONAL, PARTICLES = _of("N", "N_active", "N_var", "_particles")
DID_MODIFY, TEST_PARTICLE_TYPE, STATUS = _of("did_modify_particles", "testparticle_type", "_status")
VELOCITY_DEPENDENT, IGNORED_TERMS, GRAVITY = _of("force_is_velocity_dependent", "gravity_ignore", "_gravity")
EXTRA_FORCES, BEFORE_STEP, AFTER_STEP = _of("_additional_forces", "_pre_timestep_modifications", "_post_timestep_modifications")
HEARTBEAT, COLLISION, BOUNDARY, ARCHIVE = _of("_heartbeat", "_collision", "_boundary", "_simulationarchive_filename")
# values of STATUS: the next step is to end at the time asked for; any other step; the run ends with an error
LAST_STEP, RUNNING, ERROR = -2, -1, 1
BASIC, COMPENSATED = 1, 2  # values of GRAVITY
# ---- a particle, in numbers -------------------------------------------------------------------------------------------------
PARTICLE = ctypes.sizeof(rebound.Particle) // 8
X, V, A, M = (int(getattr(rebound.Particle, name).offset) // 8 for name in ("x", "vx", "ax", "m"))


def _in_memory_of(integrator: str, *names: str) -> tuple[int, ...]:
    """Return the offsets of settings or arrays in the memory of one of REBOUND's integrators, in bytes."""
    sim = rebound.Simulation()
    sim.integrator = integrator
    declared = {field.name.decode(): field for field in sim.integrator.callbacks.field_descriptor_list}
    return tuple(int(declared[name].offset) for name in names)


# ---- the integrators that are kept ------------------------------------------------------------------------------------------
SAFE_MODE = _in_memory_of("whfast", "safe_mode")[0]
EPSILON, B, E, B_BEFORE, E_BEFORE = _in_memory_of("ias15", "epsilon", "b", "e", "br", "er")
IAS15_LENGTH = _in_memory_of("ias15", "at")[0] - 8  # of its vectors
SETTINGS = {"leapfrog": 4, "whfast": 24, "ias15": 32}  # bytes of settings at the beginning of their memory

DECLARED = tuple(sorted((name, value) for name, value in globals().items() if name.isupper()))
