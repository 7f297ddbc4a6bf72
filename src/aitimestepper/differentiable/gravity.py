"""Pairwise gravity: one pair sum, one softening rule. Shapes: B systems, N bodies, D axes; `mask` (B, N) marks real bodies.

Sums go through `tree_sum`, so that padding a system with absent bodies changes no bit of its result. Only + - * / and sqrt
are used: they are exact to the last bit in every memory layout, which exp, log and pow are not.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def tree_sum(x: Tensor, dim: int) -> Tensor:
    """Return the sum over `dim`, made by adding neighbours, then neighbouring sums, and so on.

    Trailing zeros leave every partial sum as it is, to the last bit, whatever their number; `torch.sum` regroups with
    the length. It is also as accurate as pairwise summation.
    """
    x = x.movedim(dim, 0)
    while (n := x.shape[0]) > 1:
        paired = x[0 : n - 1 : 2] + x[1:n:2]
        x = torch.cat([paired, x[n - 1 :]]) if n % 2 else paired
    return x[0]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the scalar product over the last axis."""
    return tree_sum(a * b, -1)


class Pairs(NamedTuple):
    """All ordered pairs (i, j): `x_ij = x_j - x_i`."""

    dx: Tensor  # (B, N, N, D)
    r2: Tensor  # (B, N, N) |x_ij|^2 + softening^2; 1 where (i, j) is no pair, so that nothing divides by zero
    real: Tensor  # (B, N, N) bool: two different bodies, both present


class Forces(NamedTuple):
    """Acceleration and potential of every body, from one pass over the pairs."""

    acceleration: Tensor  # (B, N, D)
    potential: Tensor  # (B, N) per unit mass, at each body


def pairs(position: Tensor, mask: Tensor, softening: Tensor) -> Pairs:
    """Return the separations of all pairs, softened in Plummer's way."""
    dx = position.unsqueeze(1) - position.unsqueeze(2)
    real = mask.unsqueeze(1) & mask.unsqueeze(2)
    real = real & ~torch.eye(position.shape[1], dtype=torch.bool, device=position.device)
    r2 = dot(dx, dx) + (softening * softening).view(-1, 1, 1)
    return Pairs(dx, torch.where(real, r2, 1.0), real)


def forces(position: Tensor, mass: Tensor, mask: Tensor, softening: Tensor, G: float) -> Forces:
    """Return acceleration and potential of every body from all others: the one pair sum of this package."""
    dx, r2, real = pairs(position, mask, softening)
    inv_r = torch.where(real, 1.0 / torch.sqrt(r2), 0.0)
    weight = (G * mass).unsqueeze(1) * inv_r  # (B, i, j): G m_j / r_ij
    acceleration = tree_sum((weight / r2).unsqueeze(-1) * dx, 2)
    return Forces(acceleration, -tree_sum(weight, 2))


def taylor_accelerations(
    position: Tensor, velocity: Tensor, mass: Tensor, mask: Tensor, softening: Tensor, G: float, order: int
) -> list[Tensor]:
    """Return the first `order` of acceleration, jerk, snap, crackle (B, N, D) of every body under self-gravity.

    They come from Taylor arithmetic along the motion.

    With x(t) = sum_k x_k t^k and s = r^2 + eps^2, the coefficients of u = s^(-3/2) follow from s u' = -3/2 s' u:
    u_k = 1/(k s_0) sum_{i=1..k} (-3/2 i - (k - i)) s_i u_{k-i}; a_k = sum_i dx_i u_{k-i}; x_{k+2} = a_k / ((k+1)(k+2)).
    """
    series = [position, velocity]
    dx: list[Tensor] = []
    s: list[Tensor] = []
    u: list[Tensor] = []
    derivatives: list[Tensor] = []
    factorial = 1.0
    for k in range(order):
        dx.append(series[k].unsqueeze(1) - series[k].unsqueeze(2))
        if k == 0:
            _, r2, real = pairs(position, mask, softening)
            s.append(r2)
            u.append(torch.where(real, (G * mass).unsqueeze(1) / (r2 * torch.sqrt(r2)), 0.0))
        else:
            s.append(torch.stack([dot(dx[i], dx[k - i]) for i in range(k + 1)]).sum(0))
            u.append(torch.stack([(-1.5 * i - (k - i)) * s[i] * u[k - i] for i in range(1, k + 1)]).sum(0) / (k * s[0]))
        a_k = tree_sum(torch.stack([dx[i] * u[k - i].unsqueeze(-1) for i in range(k + 1)]).sum(0), 2)
        series.append(a_k / ((k + 1) * (k + 2)))
        factorial *= max(k, 1)
        derivatives.append(a_k * factorial)
    return derivatives
