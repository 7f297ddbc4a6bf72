"""Fields as plain values for files, and as the text of `--external-field`."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

from ..config import Config
from ..errors import InitialConditionError, UserError, shown
from ..specs import build
from .between import Oblateness, PrecessionPotential
from .combined import as_field, parts_of
from .halos import LogarithmicHalo, MiyamotoNagaiField, NFWField, PlummerField, UniformField
from .interface import ExternalField
from .tidal import Circle, PointMassTidalField, tidal

OWN = "own"  # in files, in place of a field that only the user can give again
OWN_TEXT = "a function of the user's own"


# ---- text -----------------------------------------------------------------------------------------------------------------
def plummer(M: float, b: float, x: float = 0.0, y: float = 0.0, z: float = 0.0, G: float = 1.0) -> PlummerField:
    """Return Plummer's sphere of mass M and scale b about (x, y, z)."""
    return PlummerField(M, b, (x, y, z), G)


def logarithmic(
    v0: float, core: float, q_y: float = 1.0, q_z: float = 1.0, x: float = 0.0, y: float = 0.0, z: float = 0.0
) -> LogarithmicHalo:
    """Return a halo with the circular velocity v0 far out, and axis ratios q_y and q_z of the potential."""
    return LogarithmicHalo(v0, core, q_y, q_z, (x, y, z))


def miyamoto_nagai(
    M: float, a: float, b: float, x: float = 0.0, y: float = 0.0, z: float = 0.0, G: float = 1.0
) -> MiyamotoNagaiField:
    """Return a disc of mass M in the first two axes, of length a and height b."""
    return MiyamotoNagaiField(M, a, b, (x, y, z), G)


def nfw(M: float, r_s: float, x: float = 0.0, y: float = 0.0, z: float = 0.0, G: float = 1.0) -> NFWField:
    """Return a halo of Navarro, Frenk & White, M = 4 pi rho_0 r_s^3."""
    return NFWField(M, r_s, (x, y, z), G)


def uniform(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> UniformField:
    """Return the acceleration (x, y, z) everywhere."""
    return UniformField((x, y, z))


def oblateness(
    J2: float, radius: float, body: int = 0, x: float = 0.0, y: float = 0.0, z: float = 1.0, G: float = 1.0
) -> Oblateness:
    """Return the quadrupole of a body about the axis (x, y, z)."""
    return Oblateness(J2, radius, body, (x, y, z), G)


def precession(c: float, body: int = 0, G: float = 1.0) -> PrecessionPotential:
    """Return the relativistic precession about a body, for the speed of light c."""
    return PrecessionPotential(c, body, G)


FIELDS: dict[str, Callable[..., Any]] = {
    "tidal": tidal,
    "plummer": plummer,
    "logarithmic": logarithmic,
    "miyamoto_nagai": miyamoto_nagai,
    "nfw": nfw,
    "uniform": uniform,
    "oblateness": oblateness,
    "precession": precession,
}
NAMES: dict[type, str] = {
    PlummerField: "plummer",
    LogarithmicHalo: "logarithmic",
    MiyamotoNagaiField: "miyamoto_nagai",
    NFWField: "nfw",
    UniformField: "uniform",
    Oblateness: "oblateness",
    PrecessionPotential: "precession",
}
CLASSES = {name: kind for kind, name in NAMES.items()}
BETWEEN_FIELDS = re.compile(r"\+(?=[a-z])")  # a plus before a letter begins another field; that of 1e+3 does not


def field_named(text: str | None, G: float) -> ExternalField | None:
    """Return the field that a text such as `tidal:M=1000,R0=20+uniform:x=0.1` describes; None for None."""
    if text is None:
        return None
    words = BETWEEN_FIELDS.split(text) if isinstance(text, str) else [text]
    made: ExternalField = as_field([build(one, FIELDS, "external field", UserError, G=G) for one in words])
    return made


def field_from(config: Config) -> ExternalField | None:
    """Return the external field that the settings name."""
    return field_named(config.external_field, config.G)


def field_text(field: Any) -> str | None:
    """Return a field as text for `--external-field`, or a description if it is a user's function; None without a field."""
    return None if field is None else "+".join(_text(part) for part in parts_of(field))


def _text(field: Any) -> str:
    if not is_known(field):
        return OWN_TEXT
    if isinstance(field, PointMassTidalField):
        if field.R0 is None:
            circle: Any = field.R_of_t
            period = 2 * math.pi / circle.rate
            return f"tidal:M={field.M!r},R0={circle.radius!r},period={period!r},phase={circle.phase!r}"
        x, y, z = (*field.R0, 0.0, 0.0)[:3]
        return f"tidal:M={field.M!r},R0={x!r},y={y!r},z={z!r}"
    values = dataclasses.asdict(field)
    for name in ("center", "axis", "g"):
        if name in values:
            values |= dict(zip("xyz", values.pop(name), strict=True))
    return f"{NAMES[type(field)]}:" + ",".join(f"{name}={value!r}" for name, value in values.items() if name != "G")


# ---- plain values ---------------------------------------------------------------------------------------------------------
def is_known(field: Any) -> bool:
    """Return whether the engine computes the field by itself: it is no function of a user's own."""
    if type(field) is PointMassTidalField:
        return field.R0 is not None or isinstance(field.R_of_t, Circle)
    return type(field) in NAMES


def field_to_plain(field: Any) -> dict[str, Any] | str | None:
    """Return a field as plain values, from which `field_from_plain` makes it to the bit; `OWN` if any part is a user's own."""
    parts = parts_of(field)
    if not all(is_known(part) for part in parts):
        return OWN
    if len(parts) > 1:
        return {"sum": [_to_plain(part) for part in parts]}
    return _to_plain(parts[0]) if parts else None


def _to_plain(field: Any) -> dict[str, Any]:
    if not isinstance(field, PointMassTidalField):
        return {"kind": NAMES[type(field)], **dataclasses.asdict(field)}
    place = {"R0": field.R0} if field.R0 is not None else {"circle": dataclasses.astuple(field.R_of_t)}  # type: ignore[call-overload]
    return {"M": field.M, "G": field.G, **place}


def field_from_plain(plain: dict[str, Any] | None) -> Any:
    """Return the field that plain values describe, or raise an error of the kind that wrong arguments do."""
    if plain is None:
        return None
    if "sum" in plain:
        return as_field([_from_plain(part) for part in plain["sum"]])
    return _from_plain(plain)


def _from_plain(plain: dict[str, Any]) -> Any:
    if "kind" in plain:
        values = {name: value for name, value in plain.items() if name != "kind"}
        if not isinstance(plain["kind"], str) or plain["kind"] not in CLASSES:
            raise InitialConditionError(f"the field of the kind {shown(plain['kind'])} is none of {', '.join(CLASSES)}.")
        return CLASSES[plain["kind"]](**values)
    if "circle" not in plain:
        return PointMassTidalField(plain["M"], R0=plain["R0"], G=plain["G"])
    radius, rate, phase = (float(x) for x in plain["circle"])
    if not all(map(math.isfinite, (radius, rate, phase))):
        raise InitialConditionError(f"PointMassTidalField: circle = {plain['circle']} must be finite numbers.")
    return PointMassTidalField(plain["M"], R_of_t=Circle(radius, rate, phase), G=plain["G"])
