"""Outer fields and extra forces as the numbers at the head of a system, in the layout that the kernels read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..errors import ConfigError
from ..fields import (
    LogarithmicHalo,
    MiyamotoNagaiField,
    NFWField,
    Oblateness,
    PlummerField,
    PointMassTidalField,
    PrecessionPotential,
    UniformField,
    VelocityForce,
    acts_from_outside,
    is_known,
    parts_of,
    refuse_misfit,
    uses_velocities,
)
from .callbacks import OwnFunctions
from .kernels import layout as at

Numbers = list[float]


def _plummer(f: PlummerField) -> Numbers:
    return [at.PLUMMER, f.G * f.M, f.b * f.b, 0.0, 0.0, *f.center]


def _logarithmic(f: LogarithmicHalo) -> Numbers:
    return [at.LOGARITHMIC, f.v0 * f.v0, f.core * f.core, 1.0 / (f.q_y * f.q_y), 1.0 / (f.q_z * f.q_z), *f.center]


def _miyamoto_nagai(f: MiyamotoNagaiField) -> Numbers:
    return [at.MIYAMOTO_NAGAI, f.G * f.M, f.a, f.b * f.b, 0.0, *f.center]


def _nfw(f: NFWField) -> Numbers:
    return [at.NFW, f.G * f.M, f.r_s, 0.0, 0.0, *f.center]


def _uniform(f: UniformField) -> Numbers:
    return [at.UNIFORM, 0.0, *f.g]


def _oblateness(f: Oblateness) -> Numbers:
    return [at.OBLATENESS, float(f.body), f.strength, *f.axis]


def _precession(f: PrecessionPotential) -> Numbers:
    return [at.PRECESSION, float(f.body), f.strength]


def _tidal(f: PointMassTidalField) -> Numbers:
    if f.R0 is not None:
        return [at.FIXED, f.G * f.M, *f.R0]
    circle: Any = f.R_of_t
    return [at.CIRCULAR, f.G * f.M, 0.0, 0.0, 0.0, circle.radius, circle.rate, circle.phase]


KNOWN: dict[type, Callable[[Any], Numbers]] = {
    PointMassTidalField: _tidal,
    PlummerField: _plummer,
    LogarithmicHalo: _logarithmic,
    MiyamotoNagaiField: _miyamoto_nagai,
    NFWField: _nfw,
    UniformField: _uniform,
    Oblateness: _oblateness,
    PrecessionPotential: _precession,
}


def field_numbers(start: Bodies, own: OwnFunctions) -> np.ndarray:
    """Return the numbers of the fields and forces of a run, those of the head from `FIELD_TERMS` on."""
    head, parts = np.zeros(at.HEAD), parts_of(start.external_field)
    if len(parts) > at.MOST_TERMS:
        raise ConfigError(f"external_field is the sum of {len(parts)} fields and forces; give {at.MOST_TERMS} at most.")
    head[at.FIELD_TERMS] = len(parts)
    head[at.FIELD_SPEEDS], head[at.FIELD_OUTSIDE] = (
        uses_velocities(start.external_field),
        acts_from_outside(start.external_field),
    )
    for k, part in enumerate(parts):
        numbers = KNOWN[type(part)](part) if is_known(part) else _own(part, start, own)
        if numbers[0] in at.BETWEEN_KINDS:
            numbers[int(at.FIELD_BODY)] = _place_of(part, start)
        first = at.FIRST_TERM + k * at.TERM
        head[first : first + len(numbers)] = numbers
        head[at.FIELD_WORKS] += numbers[0] in (at.CIRCULAR, at.OWN_MOVING, at.VELOCITY_FORCE)
    return head[at.FIELD_TERMS :]


def _place_of(part: Any, start: Bodies) -> float:
    """Return the number of the body that a force comes from among those that are present, which the engine alone knows."""
    places = start.present[:, : part.body].sum(1)
    if not start.present[:, part.body].all() or (places != places[0]).any():
        raise ConfigError(
            f"{type(part).__name__}: body = {part.body} must be present in every system, after as many others in each."
        )
    return float(places[0])


def _own(part: Any, start: Bodies, own: OwnFunctions) -> Numbers:
    """Return the numbers of a user's own: kind and bits of an address. Its potential is compared with its acceleration."""
    axes = start.position.shape[-1]
    if isinstance(part, VelocityForce):
        kind, address = at.VELOCITY_FORCE, own.velocity_force(part, axes)
    else:
        first = start.position[np.arange(len(start)), start.present.argmax(1)][:, None]
        x = np.where(start.present[..., None], start.position, first)
        refuse_misfit(part, x, start.time)
        kind = at.OWN_MOVING if getattr(part, "time_dependent", True) else at.OWN_FIELD
        address = own.field(part, axes)
    return [kind, float(np.array(address, np.int64).view(np.float64))]


def calls_own(numbers: np.ndarray) -> bool:
    """Return whether a function of the user's own is among the fields and forces with these numbers."""
    first = at.FIRST_TERM - at.FIELD_TERMS
    kinds = numbers[first :: at.TERM][: int(numbers[0])]
    return bool(np.isin(kinds, at.OWN_KINDS).any())
