"""Order conditions of splittings for y'' = f(y), from special Nystroem trees, for numbers of any kind.

A tree stands for a derivative of f at the start of a step: its root is an f that is differentiated once for every leaf, in the
direction of y', and once for every subtree, in the direction of another f. With c_i the drift done before kick i, and
a_ij = b_j (c_i - c_j) for j < i the effect of kick j on the position at kick i, the value of a tree at kick i is
Phi_i = c_i^leaves times the product over subtrees of sum_j a_ij Phi_j. The kicks have to add it up as the integral over the
step does: sum_i b_i Phi_i = weight / order. The conditions for the positions follow from those for the velocities: positions
take b_i (1 - c_i), and one more leaf is a factor of c_i. A kick with a displacement d_i takes the force at
x_i + d_i dt^2 f(x_i): then a_ii = d_i, times the value of the subtree without the displacement.

Fractions give residuals without rounding, and decimals as many digits as their context has.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

DIGITS = 50  # of polished coefficients


class Tree(NamedTuple):
    """A special Nystroem tree; its order is the power of the step with which it enters the velocity."""

    order: int
    leaves: int
    subtrees: tuple[Tree, ...]


@functools.cache
def trees(order: int) -> tuple[Tree, ...]:
    """Return all trees of an order: a leaf adds 1 to the order of the root, a subtree 1 more than its own."""
    return tuple(Tree(order, leaves, subtrees) for leaves in range(order) for subtrees in _forests(order - 1 - leaves))


def _forests(size: int, below: Tree | None = None) -> list[tuple[Tree, ...]]:
    """Return the multisets of subtrees that add `size` to the order of their root; no subtree comes before `below`."""
    if size == 0:
        return [()]
    firsts = [tree for order in range(1, size) for tree in trees(order) if below is None or tree >= below]
    return [(first, *rest) for first in firsts for rest in _forests(size - first.order - 1, first)]


@functools.cache
def weight(tree: Tree) -> Fraction:
    """Return the factor of t^(order - 1) in the value of a tree along the solution; order / weight is a whole number."""
    found = Fraction(1)
    for subtree in tree.subtrees:  # it enters as its double integral: t^(q - 1) becomes t^(q + 1) / (q (q + 1))
        found *= weight(subtree) / (subtree.order * (subtree.order + 1))
    return found


def residuals(kicks: Sequence[Any], drifts: Sequence[Any], order: int, displacements: Sequence[Any] = ()) -> list[Any]:
    """Return by how much a splitting misses the conditions of all trees up to an order, in units of the exact values.

    There is one kick more than drifts; a splitting that begins with a drift has a first and a last kick of zero. There is a
    displacement for every kick, or none.
    """
    nodes: list[Any] = [0]
    for drift in drifts:
        nodes.append(nodes[-1] + drift)
    known: dict[Tree, tuple[list[Any], list[Any]]] = {}
    found = []
    for tree in (tree for k in range(1, order + 1) for tree in trees(k)):
        values, _ = _values(tree, kicks, nodes, displacements or [0] * len(kicks), known)
        found.append(int(tree.order / weight(tree)) * sum(b * phi for b, phi in zip(kicks, values, strict=True)) - 1)
    return found


def _values(
    tree: Tree,
    kicks: Sequence[Any],
    nodes: Sequence[Any],
    displacements: Sequence[Any],
    known: dict[Tree, tuple[list[Any], list[Any]]],
) -> tuple[list[Any], list[Any]]:
    """Return Phi_i of a tree at every kick, and what they are without its own displacement."""
    if tree not in known:
        phi: list[Any] = [c**tree.leaves if tree.leaves else 1 for c in nodes]
        plain = [*phi]
        for subtree in tree.subtrees:
            (inner, inner_plain), sum0, sum1 = _values(subtree, kicks, nodes, displacements, known), 0, 0
            for i, (b, c) in enumerate(zip(kicks, nodes, strict=True)):
                before = c * sum0 - sum1  # sum over j < i of b_j (c_i - c_j) Phi_j
                phi[i] *= before + displacements[i] * inner_plain[i]
                plain[i] *= before
                sum0, sum1 = sum0 + b * inner[i], sum1 + b * c * inner[i]
        known[tree] = phi, plain
    return known[tree]


# ---- palindromes and their free numbers ------------------------------------------------------------------------------
class Half(NamedTuple):
    """The first half of a palindromic splitting: what is left to 1 is in the middle of the kicks and of the drifts."""

    kicks: tuple[Any, ...]
    drifts: tuple[Any, ...]
    drift_first: bool = False

    def splitting(self) -> tuple[list[Any], list[Any]]:
        """Return all kicks and drifts; before each drift is a kick, which is zero at the start of a `drift_first` one."""
        odd_kicks = len(self.kicks) + self.drift_first > len(self.drifts)
        kicks, drifts = _whole(self.kicks, odd_kicks), _whole(self.drifts, not odd_kicks)
        return ([0, *kicks, 0] if self.drift_first else kicks), drifts

    def moved(self, by: Sequence[Any]) -> Half:
        """Return the half with its free numbers moved."""
        kicks, drifts = (
            tuple(x + d for x, d in zip(values, part, strict=True))
            for values, part in ((self.kicks, by[: len(self.kicks)]), (self.drifts, by[len(self.kicks) :]))
        )
        return Half(kicks, drifts, self.drift_first)


def _whole(half: tuple[Any, ...], odd: bool) -> list[Any]:
    middle = [1 - 2 * sum(half)] if odd else [(1 - 2 * sum(half)) / 2] * 2
    return [*half, *middle, *reversed(half)]


def polished(half: Half, order: int) -> Half:
    """Return the nearest half that meets all conditions up to the order to `DIGITS` digits.

    Gauss-Newton steps of the smallest norm. The derivatives are those at the start, in doubles, so that each step gains about
    as many digits as the start has; free numbers that the conditions leave open stay as they are.
    """
    with localcontext() as context:
        context.prec = DIGITS + 5
        here = Half(*(tuple(map(Decimal, values)) for values in half[:2]), half.drift_first)
        inverse = np.linalg.pinv(_derivatives(here, order), rcond=1e-9)
        for _ in range(DIGITS):
            misses = residuals(*here.splitting(), order)
            scale = max(map(abs, misses))
            if scale < Decimal(10) ** -DIGITS:
                return here
            step = inverse @ np.array([float(miss / scale) for miss in misses])
            here = here.moved([-Decimal(float(d)) * scale for d in step])
    raise ValueError(f"no splitting of order {order} is near the start: the residual stays at {scale:.1e}")


def _derivatives(half: Half, order: int) -> np.ndarray:
    """Return d residual / d free number in doubles, from differences of decimals."""
    count, h = len(half.kicks) + len(half.drifts), Decimal(10) ** (-DIGITS // 3)
    columns = []
    for k in range(count):
        ahead, behind = (residuals(*half.moved([s * h * (i == k) for i in range(count)]).splitting(), order) for s in (1, -1))
        columns.append([float((a - b) / (2 * h)) for a, b in zip(ahead, behind, strict=True)])
    return np.array(columns).T
