"""A step criterion of your own, beside the shipped ones: eta over the fastest orbital phase speed of all pairs.

python examples/own_criterion.py

The criterion is written twice. As a C function, which numba makes, it is called by address: it costs no more than the
criteria of the package (0.1 microseconds a step of two bodies). As a Python function of arrays it is easier to write, and
slow (40 microseconds a step).
"""

import math
import warnings

import numpy as np

from aitimestepper import Boekholt, FreeFall, OwnCriterion, Symmetrized, simulate
from aitimestepper.errors import SlowPythonWarning
from aitimestepper.initial.named import kepler
from aitimestepper.simulate.kernels.callbacks import criterion


@criterion
def pairphase(n, t, mass, x, v, a, eta):
    """Return eta over the largest sqrt(G M / r^3 + v^2 / r^2), with G = 1.

    x, v and a are pointers to 3 n numbers, axis after axis: all x, then all y, then all z.
    """
    fastest = 0.0
    for i in range(n):
        for j in range(i):
            r2 = v2 = 0.0
            for axis in range(3):
                r2 += (x[axis * n + i] - x[axis * n + j]) ** 2
                v2 += (v[axis * n + i] - v[axis * n + j]) ** 2
            fastest = max(fastest, (mass[i] + mass[j]) / (r2 * math.sqrt(r2)) + v2 / r2)
    return eta / math.sqrt(fastest)


def pairphase_in_python(time, mass, position, velocity, acceleration, eta):
    """Return the same step from arrays: mass (N,); position, velocity and acceleration (N, axes)."""
    i, j = np.triu_indices(len(mass), 1)
    r2, v2 = (((x[i] - x[j]) ** 2).sum(1) for x in (position, velocity))
    return eta / math.sqrt(((mass[i] + mass[j]) / r2**1.5 + v2 / r2).max())


def main() -> None:
    """Run ten orbits with each; wrappers work with your criterion as with ours."""
    warnings.simplefilter("ignore", SlowPythonWarning)  # it says what the docstring above says
    compiled, python = OwnCriterion(pairphase, 0.07), OwnCriterion(pairphase_in_python, 0.07)
    ours = (FreeFall(0.05), Symmetrized(Boekholt(0.05)))
    for rule in (*ours, compiled, Symmetrized(compiled), python, Symmetrized(python)):
        result = simulate(kepler(e=0.7), t_end=62.8, criterion=rule)
        print(
            f"{result.criterion:38s} forces {result.force_evaluations[0]:5d}   energy error: "
            f"largest {result.max_energy_error[0]:.1e}, at the end {result.final_energy_error[0]:.1e}"
        )


if __name__ == "__main__":
    main()
