"""Whether the potential of a user's own field fits its acceleration: differences of the one against integrals of the other.

Along a short way from x - h to x + h the potential changes by minus the integral of the acceleration, and at a fixed place from
t - h to t + h by the integral of its rate. Both are compared at several h. A right field agrees at some of them: over long ways
Simpson's rule is inexact, over short ones rounding errors of the potential are not small. The latter are measured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import InitialConditionError

TOLERANCE = 1e-4  # misfit, relative to the acceleration, that a right field never has
# h, in sizes of the system, or in times of free fall through it; over the last two only rounding errors are left
LENGTHS = 10.0 ** -np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0, 10.0])
FLOOR = 1e-6  # slopes count as this share of their median at least: all derivatives of a field may vanish at one place
CURVED = 0.03  # second difference of the slope, relative to it, above which Simpson's rule tells nothing: near a pole
CONCLUSIVE = 0.03  # rounding errors of the potential, relative to its change, above which a way tells nothing
ROUNDING = 16 * float(np.finfo(float).eps)  # relative error of a potential
SYSTEMS, BODIES = 2, 8  # how many of a batch are looked at
DISPLACED = 0.1  # displacements of the bodies, in sizes of the system
LATER = 0.37  # time of the second look, in times of free fall


class _Looks(NamedTuple):
    """Places and times at which a field is looked at."""

    x: np.ndarray  # (P, N, D)
    t: np.ndarray  # (P,)
    size: np.ndarray  # (P,) of the system
    fall: np.ndarray  # (P,) time of free fall through the system, by the field alone


class _Ways(NamedTuple):
    """Ways of several lengths with two ends and a middle: arrays (lengths, axes, P, N), those of the middle (axes, P, N)."""

    length: np.ndarray  # from end to end
    value: tuple[np.ndarray, np.ndarray, np.ndarray]
    slope: tuple[np.ndarray, np.ndarray, np.ndarray]
    scale: np.ndarray  # what slopes are compared with


def refuse_misfit(field: Any, x: np.ndarray, t: np.ndarray) -> None:
    """Raise an error if the potential does not fit the acceleration near positions x (B, N, D) at times t (B,)."""
    moving = bool(getattr(field, "time_dependent", True))
    with np.errstate(all="ignore"):
        looks = _looks(field, x[:SYSTEMS, :BODIES], t[:SYSTEMS], moving)
        worst = _worst(_ways_in_space(field, looks))
        if worst > TOLERANCE:
            raise InitialConditionError(
                f"{_name(field)} has a potential that does not fit its acceleration: minus its gradient differs by {worst:.1e} "
                "of the acceleration; give the potential that the force comes from, or make it a VelocityForce."
            )
        if not moving:
            _refuse_change(field, looks)
        elif callable(getattr(field, "potential_rate", None)):
            worst = _worst(_ways_in_time(field, looks))
            if worst > TOLERANCE:
                raise InitialConditionError(
                    f"{_name(field)} has a potential that changes at another rate than it says, by {worst:.1e} of it: give "
                    "d(potential)/dt at fixed places."
                )


def _name(field: Any) -> str:
    name = getattr(getattr(field, "function", None), "__name__", None)
    return f"the external field {type(field).__name__}" + (f"({name})" if name else "")


def _looks(field: Any, x: np.ndarray, t: np.ndarray, moving: bool) -> _Looks:
    """Return the places of the bodies and two displaced ones of each; of a moving field also at a later time."""
    size = np.sqrt(((x - x.mean(1, keepdims=True)) ** 2).sum(-1)).max(1)
    far = np.sqrt((x**2).sum(-1)).max(1)
    size = np.where(size > 0, size, np.where(far > 0, far, 1.0))
    pull = np.sqrt((_called(field, "acceleration", x, t) ** 2).sum(-1)).max(1)
    fall = np.where(pull > 0, np.sqrt(size / pull), 1.0)
    rng = np.random.default_rng(1)
    moves = rng.normal(size=(2, *x.shape)) * (DISPLACED * size)[:, None, None]
    once = _Looks(np.concatenate([x, *(x + moves)]), np.tile(t, 3), np.tile(size, 3), np.tile(fall, 3))
    if not moving:
        return once
    later = once._replace(t=once.t + LATER * once.fall)
    return _Looks(*(np.concatenate(pair) for pair in zip(once, later, strict=True)))


def _called(field: Any, quantity: str, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return what a method of the field gives at x (..., N, D) and t (...), in the shape that it must have."""
    flat = x.reshape(-1, *x.shape[-2:])
    found = np.asarray(getattr(field, quantity)(flat, np.broadcast_to(t, x.shape[:-2]).ravel()), dtype=np.float64)
    shape = flat.shape if quantity == "acceleration" else flat.shape[:2]
    if found.shape != shape:
        raise InitialConditionError(
            f"{_name(field)}: its {quantity} has the shape {found.shape} for positions {flat.shape}; it must be {shape}."
        )
    return found.reshape(x.shape if quantity == "acceleration" else x.shape[:-1])


def _ways_in_space(field: Any, looks: _Looks) -> _Ways:
    """Return ways along each axis through every place."""
    D = looks.x.shape[-1]
    step = LENGTHS[:, None, None, None, None] * looks.size[:, None, None] * np.eye(D)[:, None, None, :]
    places, axes = (looks.x - step, looks.x, looks.x + step), np.arange(D)
    phi = [_called(field, "potential", x, looks.t) for x in places]
    a = [_called(field, "acceleration", x, looks.t) for x in places]
    length = np.stack([(places[2] - places[0])[:, k, ..., k] for k in axes], 1)
    along = (
        np.stack([-a[0][:, k, ..., k] for k in axes], 1),
        np.stack([-a[1][..., k] for k in axes]),
        np.stack([-a[2][:, k, ..., k] for k in axes], 1),
    )
    sizes = [np.sqrt((one**2).sum(-1)) for one in a]
    scale = np.maximum(np.maximum(sizes[0], sizes[2]), np.maximum(sizes[1], FLOOR * np.median(sizes[1])))
    return _Ways(length, (phi[0], phi[1], phi[2]), along, scale)


def _ways_in_time(field: Any, looks: _Looks) -> _Ways:
    """Return ways in time at every place, as along one axis."""
    step = LENGTHS[:, None, None] * looks.fall
    times = (looks.t - step, looks.t + 0.0 * step[0], looks.t + step)
    x = np.broadcast_to(looks.x, (len(LENGTHS), 1, *looks.x.shape))
    phi, rate = (
        [_called(field, name, x if np.ndim(t) == 3 else x[0], t) for t in times] for name in ("potential", "potential_rate")
    )
    sizes = np.maximum(np.maximum(np.abs(rate[0]), np.abs(rate[2])), np.abs(rate[1]))
    scale = np.maximum(sizes, FLOOR * np.median(sizes))
    length = (times[2] - times[0])[..., None] + 0.0 * scale
    return _Ways(length, (phi[0], phi[1], phi[2]), (rate[0], rate[1], rate[2]), scale)


def _worst(ways: _Ways) -> float:
    """Return the largest misfit over places, of each the smallest over lengths, relative to the scale.

    Rounding errors of the potential do not count. Nor do ways that they dominate or that are too long for Simpson's rule.
    """
    before, here, after = ways.value
    integral = ways.length / 6.0 * (ways.slope[0] + 4.0 * ways.slope[1] + ways.slope[2])
    differences = np.abs(after - before - integral)
    left_over = np.maximum(differences, np.abs(before - 2.0 * here + after))[-2:].max((0, 1))
    rounding = np.maximum(np.maximum(np.abs(before), np.abs(after)) * ROUNDING, 8.0 * left_over)
    excess, size = np.maximum(differences - rounding, 0.0), np.abs(ways.length) * ways.scale
    bend = np.abs(ways.slope[0] - 2.0 * ways.slope[1] + ways.slope[2])
    counts = np.isfinite(excess) & (rounding <= CONCLUSIVE * size) & (bend <= CURVED * ways.scale)
    misfit = np.where(counts, np.where(excess > 0.0, excess / size, 0.0), np.inf)[:-2].min(0)
    return float(np.where(np.isfinite(misfit), misfit, 0.0).max())


def _refuse_change(field: Any, looks: _Looks) -> None:
    """Raise an error if the potential of a field that says that it stands still changes with time."""
    now = _called(field, "potential", looks.x, looks.t)
    for later in (0.5, 1.0, 3.0):
        then = _called(field, "potential", looks.x, looks.t + later * looks.fall)
        if (np.abs(then - now) > TOLERANCE * np.abs(now)).any():
            raise InitialConditionError(
                f"{_name(field)} has a potential that changes with time, and says that it does not: set time_dependent."
            )
