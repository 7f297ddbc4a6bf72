"""Sums over the tightest pairs that need their velocities: a second pass over the pairs, after that of the forces."""

from __future__ import annotations

from typing import NamedTuple

from ...constants import MAX_CHANGE, PARABOLIC, TIGHT, TINY
from .jit import add_product, by_width, inlined, reassociated, strict
from .kinds import Number, Place
from .lanes import fma, larger, like, sqrt, where
from .layout import POSITION, SOFTENING2, U0, U1, U2, U3, VELOCITY
from .pair_sums import massless_run
from .system import StateEnergies, SystemView, gm_at, mass_at


class TightPairs(NamedTuple):
    """Sums over pairs, weighted with (f/F - 1/32)^2, or with nothing where f is below F/32.

    f = G M / r^3 and g = v^2 / r^2 are the squared free-fall and flyby rates of a pair, F a smooth maximum of f.
    """

    weight: Number  # of 1; 1 if no pair counts
    radial: Number  # of (r.v)^2 / (r^2 v^2)
    flyby: Number  # of g^2
    expansion: Number  # of (r.v) / r^2
    own: Number  # of the potential of the pair over its own two-body energy, however light it is: 1/|1 - g/2f|, at most 50


def _part_of_row(
    w: SystemView, block: Place, i: Place, first: Place, last: Place, inverse_F: Number, sums: TightPairs
) -> TightPairs:
    """Add the pairs of body i with the bodies first <= j < last to the sums."""
    n, s = w.n, w.s
    x, v, gm = block + POSITION * U3 * n, block + VELOCITY * U3 * n, gm_at(w)
    W, radial, flyby, expansion, own = sums
    for j in range(first, last):
        dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
        vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + U2 * n + j] - s[v + U2 * n + i]
        inverse2 = 1.0 / fma(dx, dx, fma(dy, dy, fma(dz, dz, s[SOFTENING2])))
        f = (s[gm + i] + s[gm + j]) * inverse2 * sqrt(inverse2) * inverse_F
        c = larger(f - TIGHT, 0.0)
        weight = c * c
        v2, rv = fma(vx, vx, fma(vy, vy, vz * vz)), fma(dx, vx, fma(dy, vy, dz * vz))
        flyby_rate2, weighted = v2 * inverse2, weight * rv * inverse2
        W += weight
        radial += weighted * rv / larger(v2, 1e-300)
        flyby = add_product(w, flyby, weight * flyby_rate2, flyby_rate2)
        expansion += weighted
        twice = f + f
        bound, least = fma(flyby_rate2, inverse_F, -twice), PARABOLIC * twice
        own += weight * twice / sqrt(larger(fma(bound, bound, least * least), TINY))
    return TightPairs(W, radial, flyby, expansion, own)


_part_of_lanes, _part_of_one = inlined(_part_of_row), reassociated(_part_of_row)


@strict
def _tight_pairs_of_lanes(w: SystemView, block: Place, F: Number) -> TightPairs:
    zero, inverse_F = like(0.0, F), 1.0 / F
    sums = TightPairs(zero, zero, zero, zero, zero)
    for i in range(U0, w.n - U1):
        sums = _part_of_lanes(w, block, i, i + U1, w.n, inverse_F, sums)
    return TightPairs(where(sums.weight > 0.0, sums.weight, 1.0), sums.radial, sums.flyby, sums.expansion, sums.own)


@reassociated
def _tight_pairs_of_one(w: SystemView, block: Place, F: Number) -> TightPairs:
    sums, inverse_F, least = TightPairs(0.0, 0.0, 0.0, 0.0, 0.0), 1.0 / F, (TIGHT * F) ** 2 * (1.0 - 1e-9)
    mass = mass_at(w)
    for i in range(U0, w.n):
        if not w.s[w.row_sum + i] < least:
            begin, end = massless_run(w.s, mass, U0, i)
            while begin < i:
                sums = _part_of_one(w, block, i, begin, end, inverse_F, sums)
                begin, end = massless_run(w.s, mass, end, i)
            sums = _part_of_one(w, block, i, i + U1, w.n, inverse_F, sums)
    return TightPairs(where(sums.weight > 0.0, sums.weight, 1.0), sums.radial, sums.flyby, sums.expansion, sums.own)


# Return the sums for a state and F. Of one system a row whose sum of f^2 is below the threshold has no tight pair and is
# skipped, as is that of a body without mass; the force pass stored these row sums, and says which pairs belong to a row.
tight_pairs = by_width(_tight_pairs_of_one, _tight_pairs_of_lanes)


@inlined
def longest_step(pairs: TightPairs, rate4_sum: Number, share: Number) -> Number:
    """Return the ceiling of a step: a share of the dynamical time, or that in which ln tau_4 changes by `MAX_CHANGE`."""
    rate = sqrt(sqrt(rate4_sum + pairs.flyby / ((1.0 - TIGHT) * (1.0 - TIGHT)))) / share
    growth = 1.5 * pairs.expansion / pairs.weight / MAX_CHANGE
    return 1.0 / sqrt(fma(rate, rate, growth * growth))


@inlined
def limited(dt: Number, ceiling: Number) -> Number:
    """Return a step that approaches its ceiling without a kink."""
    ratio = dt / ceiling
    return dt / sqrt(fma(ratio, ratio, 1.0))


@inlined
def total_share(energies: StateEnergies, scale: Number, own: Number) -> Number:
    """Return the potential of the tightest pairs over the energy scale; of massless bodies alone, as of light ones, `own`."""
    return where(energies.binding_sum > 0.0, energies.binding_sum / energies.rate4_sum / scale, own)


@inlined
def largest_share(total: Number, own: Number) -> Number:
    """Return chi from the potential of the tightest pairs over the total energy, and over their own energies.

    It is a smooth maximum: any kink would spoil time-symmetric steps.
    """
    return sqrt(fma(total, total, own * own))
