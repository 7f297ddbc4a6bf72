"""Distributions of initial conditions. Each is its inverse cumulative distribution, of one uniform number a system.

Number `n` of a column is draw `n` of a stream that the seed and the name of the column make. So it depends on no chunk, and on
no other column.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np

from ..errors import ConfigError, nearest_name_hint, shown

WORDS = 4  # 64-bit numbers of a counter of Philox
FINEST = 2.0**-54  # half the spacing of uniform numbers, which makes 0 impossible


@dataclass(frozen=True)
class Range:
    """Values that a column may have."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False  # whether `low` itself is out of range
    open_high: bool = False

    def holds(self, values: Any) -> Any:
        """Return whether values are in the range."""
        above = values > self.low if self.open_low else values >= self.low
        below = values < self.high if self.open_high else values <= self.high
        return above & below & (np.abs(values) < np.inf)

    def __str__(self) -> str:
        parts = [f"{'>' if self.open_low else '>='} {self.low:g}"] if self.low > -math.inf else []
        parts += [f"{'<' if self.open_high else '<='} {self.high:g}"] if self.high < math.inf else []
        return " and ".join(parts) or "a finite number"


@dataclass(frozen=True)
class Distribution:
    """A distribution between two numbers, or with two parameters."""

    kind: ClassVar[str] = ""
    low: float
    high: float

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the values below which the shares `u` of all draws are."""
        raise NotImplementedError

    def ends(self) -> tuple[float, ...]:
        """Return values between which all draws are, for the check of their range; none where there are no bounds."""
        return self.low, self.high

    def plain(self) -> Any:
        """Return it as the specification writes it."""
        return {self.kind: [self.low, self.high]}


class Constant(Distribution):
    """One number for all."""

    kind = "constant"

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the number."""
        return np.full(len(u), self.low)

    def plain(self) -> Any:
        """Return the number."""
        return self.low


class Uniform(Distribution):
    """Uniform between two numbers."""

    kind = "uniform"

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the quantiles."""
        return self.low + (self.high - self.low) * u


class LogUniform(Distribution):
    """Uniform in the logarithm."""

    kind = "loguniform"

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the quantiles."""
        return np.clip(np.exp(math.log(self.low) + math.log(self.high / self.low) * u), self.low, self.high)


class Thermal(Distribution):
    """Density in proportion to the value: thermal eccentricities f(e) = 2e, or impact parameters over the area of a disc."""

    kind = "thermal"

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the quantiles."""
        return np.sqrt(self.low**2 + (self.high**2 - self.low**2) * u)


class Disc(Thermal):
    """Uniform over the area of a disc or a ring: its impact parameters."""

    kind = "disc"


class Isotropic(Distribution):
    """An inclination whose cosine is uniform between those of two angles."""

    kind = "isotropic"

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the quantiles."""
        return np.arccos(math.cos(self.low) + (math.cos(self.high) - math.cos(self.low)) * u)


class Normal(Distribution):
    """Normal with a mean and a standard deviation."""

    kind = "normal"

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the quantiles."""
        standard = NormalDist().inv_cdf
        return self.low + self.high * np.array([standard(x) for x in u.tolist()])

    def ends(self) -> tuple[float, ...]:
        """Return none: the draws themselves are checked."""
        return ()


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several numbers, with weights."""

    kind: ClassVar[str] = "choice"
    values: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the quantiles in the order of the list."""
        steps = np.cumsum(self.weights) / sum(self.weights)
        return np.array(self.values)[np.minimum(np.searchsorted(steps, u, side="right"), len(steps) - 1)]

    def ends(self) -> tuple[float, ...]:
        """Return all values."""
        return self.values

    def plain(self) -> Any:
        """Return values and weights."""
        return {"choice": list(self.values), "weights": list(self.weights)}


TURN = Uniform(0.0, 2 * math.pi)  # any phase, node or pericentre
ANY_INCLINATION = Isotropic(0.0, math.pi)
OF_TWO: dict[str, Callable[[float, float], Distribution]] = {
    kind.kind: kind for kind in (Uniform, LogUniform, Thermal, Disc, Isotropic, Normal)
}
KINDS = (*OF_TWO, "constant", "choice")


def uniforms(seed: int, name: str, first: int, count: int) -> np.ndarray:
    """Return the uniform numbers of systems `first`, ... for a column, (count,), between 0 and 1 without either."""
    stream = np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    stream.advance(first // WORDS)
    draws, skipped = np.random.Generator(stream), first % WORDS
    return np.asarray(draws.random(skipped + count)[skipped:] + FINEST)


def distribution_of(where: str, value: Any, allowed: Range) -> Distribution:
    """Return what a specification says of a column, or raise one sentence that begins with `where`."""
    found = _parsed(where, value)
    for end in found.ends():
        if not allowed.holds(end):
            raise ConfigError(f"{where} = {shown(value)} gives {end:g}, which is out of range: it must be {allowed}.")
    return found


def _parsed(where: str, value: Any) -> Distribution:
    if _is_number(value):
        return Constant(float(value), float(value))
    if value == "isotropic":
        return ANY_INCLINATION
    if not isinstance(value, dict):
        raise ConfigError(f"{where} = {shown(value)} must be a number, or a distribution such as {{ uniform = [0.1, 1.0] }}.")
    names = [name for name in value if name != "weights"]
    unknown = next((name for name in names if name not in KINDS), None)
    if unknown is not None or len(names) != 1:
        name = unknown or ", ".join(names)
        raise ConfigError(f"{where} = {shown(value)} must name one distribution: {nearest_name_hint(name, KINDS)}")
    kind, numbers = names[0], value[names[0]]
    if "weights" in value and kind != "choice":
        raise ConfigError(f"{where}: weights belong to choice, not to {kind}.")
    if kind == "constant" and _is_number(numbers):
        return Constant(float(numbers), float(numbers))
    if kind == "choice":
        return _choice(where, numbers, value.get("weights"))
    return _of_two(where, kind, numbers)


def _of_two(where: str, kind: str, numbers: Any) -> Distribution:
    if not (_are_numbers(numbers) and len(numbers) == 2):
        raise ConfigError(f"{where}: {kind} = {shown(numbers)} must be two numbers, such as [0.1, 1.0].")
    low, high = map(float, numbers)
    if kind == "normal" and not high > 0:
        raise ConfigError(f"{where}: normal = {shown(numbers)} has the standard deviation {high:g}, which must be > 0.")
    if kind != "normal" and not low <= high:
        raise ConfigError(f"{where}: {kind} = {shown(numbers)} must be its lower end and then its upper one.")
    if (kind == "loguniform" and not low > 0) or (kind in ("thermal", "disc") and not low >= 0):
        raise ConfigError(f"{where}: {kind} = {shown(numbers)} must be {'above' if kind == 'loguniform' else 'at least'} 0.")
    return OF_TWO[kind](low, high)


def _choice(where: str, values: Any, weights: Any) -> Choice:
    if not _are_numbers(values) or not values:
        raise ConfigError(f"{where}: choice = {shown(values)} must be a list of numbers.")
    weights = [1.0] * len(values) if weights is None else weights
    if not _are_numbers(weights) or len(weights) != len(values) or min(weights) < 0 or not sum(weights) > 0:
        raise ConfigError(
            f"{where}: weights = {shown(weights)} must be {len(values)} numbers of at least 0, not all of them 0."
        )
    numbers = tuple(map(float, values))
    return Choice(min(numbers), max(numbers), numbers, tuple(map(float, weights)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))
