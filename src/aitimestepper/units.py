"""Systems of units by name, with their constant of gravity.

Nothing that computes knows of units. They are a label of `Bodies`, which says what their G = 39.47... means, and from which
their numbers are given back as quantities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .errors import InitialConditionError, nearest_name_hint, shown
from .validation import as_constant

G_SI = 6.67430e-11  # m^3 kg^-1 s^-2, CODATA 2018 and 2022
AU = 149597870700.0  # m, IAU 2012 resolution B2
PARSEC = 648000.0 / math.pi * AU  # IAU 2015 resolution B2
GM_SUN, GM_EARTH, GM_JUPITER = 1.3271244e20, 3.986004e14, 1.2668653e17  # m^3 s^-2, nominal, IAU 2015 resolution B3
YEAR = 365.25 * 86400.0  # s, Julian
SAME_G = 1e-3  # relative difference of constants of gravity that are of the same units; those in use differ by 5e-5

LENGTH, MASS, TIME, VELOCITY, ANGLE, GRAVITY = "length", "mass", "time", "velocity", "angle", "constant of gravity"
POWERS = {LENGTH: (1, 0, 0), MASS: (0, 1, 0), TIME: (0, 0, 1), VELOCITY: (1, 0, -1), ANGLE: (0, 0, 0), GRAVITY: (3, -1, -2)}


class Unit(NamedTuple):
    """A unit: how many of SI it is, and its powers of length, mass and time."""

    scale: float
    powers: tuple[int, int, int]


def _known() -> dict[str, Unit]:
    """Return the units by name, in small letters."""
    lengths = {"m": 1.0, "cm": 1e-2, "km": 1e3, "au": AU, "pc": PARSEC, "kpc": 1e3 * PARSEC, "mpc": 1e6 * PARSEC}
    lengths |= {"parsec": PARSEC, "rsun": 6.957e8, "rearth": 6.3781e6, "rjup": 7.1492e7}  # nominal, IAU 2015 B3
    masses = {"kg": 1.0, "g": 1e-3, "msun": GM_SUN / G_SI, "mearth": GM_EARTH / G_SI, "mjup": GM_JUPITER / G_SI}
    masses |= {"solmass": GM_SUN / G_SI, "mjupiter": GM_JUPITER / G_SI}
    times = {"s": 1.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0, "yr": YEAR}
    times |= {"year": YEAR, "julianyr": YEAR, "kyr": 1e3 * YEAR, "myr": 1e6 * YEAR, "gyr": 1e9 * YEAR}
    times |= dict.fromkeys(("yr2pi", "yr/2pi"), math.sqrt(AU**3 / GM_SUN))  # that in which G = 1 with au and Msun
    angles = {"rad": 1.0, "radian": 1.0, "deg": math.pi / 180, "degree": math.pi / 180, "degrees": math.pi / 180}
    found = {"kms": Unit(1e3, POWERS[VELOCITY])}
    for kind, named in ((LENGTH, lengths), (MASS, masses), (TIME, times), (ANGLE, angles)):
        found |= {name: Unit(scale, POWERS[kind]) for name, scale in named.items()}
    return found


UNITS = _known()
SHORT = {"solar": "au Msun yr", "stellar": "pc Msun Myr", "galactic": "kpc Msun Myr", "si": "m kg s", "cgs": "cm g s"}
# as astropy writes them; its names are not in small letters
SPELLED = {name: name.capitalize() for name in ("msun", "mjup", "mearth", "rsun", "rearth", "rjup", "myr", "gyr", "mpc")}
SPELLED |= {"solmass": "Msun", "mjupiter": "Mjup", "kms": "km/s", "parsec": "pc", "julianyr": "yr", "yr/2pi": "yr2pi"}
NBODY = ("nbody", "n-body")  # G = 1: no units


@dataclass(frozen=True)
class UnitSystem:
    """Units of length (m), mass (kg) and time (s). Two are equal if they are, whatever their names.

    labels: the units of length, mass, time and velocity as astropy writes them, in which quantities are given back.
    """

    name: str = field(compare=False)
    length: float
    mass: float
    time: float
    labels: tuple[str, str, str, str] = field(default=("", "", "", ""), compare=False)

    def __post_init__(self) -> None:
        """Raise an error for units that are no positive numbers."""
        for name in (LENGTH, MASS, TIME):
            scale = getattr(self, name)
            if not (isinstance(scale, float) and 0 < scale < math.inf):
                raise InitialConditionError(f"the unit of {name} is {shown(scale)} of SI; it must be a positive number.")

    @property
    def G(self) -> float:
        """The constant of gravity in these units."""
        return G_SI * self.mass * self.time / self.length * self.time / self.length / self.length

    def scale(self, kind: str) -> float:
        """Return how many of SI the unit of a `kind` (a key of POWERS) is."""
        length, mass, time = POWERS[kind]
        return self.length**length * self.mass**mass * self.time**time

    def to_plain(self) -> dict[str, Any]:
        """Return the units in types that JSON has."""
        return {"name": self.name, "scales": [self.length, self.mass, self.time], "labels": list(self.labels)}


def units_from_plain(plain: Any) -> UnitSystem | None:
    """Return the units that `UnitSystem.to_plain` made plain, or raise a ValueError."""
    if plain is None:
        return None
    scales, labels = plain["scales"], tuple(plain["labels"])
    texts = (plain["name"], *labels)
    if len(scales) != 3 or len(texts) != 5 or not all(isinstance(t, str) and t.isprintable() for t in texts):
        raise ValueError(f"its units {shown(plain)} are none")
    length, mass, time = map(float, scales)
    return UnitSystem(plain["name"], length, mass, time, (labels[0], labels[1], labels[2], labels[3]))


def parse_unit(text: str) -> Unit:
    """Return the unit that a text such as `au`, `km/s`, `km s-1`, `m * s**-1` or `deg` means."""
    whole = UNITS.get(text.strip().lower())
    if whole is not None:
        return whole
    scale, powers, sign = 1.0, np.zeros(3, dtype=int), 1
    for factor in re.findall(r"[/]|[^\s/*·]+", text.replace("**", "^").replace("(", " ").replace(")", " ")):
        if factor == "/":
            sign = -1
            continue
        name, power = factor.lower(), 1
        if name not in UNITS and (found := re.fullmatch(r"([a-z]+)\^?([+-]?\d)", name)):
            name, power = found[1], int(found[2])
        if name not in UNITS:
            raise InitialConditionError(f"unit {shown(text)}: {shown(factor)} is unknown; {nearest_name_hint(name, UNITS)}")
        scale *= UNITS[name].scale ** (sign * power)
        powers, sign = powers + sign * power * np.array(UNITS[name].powers), 1
    if not text.strip():
        raise InitialConditionError("a unit is empty; write one such as au, Msun, km/s, deg.")
    return Unit(scale, (int(powers[0]), int(powers[1]), int(powers[2])))


def unit_system(text: str | UnitSystem | None) -> UnitSystem | None:
    """Return the system of units that a text names: `au Msun yr`, `pc Msun km/s`, `solar`, `SI`, `cgs`, ...

    The text has a length, a mass, and a time or a velocity, in any order. `nbody` and None are no units: G = 1.
    """
    if text is None or isinstance(text, UnitSystem):
        return text
    if not isinstance(text, str):
        raise InitialConditionError(f"units = {shown(text)} must be text, such as 'au Msun yr'.")
    if text.lower() in NBODY:
        return None
    words = SHORT.get(text.strip().lower(), text)
    given = re.split(r"[,\s]+", words.strip())
    found = {(unit := parse_unit(word)).powers: (SPELLED.get(word.lower(), word), unit) for word in given}
    timed = [kind for kind in (TIME, VELOCITY) if POWERS[kind] in found]
    if not len(found) == len(given) == 3 or len(timed) != 1 or not {POWERS[LENGTH], POWERS[MASS]} <= set(found):
        raise InitialConditionError(
            f"units = {shown(text)} must be a length, a mass, and a time or a velocity, such as 'au Msun yr' or "
            f"'pc Msun km/s', or one of {', '.join((*SHORT, NBODY[0]))}."
        )
    return system_of({kind: found[POWERS[kind]] for kind in (LENGTH, MASS, *timed)}, name=text.strip())


def system_of(given: Mapping[str, tuple[str, Unit]], name: str = "") -> UnitSystem:
    """Return the system of a length, a mass, and a velocity, a time or both; times are counted in length / velocity.

    With a velocity, its numbers stay as they are, to the last bit. `given` has the text and the unit of each kind.
    """
    length, mass = given[LENGTH], given[MASS]
    if VELOCITY in given:
        velocity, seconds = given[VELOCITY][0], length[1].scale / given[VELOCITY][1].scale
        time = given[TIME][0] if TIME in given else _time_label(seconds)
    else:
        time, seconds = given[TIME][0], given[TIME][1].scale
        velocity = f"{length[0]} / {time}"
    labels = (length[0], mass[0], time, velocity)
    name = name or " ".join(f"({label})" if " " in label else label for label in (labels[0], labels[1], velocity))
    return UnitSystem(name, length[1].scale, mass[1].scale, seconds, labels)


def _time_label(seconds: float) -> str:
    """Return the unit in which times are given back that are counted in so many seconds: the longest that is no longer."""
    names = ("s", "h", "d", "yr", "Myr", "Gyr")
    return [name for name in names if UNITS[name.lower()].scale <= seconds * (1 + 1e-9) or name == "s"][-1]


def constant_in(units: UnitSystem | None, G: Any) -> float:
    """Return G as a number: as given, otherwise that of the units, otherwise 1. Both given must agree.

    They agree up to the digits in which values of the constant differ, so that a G from elsewhere is taken as it is.
    """
    if G is None:
        return 1.0 if units is None else units.G
    value = as_constant(G)
    if units is not None and not abs(value / units.G - 1) <= SAME_G:
        raise InitialConditionError(
            f"G = {value:g} is not that of the units {units.name}, which is {units.G:g}: leave one of the two out."
        )
    return value


def joint(systems: Iterable[UnitSystem | None]) -> UnitSystem | None:
    """Return the units that all have, or raise an error."""
    found = list(systems)
    for other in found[1:]:
        if other != found[0]:
            words = [("no units" if s is None else s.name) for s in (found[0], other)]
            raise InitialConditionError(
                f"systems of one batch must have the same units, not {words[0]} and {words[1]}: convert with to_units first."
            )
    return found[0]
