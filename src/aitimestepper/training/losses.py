"""The loss of a step, and the guard that makes every rejected step push dt down."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..config import Config
from ..differentiable.conserved import relative_error
from ..integrators import SPLITTINGS

# Errors outside this range (round-off, overflow, NaN) are clipped to it, so that their logarithm is finite.
SMALLEST_ERROR, LARGEST_ERROR = 1e-30, 1e30
# Limits of the distance from the band that the gradient is made of, in e-folds of error. A failing step counts at least
# MIN_FAILING, one below the band at most MAX_BELOW: errors of 1e-14 are 18 e-folds below the band and would outweigh every
# failing step in the mean.
MIN_FAILING, MAX_FAILING, MAX_BELOW = 0.5, 8.0, 0.25
ESTIMATE_WEIGHT = 0.01  # weight of the network's own error estimate in the total loss


def band_loss_zero_inside_where(x: Tensor, lo: float | Tensor, hi: float | Tensor) -> Tensor:
    """Return 0 where lo <= x <= hi, and the squared distance to the nearer edge outside; elementwise.

    Examples:
        >>> import torch
        >>> from aitimestepper import band_loss_zero_inside_where
        >>> band_loss_zero_inside_where(torch.tensor([-2.0, 0.5, 3.0]), lo=0.0, hi=1.0).tolist()
        [4.0, 0.0, 4.0]
    """
    below, above = lo - x, x - hi
    return torch.where(above > 0, above**2, torch.where(below > 0, below**2, torch.zeros_like(x)))


def compute_single_step_loss(E0: Tensor, E1: Tensor, config: Config, floor: Tensor | None = None) -> Tensor:
    """Return the band loss of the logarithm of the relative energy error, mean over systems (a scalar).

    E0, E1 (B,): energies before and after the step. floor (B,): lower limit of |E0| in the relative error, 1e-4 (K + |U|) of
    the state that the step starts from (see `differentiable.conserved.energy_scale`).

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, compute_single_step_loss
        >>> E0 = torch.tensor([-1.0, -1.0], dtype=torch.float64)  # (B,)
        >>> compute_single_step_loss(E0, E0 * (1 + 1e-5), Config()).item()  # an error inside the band
        0.0
    """
    return _band_losses(_log_error(relative_error(E0, E1, floor)), config).mean()


def guarded_step_losses(dt: Tensor, rel_dE: Tensor, config: Config, at_ceiling: Tensor) -> Tensor:
    """Return the band loss of every system (B,), with a gradient in the network's parameters that always makes progress.

    dt (B,) and the relative energy error rel_dE (B,) of the step are in the graph; at_ceiling (B,) marks steps that the ceiling
    shortened. The value is that of `compute_single_step_loss`. Its slope in ln dt is differentiated through the step, then
    guarded: the error of a method of order p grows like dt^(p+1), so where the derivative is another (a sign change of the
    energy error, a step so large that bodies fly apart, a NaN) d ln error / d ln dt is set to p+1 or limited to [1, 2(p+1)];
    and the distance from the band is limited as above. So a rejected step always decreases dt; one below the band increases
    it, unless it is at the ceiling. The graph of the step is freed here.
    """
    log_error = _log_error(rel_dE)
    slope = _error_slope(log_error, dt, SPLITTINGS[config.integrator].order + 1.0)
    x = log_error.detach()
    lower, upper = _log_band(config)
    failing = ~(rel_dE.detach() <= config.energy_threshold)
    too_large = (x - upper).clamp(0, MAX_FAILING)
    too_large = torch.where(failing, too_large.clamp_min(MIN_FAILING), too_large)
    too_small = torch.where(at_ceiling, 0.0, (lower - x).clamp(0, MAX_BELOW))
    gradient = 2.0 * (too_large - too_small) * slope
    log_dt = torch.log(dt)
    return _band_losses(x, config) + gradient * (log_dt - log_dt.detach())


def estimate_losses(log10_estimate: Tensor, rel_dE: Tensor) -> Tensor:
    """Return the weighted squared distance (B,), in decades, of the network's own error estimate from the error rel_dE."""
    truth = _log_error(rel_dE).detach() / math.log(10.0)
    return ESTIMATE_WEIGHT * (log10_estimate - truth) ** 2


def _log_error(rel_dE: Tensor) -> Tensor:
    """Return the natural logarithm of relative energy errors (B,), finite whatever they are."""
    finite = torch.nan_to_num(rel_dE, nan=LARGEST_ERROR, posinf=LARGEST_ERROR)
    return torch.log(finite.clamp(SMALLEST_ERROR, LARGEST_ERROR))


def _log_band(config: Config) -> tuple[float, float]:
    """Return lower and upper edge of the band, as natural logarithms of the relative energy error."""
    lower, upper = config.energy_band
    return math.log(lower), math.log(upper)


def _band_losses(log_error: Tensor, config: Config) -> Tensor:
    """Return the band loss of every system, (B,)."""
    return band_loss_zero_inside_where(log_error, *_log_band(config))


def _error_slope(log_error: Tensor, dt: Tensor, expected: float) -> Tensor:
    """Return d ln error / d ln dt (B,) of the step, within [1, 2 expected]; `expected` where it is not finite and positive."""
    if not (log_error.requires_grad and dt.requires_grad):
        return torch.full_like(dt, expected)
    (d_error,) = torch.autograd.grad(log_error.sum(), dt)
    slope = d_error * dt.detach()
    informative = torch.isfinite(slope) & (slope > 0)
    return torch.where(informative, slope.clamp(1.0, 2.0 * expected), expected)
