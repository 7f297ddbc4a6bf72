"""The systems of units in which a run can be computed: double precision holds 1e-308 to 1e308, and runs take powers.

What the engine computes on the way are products of powers of the system's length, time and energy. Outside that range they
overflow, vanish or lose digits, and an energy error of 1 could be reported as 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..criteria.wrappers import innermost
from ..errors import InitialConditionError

# decimal exponents: the range of normal numbers, less a margin for bodies that move together or apart
MOST = 302.0
MOST_OF_RULES = 280.0  # for eighth powers of rates, which the closest pairs of a run exceed by far
ERROR_DIGITS = 12  # by which an energy must exceed the smallest number, so that its relative error can be measured


class Power(NamedTuple):
    """A product of powers that is computed on the way."""

    length: int
    time: int
    energy: int = 0


# by every run: the squares of distances, their cubes in the forces, accelerations, squared rates, G times the mass
OF_EVERY_RUN = (Power(2, 0), Power(-3, 0), Power(1, -2), Power(0, -2), Power(3, -2))
# by the derivatives of accelerations, in the rules that compare squares of the third and the first
_OF_DERIVATIVES = (Power(4, -16), Power(4, -12), Power(-3, -3))
# rate^4 times the energy of a pair, whose factors the compiler multiplies in any order
_OF_BINDING = (Power(0, -4), Power(0, -4, 1), Power(-1, -4), Power(3, -6))
_OF_TIGHT_PAIRS = (Power(0, -8),)  # by the smooth maximum of squared rates
OF_CRITERION = {
    "freefall": (Power(0, -4),),
    "tidal": (Power(0, -4),),
    "boekholt": (Power(0, -10),),
    "aarseth": _OF_DERIVATIVES,
    "prs23": _OF_DERIVATIVES,
    "lastterm": _OF_DERIVATIVES,
    "energybudget": (*_OF_BINDING, *_OF_TIGHT_PAIRS),
    "learned": (*_OF_BINDING, *_OF_TIGHT_PAIRS, Power(4, -2), Power(2, -2)),
}
# by the derivatives of the method, whatever the criterion
OF_METHOD = {"hermite4": (Power(1, -3), Power(-2, -1)), "radau15": _OF_DERIVATIVES}


def refuse_extreme_units(bodies: Bodies, criterion: Criterion | None = None, integrator: str = "") -> None:
    """Raise an error for systems whose run by that criterion and integrator leaves the range of double precision.

    Only what every run computes is looked at where they are not given. It takes O(N) operations, in logarithms.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        length, time, energy, smallest, largest = _magnitudes(bodies)
        rule = "" if criterion is None else innermost(criterion).name
        powers = [*OF_METHOD.get(integrator.partition(":")[0], ()), *OF_CRITERION.get(rule, ())]
        wrong = (largest > MOST) | (smallest < ERROR_DIGITS - MOST)
        for limit, group in ((MOST, OF_EVERY_RUN), (MOST_OF_RULES, powers)):
            for power in group:
                wrong |= ~(np.abs(power.length * length + power.time * time + power.energy * energy) <= limit)
    if wrong.any():
        i = int(wrong.argmax())
        raise InitialConditionError(
            f"system {i} has a size of 1e{length[i]:.0f}, a time of free fall of 1e{time[i]:.0f} and an energy of "
            f"1e{energy[i]:.0f} in its units, whose powers leave the range of double precision: choose units of mass, length "
            "and time in which they are nearer to 1."
        )


def _magnitudes(bodies: Bodies) -> tuple[np.ndarray, ...]:
    """Return decimal logarithms (B,) of length, time and energy, and of the smallest and the largest of what makes energies.

    The length is the largest distance from the heaviest body on an axis, or the softening; the time is that of free fall; the
    energy is that of the two heaviest bodies, and counts as 1 where only one has a mass.
    """
    rows = np.arange(len(bodies))
    heaviest = bodies.mass.argmax(1)
    apart = np.abs(bodies.position - bodies.position[rows, heaviest][:, None, :]).max(2)
    length = np.log10(np.maximum(np.where(bodies.present, apart, 0.0).max(1), bodies.softening))
    speed = np.log10(np.abs(bodies.velocity).max((1, 2)))
    second, first = np.log10(np.partition(bodies.mass, -2, axis=1)[:, -2:].T)
    G = np.log10(bodies.G)
    energy = np.where(np.isfinite(second), G + first + second - length, 0.0)
    smallest = np.where(np.isfinite(second), np.minimum(energy, G + second), 0.0)
    largest = np.maximum(np.maximum(energy, first + 2 * speed), 2 * speed)
    return length, 1.5 * length - 0.5 * (G + first), energy, smallest, largest
