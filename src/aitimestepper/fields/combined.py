"""Several fields and forces at once: their accelerations and potentials add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, ClassVar

from ..errors import InitialConditionError, shown
from .interface import BETWEEN_BODIES, WITH_VELOCITIES, acceleration_by, needs_of, potential_by


class Summable:
    """What can be added to another field or force by `+`."""

    def __add__(self, other: Any) -> CombinedField:
        """Return both together."""
        return CombinedField((self, other))

    def __radd__(self, other: Any) -> CombinedField:
        """Return both together, after a field that does not know `+`."""
        return CombinedField((other, self))


@dataclass(frozen=True)
class CombinedField(Summable):
    """The sum of fields and forces: what `a + b`, or a list of them as `external_field`, stands for."""

    parts: tuple[Any, ...]
    needs: ClassVar[tuple[str, ...]] = WITH_VELOCITIES

    def __post_init__(self) -> None:
        """Take the parts of sums among the parts, so that a sum of sums is one."""
        parts: list[Any] = []
        for part in self.parts:
            if not callable(getattr(part, "acceleration", None)):
                raise InitialConditionError(
                    f"external_field: {shown(part)} is no field and no force, and cannot be added to one."
                )
            parts += part.parts if isinstance(part, CombinedField) else [part]
        object.__setattr__(self, "parts", tuple(parts))

    @property
    def time_dependent(self) -> bool:
        """Whether one of them changes with time."""
        return any(getattr(part, "time_dependent", True) for part in self.parts)

    def acceleration(self, x: Any, t: Any, mass: Any, velocity: Any) -> Any:
        """Return the acceleration (B, N, D)."""
        return reduce(lambda a, b: a + b, [acceleration_by(part, x, t, mass, velocity) for part in self.parts])

    def potential(self, x: Any, t: Any, mass: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        return reduce(lambda a, b: a + b, [potential_by(part, x, t, mass) for part in self.parts])


def as_field(given: Any) -> Any:
    """Return one field or force of what is given as `external_field`: itself, or the sum of a list; None for None."""
    if not isinstance(given, (list, tuple)):
        return given
    parts = CombinedField(tuple(given)).parts
    return parts[0] if len(parts) == 1 else CombinedField(parts) if parts else None


def parts_of(field: Any) -> tuple[Any, ...]:
    """Return the fields and forces that a field consists of; none for None."""
    if field is None:
        return ()
    return field.parts if isinstance(field, CombinedField) else (field,)


def outside_part(field: Any) -> Any:
    """Return the part that acts from outside at any place: neither between bodies nor by velocities. None if there is none."""
    return as_field([part for part in parts_of(field) if not needs_of(part)])


def field_without_body(field: Any, number: int) -> Any:
    """Return a field for systems that lose the body `number`: later bodies, of which forces may come, move up by one."""
    parts = []
    for part in parts_of(field):
        body = getattr(part, "body", None) if needs_of(part) == BETWEEN_BODIES else None
        if body == number:
            raise InitialConditionError(f"{type(part).__name__} comes from body {number}, which cannot go while it acts.")
        parts.append(part if body is None or body < number else replace(part, body=body - 1))
    return as_field(parts)


def acts_from_outside(field: Any) -> bool:
    """Return whether something outside acts on the bodies, so that their momentum is not conserved."""
    return any(needs_of(part) != BETWEEN_BODIES for part in parts_of(field))


def conserves_spin(field: Any) -> bool:
    """Return whether the angular momentum of the bodies is conserved; oblateness gives some to the spin of its body."""
    return all(getattr(part, "central", False) for part in parts_of(field))


def uses_velocities(field: Any) -> bool:
    """Return whether a velocity-dependent force acts."""
    return any(needs_of(part) == WITH_VELOCITIES for part in parts_of(field))


def constants_of(field: Any) -> set[float]:
    """Return the gravitational constants that the fields were made with."""
    return {part.G for part in parts_of(field) if hasattr(part, "G")}
