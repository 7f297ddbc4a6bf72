"""Choosing the step of a simulation of REBOUND, compiled: the criteria of the package on REBOUND's particles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..simulate.kernels import layout as at
from ..simulate.kernels import plan as kernel
from ..simulate.kernels.choose import base_step, wrapped
from ..simulate.kernels.jit import inlined, strict
from ..simulate.kernels.lanes import absolute, copysign, fma, sqrt
from ..simulate.kernels.pair_sums import self_gravity
from ..simulate.kernels.plan import Net, Plan, SystemRow
from ..simulate.kernels.system import StateEnergies, SystemView, energy_scale, inner_kinetic_energy, kinetic_energy
from . import memory as of
from . import places as reb
from .calls import calloc, halves_at, numbers_at, release, words_at

Words = Any  # a pointer to integers, or to the same memory as numbers
HEAD, BLOCK = np.uint64(at.HEAD), np.uint64(at.HEAD)
# how a step is chosen: after a step of ours; at particles that somebody else changed; backwards in time; for other particles
NEXT, AGAIN, TURNED, RESTART = range(4)


@inlined
def particles_of(r: int) -> Words:
    """Return the particles of a simulation as numbers."""
    return numbers_at(words_at(r + reb.PARTICLES)[0])


@inlined
def heavy_particles(r: int, n: int) -> int:
    """Return how many particles pull on others; test particles of type 0 do not, whatever their mass."""
    active = words_at(r + reb.N_ACTIVE)[0]  # -1: all of them
    return n if active < 0 or active > n or halves_at(r + reb.TEST_PARTICLE_TYPE)[0] != 0 else active


@strict
def _gather(r: int, n: int, s: Any) -> None:
    """Write positions, velocities and masses of the particles in the layout of the kernels; other numbers stay."""
    p, G, soft, heavy = particles_of(r), numbers_at(r + reb.G)[0], numbers_at(r + reb.SOFTENING)[0], heavy_particles(r, n)
    x, v = at.HEAD, at.HEAD + 3 * n
    mass, gm = at.HEAD + int(at.MASS) * n, at.HEAD + int(at.GM) * n
    s[at.SOFTENING2] = soft * soft
    for i in range(n):
        q = i * reb.PARTICLE
        for axis in range(3):
            s[x + axis * n + i], s[v + axis * n + i] = p[q + reb.X + axis], p[q + reb.V + axis]
        m = p[q + reb.M] if i < heavy else 0.0
        s[mass + i], s[gm + i] = m, G * m


@inlined
def _rate4_of(p: Words, a: int, b: int, mass: float, soft2: float) -> float:
    """Return (M / r^3)^2 of the particles at a and b, for their mass M: one division."""
    dx, dy, dz = p[b + reb.X] - p[a + reb.X], p[b + reb.X + 1] - p[a + reb.X + 1], p[b + reb.X + 2] - p[a + reb.X + 2]
    r2 = fma(dx, dx, fma(dy, dy, fma(dz, dz, soft2)))
    return mass * mass / (r2 * r2 * r2)


@strict
def _rate4_sum(r: int, n: int) -> float:
    """Return the sum over pairs of (G M / r^3)^2, which is all that a step of free fall needs."""
    p, G, soft, heavy = particles_of(r), numbers_at(r + reb.G)[0], numbers_at(r + reb.SOFTENING)[0], heavy_particles(r, n)
    total, soft2 = 0.0, soft * soft
    for i in range(heavy):
        a = i * reb.PARTICLE
        for j in range(i + 1, heavy):
            b = j * reb.PARTICLE
            total += _rate4_of(p, a, b, p[a + reb.M] + p[b + reb.M], soft2)
        for j in range(heavy, n):
            total += _rate4_of(p, a, j * reb.PARTICLE, p[a + reb.M], soft2)
    return G * G * total


@inlined
def looks_at_positions(own: Words) -> bool:
    """Return whether the criterion looks at nothing but positions and masses."""
    kind = words_at(own[of.INTS + 1])[kernel.KIND]
    return kind in (kernel.FREEFALL, kernel.CONSTANT)


@inlined
def _symmetric_fall(Q2: float, memory: Any, max_ratio: float) -> float:
    """Return the symmetrized step for the square of a step of free fall; see `kernels.choose.wrapped`, which needs its root."""
    last, most = memory[0], max_ratio * max_ratio
    if last > 0.0 and most * last * last >= Q2 and Q2 * most >= last * last:
        return Q2 / last
    return sqrt(Q2)


@strict
def _fall(r: int, own: Words, n: int, plan: Plan, memory: Any) -> float:
    """Return the step of free fall with its wrappers."""
    value, root = numbers_at(own[of.RULE + 1])[kernel.VALUE], sqrt(_rate4_sum(r, n))
    symmetrized = plan.ints[kernel.WRAP_COUNT] == 1 and plan.ints[kernel.WRAPS] == kernel.SYMMETRIZED
    if not symmetrized or plan.floats[kernel.WRAP_NUMBERS + 1] < np.inf:  # steps that must also be smooth
        return wrapped(value / sqrt(root), memory, plan, True)
    return _symmetric_fall(value * value / root, memory, plan.floats[kernel.WRAP_NUMBERS])


@strict
def _with_energies(r: int, own: Words, numbers: Words, n: int, how: int, plan: Plan) -> float:
    """Return the step of a criterion that looks at energies, at velocities, or at single bodies."""
    s, real, bodies = numbers_at(own[of.SPACE]), numbers_at(own[of.REAL + 1]), np.uint64(n)
    _gather(r, n, s)
    with_sums = plan.ints[kernel.WITH_SUMS] != 0
    w = SystemView(bodies, s, HEAD + at.ROW_SUM * bodies if with_sums else np.uint64(0), (0.0,))
    sums = self_gravity(w, BLOCK)
    kinetic = kinetic_energy(w, BLOCK)
    energy = sums.potential + kinetic
    if how == RESTART:
        real[at.ENERGY_SCALE] = energy_scale(inner_kinetic_energy(w, BLOCK, kinetic), sums.potential)
        numbers[of.CHANGE] = 0.0
    if how != NEXT or not _energy_is_conserved(r, n):
        real[at.ENERGY_START] = energy - numbers[of.CHANGE]
    numbers[of.CHANGE] = energy - real[at.ENERGY_START]
    row = SystemRow(real, own, real, numbers_at(own[of.RULE + 1]), numbers_at(own[of.MEMORY + 1]), real, real, real)
    net = Net(words_at(own[of.SHAPE + 1]), numbers_at(own[of.NET + 1]), numbers_at(own[of.NET_SPACE]))
    energies = StateEnergies(sums.potential, kinetic, sums.rate2_sum, sums.rate4_sum, sums.rate8_sum, sums.binding_sum)
    return base_step(w, BLOCK, BLOCK, numbers_at(r + reb.T)[0], row, plan, net, energies, 0.0).dt


@inlined
def _energy_is_conserved(r: int, n: int) -> bool:
    """Return whether the energy of the particles' own gravity is: no other forces, and no pairs that REBOUND leaves out."""
    active = words_at(r + reb.N_ACTIVE)[0]
    left_out = halves_at(r + reb.TEST_PARTICLE_TYPE)[0] != 0 and 0 <= active < n
    return words_at(r + reb.EXTRA_FORCES)[0] == 0 and not left_out


@strict
def make_space(own: Words, n: int) -> None:
    """Allocate the memory of the criterion for n particles."""
    if own[of.NET_SPACE] == 0:
        size = words_at(own[of.SHAPE + 1])[kernel.SCRATCH_SIZE] if own[of.SHAPE] > 0 else 0
        own[of.NET_SPACE] = calloc(size + 16, 8)
    if own[of.SPACE_BODIES] != n or own[of.SPACE] == 0:
        release(own[of.SPACE])
        own[of.SPACE], own[of.SPACE_BODIES] = calloc(at.HEAD + int(at.PARTIAL) * n + 16, 8), n


@inlined
def _turn_page(memory: Any, half: int, how: int) -> None:
    """Keep what the wrappers know before a choice, or, for the same place in the chain of steps once more, go back to that."""
    if how >= TURNED:
        for k in range(2 * half):
            memory[k] = 0.0
    elif how == AGAIN:
        for k in range(half):
            memory[k] = memory[half + k]
    else:
        for k in range(half):
            memory[half + k] = memory[k]


@strict
def choose_by_positions(r: int, own: Words, numbers: Words, n: int, how: int, sign: float) -> None:
    """Choose the natural step by a criterion that looks at positions alone; a single particle keeps its step."""
    memory, plan = numbers_at(own[of.MEMORY + 1]), Plan(words_at(own[of.INTS + 1]), numbers_at(own[of.FLOATS + 1]))
    _turn_page(memory, own[of.MEMORY] // 2, how)
    if n < 2:
        dt = absolute(numbers[of.NATURAL])
    elif plan.ints[kernel.KIND] == kernel.FREEFALL:
        dt = _fall(r, own, n, plan, memory)
    else:
        dt = wrapped(numbers_at(own[of.RULE + 1])[kernel.VALUE], memory, plan, True)
    numbers[of.NATURAL] = copysign(dt, sign)


@strict
def choose_step(r: int, own: Words, numbers: Words, n: int, how: int, sign: float) -> None:
    """Choose the natural step from the particles, and remember what time-symmetric steps need of it."""
    if n < 2 or looks_at_positions(own):
        choose_by_positions(r, own, numbers, n, how, sign)
        return
    memory, plan = numbers_at(own[of.MEMORY + 1]), Plan(words_at(own[of.INTS + 1]), numbers_at(own[of.FLOATS + 1]))
    _turn_page(memory, own[of.MEMORY] // 2, how)
    numbers[of.NATURAL] = copysign(wrapped(_with_energies(r, own, numbers, n, how, plan), memory, plan, True), sign)


@inlined
def remember(own: Words, dt: float) -> None:
    """Tell time-symmetric steps that a step of `dt` was made."""
    ints, memory = words_at(own[of.INTS + 1]), numbers_at(own[of.MEMORY + 1])
    for k in range(ints[kernel.WRAP_COUNT]):
        if ints[kernel.WRAPS + k] == kernel.SYMMETRIZED:
            memory[kernel.WRAP_MEMORY * k] = absolute(dt)
