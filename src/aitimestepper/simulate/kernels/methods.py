"""The integrators, compiled. Each writes the state in block `new` from that in block `old`, which stays as it is.

Positions, velocities and time are summed with compensation (Kahan): the rounding error of a sum is stored and corrected with
the next term, so that order 8 reaches 1e-14 and rounding errors do not accumulate over a million steps.
"""

from __future__ import annotations

import numpy as np

from .fields import field_moves, field_power
from .jit import by_width, inlined, reassociated, strict
from .kinds import Number, Numbers, Place
from .lanes import count_of, first_of, flag_like, fma, like, load, store
from .layout import (
    ACCELERATION,
    JERK,
    POSITION,
    POSITION_COMPENSATION,
    SOFTENING2,
    U0,
    U1,
    U2,
    U3,
    VELOCITY,
    VELOCITY_COMPENSATION,
)
from .plan import DISPLACEMENTS, DRIFTS, KICKS, Floats
from .system import Advanced, SystemView, accelerations, forces, gm_at, kinetic_energy

U4 = np.uint64(4)


@inlined
def _compensated(value: Number, compensation: Number, h: Number, slope: Number) -> tuple[Number, Number]:
    """Return value + h slope and its rounding error; `compensation` is the rounding error of the value."""
    term = fma(h, slope, -compensation)
    total = value + term
    return total, (total - value) - term


@inlined
def _add_of_lanes(w: SystemView, x: Place, c: Place, slope: Place, h: Number, result: Place, result_c: Place) -> None:
    s = w.s
    for k in range(U0, U3 * w.n):
        s[result + k], s[result_c + k] = _compensated(s[x + k], s[c + k], h, s[slope + k])


@inlined
def _add_of_one(w: SystemView, x: Place, c: Place, slope: Place, h: Number, result: Place, result_c: Place) -> None:
    # numbers that were just written one by one are not read four at a time: the processor waits for them, 5 ns of a step
    s, step, whole = w.s, first_of(h), U0 if w.n <= U3 else U3 * w.n // U4 * U4
    for k in range(U0, whole, U4):
        total, lost = _compensated(load(s, x + k), load(s, c + k), step, load(s, slope + k))
        store(s, result + k, total)
        store(s, result_c + k, lost)
    for k in range(whole, U3 * w.n):
        s[result + k], s[result_c + k] = _compensated(s[x + k], s[c + k], h, s[slope + k])


# write s[x] + h s[slope] to s[result]; c and result_c hold the rounding errors of s[x] and of s[result]
add_scaled = by_width(_add_of_one, _add_of_lanes, _add_of_one)


@inlined
def kick(w: SystemView, source: Place, target: Place, h: Number) -> None:
    """Compute the velocities of block `target` from velocities and accelerations of block `source`, over a time h."""
    d = U3 * w.n
    v, c, a = source + VELOCITY * d, source + VELOCITY_COMPENSATION * d, source + ACCELERATION * d
    add_scaled(w, v, c, a, h, target + VELOCITY * d, target + VELOCITY_COMPENSATION * d)


@inlined
def drift(w: SystemView, source: Place, target: Place, h: Number) -> None:
    """Compute the positions of block `target` from those of `source` and the velocities of `target`, over a time h."""
    d = U3 * w.n
    x, c, v = source + POSITION * d, source + POSITION_COMPENSATION * d, target + VELOCITY * d
    add_scaled(w, x, c, v, h, target + POSITION * d, target + POSITION_COMPENSATION * d)


@inlined
def _kick_and_drift_of_lanes(w: SystemView, source: Place, target: Place, b: Number, a: Number) -> None:
    s, d = w.s, U3 * w.n
    x, v = source + POSITION * d, source + VELOCITY * d
    xc, vc, slope = source + POSITION_COMPENSATION * d, source + VELOCITY_COMPENSATION * d, source + ACCELERATION * d
    for k in range(U0, d):
        speed, s[target + VELOCITY_COMPENSATION * d + k] = _compensated(s[v + k], s[vc + k], b, s[slope + k])
        s[target + VELOCITY * d + k] = speed
        s[target + POSITION * d + k], s[target + POSITION_COMPENSATION * d + k] = _compensated(s[x + k], s[xc + k], a, speed)


@inlined
def _kick_and_drift_of_one(w: SystemView, source: Place, target: Place, b: Number, a: Number) -> None:
    if w.n <= U3:
        _kick_and_drift_of_lanes(w, source, target, b, a)
    else:
        kick(w, source, target, b)
        drift(w, source, target, a)


# kick by a time b, then drift by a time a
kick_and_drift = by_width(_kick_and_drift_of_one, _kick_and_drift_of_lanes, _kick_and_drift_of_one)


@strict
def copy_vector(n3: Place, s: Numbers, source: Place, target: Place) -> None:
    """Copy one vector from s[source:] to s[target:]."""
    for k in range(U0, n3):
        s[target + k] = s[source + k]


@strict
def displace(w: SystemView, block: Place, h2: Number) -> None:
    """Move the positions of a block along its accelerations, by h2 times them; the jerks keep the positions as they were."""
    s, d = w.s, U3 * w.n
    x, a, kept = block + POSITION * d, block + ACCELERATION * d, block + JERK * d
    for k in range(U0, d):
        s[kept + k] = s[x + k]
        s[x + k] = fma(h2, s[a + k], s[x + k])


@inlined
def _split_of_one(w: SystemView, old: Place, new: Place, t: Number, dt: Number, floats: Floats, stages: int) -> Advanced:
    """Make a step of a splitting: kick, drift, kick, ..., kick, with one force evaluation for each drift.

    A kick with a displacement evaluates one more. A moving field is met at the times of the kicks. Its work is the sum over
    kicks of their length times its power where the force is taken: with time as one more coordinate that is the kick of the
    energy conjugate to it, so that no splitting loses order.
    """
    moving, source, passed, work = field_moves(w), old, like(0.0, dt), like(0.0, dt)
    evaluations = stages
    for k in range(stages):
        h, displacement = floats[KICKS + k] * dt, floats[DISPLACEMENTS + k]
        if k > 0:
            accelerations(w, new, t + passed)
        if displacement != 0.0:
            displace(w, new, displacement * dt * dt)
            accelerations(w, new, t + passed)
            evaluations += 1
        if moving:
            work += h * field_power(w, source, t + passed)
        if displacement != 0.0:
            copy_vector(U3 * w.n, w.s, new + JERK * U3 * w.n, new + POSITION * U3 * w.n)
        kick_and_drift(w, source, new, h, floats[DRIFTS + k] * dt)
        source = new
        passed += floats[DRIFTS + k] * dt
    h = floats[KICKS + stages] * dt
    potential, sums = forces(w, new, t + dt)
    if moving:
        work += h * field_power(w, new, t + dt)
    kick(w, new, new, h)
    return Advanced(potential, sums, work, evaluations + count_of(flag_like(False, dt)), dt)


@strict
def _split_of_lanes(w: SystemView, old: Place, new: Place, t: Number, dt: Number, floats: Floats, stages: int) -> Advanced:
    """Make the step with loops unrolled over two, three and four bodies, whose numbers then stay in registers."""
    if w.n == U2:
        return _split_of_one(SystemView(U2, w.s, w.row_sum, w.lanes), old, new, t, dt, floats, stages)
    if w.n == U3:
        return _split_of_one(SystemView(U3, w.s, w.row_sum, w.lanes), old, new, t, dt, floats, stages)
    if w.n == U4:
        return _split_of_one(SystemView(U4, w.s, w.row_sum, w.lanes), old, new, t, dt, floats, stages)
    return _split_of_one(w, old, new, t, dt, floats, stages)


split = by_width(_split_of_one, _split_of_lanes)


@reassociated
def accelerations_and_jerks(w: SystemView, block: Place) -> None:
    """Write accelerations and jerks by self-gravity of the state in `block` into that block."""
    n, s = w.n, w.s
    d = U3 * n
    x, v, a, b = block + POSITION * d, block + VELOCITY * d, block + ACCELERATION * d, block + JERK * d
    n2, g = U2 * n, gm_at(w)
    for k in range(U0, d):
        s[a + k], s[b + k] = 0.0, 0.0
    for i in range(U0, n - U1):
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + n2 + j] - s[x + n2 + i]
            vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + n2 + j] - s[v + n2 + i]
            inverse2 = 1.0 / (dx * dx + dy * dy + dz * dz + s[SOFTENING2])
            cube = inverse2 * np.sqrt(inverse2)
            stretch = 3.0 * (dx * vx + dy * vy + dz * vz) * inverse2
            gm_j_r3, gm_i_r3 = s[g + j] * cube, s[g + i] * cube
            jx, jy, jz = vx - stretch * dx, vy - stretch * dy, vz - stretch * dz
            s[a + i] += gm_j_r3 * dx
            s[a + n + i] += gm_j_r3 * dy
            s[a + n2 + i] += gm_j_r3 * dz
            s[b + i] += gm_j_r3 * jx
            s[b + n + i] += gm_j_r3 * jy
            s[b + n2 + i] += gm_j_r3 * jz
            s[a + j] -= gm_i_r3 * dx
            s[a + n + j] -= gm_i_r3 * dy
            s[a + n2 + j] -= gm_i_r3 * dz
            s[b + j] -= gm_i_r3 * jx
            s[b + n + j] -= gm_i_r3 * jy
            s[b + n2 + j] -= gm_i_r3 * jz


@strict
def hermite(w: SystemView, old: Place, new: Place, scratch_block: Place, t: float, h: float, iterations: int) -> Advanced:
    """Make a step of Hermite 4, P(EC)^n (Makino & Aarseth 1992): predict, then evaluate and correct n times.

    Accelerations and jerks are those of the last evaluation. The potential at the end comes from a separate pass in
    `scratch_block`. It does not count as a force evaluation: only the energy check needs it, not the method.
    """
    s, d = w.s, U3 * w.n
    x0, v0, a0, j0 = old + POSITION * d, old + VELOCITY * d, old + ACCELERATION * d, old + JERK * d
    x1, v1, a1, j1 = new + POSITION * d, new + VELOCITY * d, new + ACCELERATION * d, new + JERK * d
    cx, cv, dx1, dv1 = (
        old + POSITION_COMPENSATION * d,
        old + VELOCITY_COMPENSATION * d,
        new + POSITION_COMPENSATION * d,
        new + VELOCITY_COMPENSATION * d,
    )
    for k in range(U0, d):
        s[x1 + k] = s[x0 + k] + h * (s[v0 + k] + 0.5 * h * (s[a0 + k] + h / 3.0 * s[j0 + k]))
        s[v1 + k] = s[v0 + k] + h * (s[a0 + k] + 0.5 * h * s[j0 + k])
    for _ in range(iterations):
        accelerations_and_jerks(w, new)
        for k in range(U0, d):
            dv = 0.5 * h * (s[a0 + k] + s[a1 + k]) + h * h / 12.0 * (s[j0 + k] - s[j1 + k]) - s[cv + k]
            v = s[v0 + k] + dv
            s[dv1 + k] = (v - s[v0 + k]) - dv
            dx = 0.5 * h * (s[v0 + k] + v) + h * h / 12.0 * (s[a0 + k] - s[a1 + k]) - s[cx + k]
            x = s[x0 + k] + dx
            s[dx1 + k] = (x - s[x0 + k]) - dx
            s[x1 + k], s[v1 + k] = x, v
    copy_vector(d, s, x1, scratch_block + POSITION * d)
    potential, sums = forces(w, scratch_block, t + h)
    return Advanced(potential, sums, 0.0, iterations, h)


@strict
def log_hamiltonian(w: SystemView, old: Place, new: Place, t: float, ds: float, binding: float, dt: float) -> Advanced:
    """Make a drift-kick-drift step of the logarithmic Hamiltonian (Mikkola & Tanikawa; Preto & Tremaine astro-ph/9906322).

    The duration of the step is a result. If `dt` is positive, the last drift is shortened or extended so that the step takes
    that time. The forces at the end are for the criterion and the energy check; the method needs one evaluation a step, in the
    middle.
    """
    s, d = w.s, U3 * w.n
    copy_vector(d, s, old + VELOCITY * d, new + VELOCITY * d)
    first = 0.5 * ds / (kinetic_energy(w, old) + binding)
    drift(w, old, new, first)
    middle, _ = forces(w, new, t + first)
    add_scaled(
        w,
        old + VELOCITY * d,
        old + VELOCITY_COMPENSATION * d,
        new + ACCELERATION * d,
        -ds / middle,
        new + VELOCITY * d,
        new + VELOCITY_COMPENSATION * d,
    )
    second = 0.5 * ds / (kinetic_energy(w, new) + binding)
    if dt > 0.0:
        second = dt - first
    drift(w, new, new, second)
    potential, sums = forces(w, new, t + first + second)
    return Advanced(potential, sums, 0.0, 1, first + second)


@strict
def log_hamiltonian_for(w: SystemView, old: Place, new: Place, t: float, dt: float, ds: float, binding: float) -> Advanced:
    """Make the step that takes a time `dt`: ds is scaled until the time agrees to rounding; the last drift makes it exact."""
    done = log_hamiltonian(w, old, new, t, ds, binding, 0.0)
    tries = 1
    while abs(done.dt - dt) > 1e-14 * dt and tries < 30:
        ds = ds * dt / done.dt
        done = log_hamiltonian(w, old, new, t, ds, binding, 0.0)
        tries += 1
    done = log_hamiltonian(w, old, new, t, ds, binding, dt)
    return Advanced(done.potential, done.sums, 0.0, tries + 1, dt)
