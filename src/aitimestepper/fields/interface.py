"""What the bodies ask of an outer field or an extra force, and how to ask it.

There are three kinds, told apart by what else their methods take (`needs`):

- A field acts from outside: `acceleration(x, t)` and `potential(x, t)`.
- A force between bodies comes from one of them, and acts back on it: `acceleration(x, t, mass)`, `potential(x, t, mass)`.
- A velocity-dependent force has no potential, but for a zero: `acceleration(x, t, mass, velocity)`, `potential(x, t, mass)`.

Shapes: positions x and velocities (B, N, D), masses (B, N), times t (B,), in the units of the bodies.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

BETWEEN_BODIES, WITH_VELOCITIES = ("mass",), ("mass", "velocity")


@runtime_checkable
class ExternalField(Protocol):
    """Interface of an external field.

    Write it with operators that NumPy and torch share: `Bodies` call it with arrays, and with torch tensors features and
    criteria differentiate through it. A field of torch operations alone serves `ParticleTorch` only.
    """

    @property
    def time_dependent(self) -> bool:
        """Whether the field changes with time at a fixed place."""
        ...

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D) at positions x (B, N, D) and times t (B,)."""
        ...

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        ...


def needs_of(field: Any) -> tuple[str, ...]:
    """Return what the methods of one field or force take besides positions and times."""
    return tuple(getattr(field, "needs", ()))


def acceleration_by(field: Any, x: Any, t: Any, mass: Any, velocity: Any) -> Any:
    """Return the acceleration (B, N, D) by any field or force."""
    given = {"mass": mass, "velocity": velocity}
    return field.acceleration(x, t, *(given[name] for name in needs_of(field)))


def potential_by(field: Any, x: Any, t: Any, mass: Any) -> Any:
    """Return the potential per unit mass (B, N), whose sum weighted with the masses is the energy in the field."""
    return field.potential(x, t, mass) if needs_of(field) else field.potential(x, t)
