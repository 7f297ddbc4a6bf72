"""Forces between bodies: one body acts on all others by more than Newton's law, and they act back on it.

Momentum and energy are conserved. Distances are not softened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import InitialConditionError, shown
from ..validation import as_constant
from .arrays import as_number, as_vector, dot, library_of, vector_like
from .halos import Standing
from .interface import BETWEEN_BODIES


def _as_body(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InitialConditionError(f"{what} = {shown(value)} must be the number of a body: 0 for the first, 1, 2 ...")
    return value


class _FromBody(Standing):
    """A force with the energy M m g(x) between the body `body`, of mass M, and every other one, of mass m, at x from it."""

    needs: ClassVar[tuple[str, ...]] = BETWEEN_BODIES
    body: int

    def _shape(self, x: Any, r2: Any, mass: Any) -> tuple[Any, Any]:
        """Return -grad g (B, N, D) and g (B, N, 1) for places x from the body; `mass` (B, 1, 1) is M."""
        raise NotImplementedError

    def _pairs(self, x: Any, mass: Any) -> tuple[Any, Any, Any]:
        """Return -grad g, g, and M; zeros for the body itself and for absent bodies, which are at its place."""
        if self.body >= x.shape[1]:
            raise InitialConditionError(
                f"{type(self).__name__}: body = {self.body}, but there are {x.shape[1]} bodies, from 0 to {x.shape[1] - 1}."
            )
        M = mass[:, self.body, None, None]
        apart = x - x[:, self.body, None, :]
        r2 = dot(apart, apart)
        use, real = library_of(x), r2 > 0.0
        pull, g = self._shape(apart, use.where(real, r2, 1.0 + 0.0 * r2), M)
        return use.where(real, pull, 0.0 * pull), use.where(real, g, 0.0 * g), M

    def acceleration(self, x: Any, t: Any, mass: Any) -> Any:
        """Return the acceleration (B, N, D) at positions x (B, N, D), for masses (B, N)."""
        use, (pull, _, M) = library_of(x), self._pairs(x, mass)
        others = use.zeros_like(mass) + 1.0
        others[:, self.body] = 0.0
        back = (mass[..., None] * pull).sum(1)[:, None, :]
        return others[..., None] * (M * pull) - (1.0 - others)[..., None] * back

    def potential(self, x: Any, t: Any, mass: Any) -> Any:
        """Return M g (B, N), whose sum weighted with the masses is the energy; zero for the body itself."""
        _, g, M = self._pairs(x, mass)
        return (M * g)[..., 0]


@dataclass(frozen=True)
class Oblateness(_FromBody):
    """The quadrupole J2 of a body with the equatorial `radius`: energy G M m J2 radius^2 (3 s^2 - 1) / (2 r^3) with each other.

    s is the sine of the latitude above the equator, whose pole `axis` stays where it is: the spin takes the torque. A negative
    J2 belongs to a prolate body.

    Examples:
        >>> from aitimestepper import Oblateness, simulate
        >>> from aitimestepper.initial import kepler
        >>> force = Oblateness(J2=1e-3, radius=0.1)  # radius is a length
        >>> simulate(kepler(e=0.5), t_end=6.28, external_field=force, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    J2: float
    radius: float
    body: int = 0
    axis: Sequence[float] = (0.0, 0.0, 1.0)
    G: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no quadrupole, and make the axis a unit vector."""
        pole = as_vector(self.axis, "Oblateness: axis")
        length = sum(c * c for c in pole) ** 0.5
        if not length > 0.0:
            raise InitialConditionError("Oblateness: axis has no direction; give one such as (0, 0, 1).")
        self._keep(
            J2=as_number(self.J2, "Oblateness: J2"),
            radius=as_constant(self.radius, "Oblateness: radius"),
            body=_as_body(self.body, "Oblateness: body"),
            axis=pole if length == 1.0 else tuple(c / length for c in pole),
            G=as_constant(self.G, "Oblateness: G"),
        )

    @property
    def strength(self) -> float:
        """G J2 radius^2 / 2."""
        return 0.5 * self.G * self.J2 * self.radius * self.radius

    def _shape(self, x: Any, r2: Any, mass: Any) -> tuple[Any, Any]:
        inside = x.shape[-1] == 2
        if inside and self.axis[2] and any(self.axis[:2]):
            raise InitialConditionError(
                f"Oblateness: axis = {self.axis} is tilted, and pulls bodies out of their plane; give them three axes."
            )
        use, pole = library_of(x), vector_like(x, (*self.axis[:2], 0.0) if inside else self.axis, "Oblateness: axis")  # type: ignore[arg-type]
        inverse2 = 1.0 / r2
        cube = self.strength * inverse2 * use.sqrt(inverse2)
        height = dot(x, pole)
        s2 = height * height * inverse2
        pull = cube * inverse2 * (x * (15.0 * s2 - 3.0) - 6.0 * height * pole)
        return pull, cube * (3.0 * s2 - 1.0)


@dataclass(frozen=True)
class PrecessionPotential(_FromBody):
    """The relativistic precession about a body, by the energy -3 G^2 M^2 m / (c^2 r^2) (Nobili & Roxburgh 1986).

    The pericentre of a light body advances by 6 pi G M / (c^2 a (1 - e^2)) an orbit, as in general relativity at first
    post-Newtonian order. Other effects of that order, as on the period, are not those of relativity.

    Examples:
        >>> from aitimestepper import PrecessionPotential, simulate
        >>> from aitimestepper.initial import kepler
        >>> force = PrecessionPotential(c=100.0)  # the speed of light in the units of the bodies
        >>> simulate(kepler(e=0.5), t_end=6.28, external_field=force, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    c: float
    body: int = 0
    G: float = 1.0
    central: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse what is no speed of light."""
        self._keep(
            c=as_constant(self.c, "PrecessionPotential: c"),
            body=_as_body(self.body, "PrecessionPotential: body"),
            G=as_constant(self.G, "PrecessionPotential: G"),
        )

    @property
    def strength(self) -> float:
        """3 G^2 / c^2."""
        ratio = self.G / self.c
        return 3.0 * ratio * ratio

    def _shape(self, x: Any, r2: Any, mass: Any) -> tuple[Any, Any]:
        g = -self.strength * mass / r2
        return 2.0 * g / r2 * x, g
