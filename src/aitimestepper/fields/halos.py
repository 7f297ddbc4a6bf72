"""Galaxies, clusters and halos as analytic outer fields, and a uniform field. All stand still about a centre.

Potentials per unit mass, with x measured from the centre, R^2 = x^2 + y^2 and r^2 = R^2 + z^2, in the units of the bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..validation import as_constant
from .arrays import as_number, as_vector, constant_like, dot, library_of, square_root_above_zero, vector_like
from .combined import Summable

SERIES = 12  # terms of `_log_terms`: enough for 1e-17 where u < 1/2


class Standing(Summable):
    """A field that does not change with time."""

    time_dependent: ClassVar[bool] = False

    def _keep(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _from_centre(self, x: Any) -> Any:
        """Return the positions (B, N, D) relative to the centre."""
        return x - vector_like(x, self.center, f"{type(self).__name__}: center")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class PlummerField(Standing):
    """Plummer's sphere of mass M: -G M / sqrt(r^2 + b^2).

    Examples:
        >>> from aitimestepper import PlummerField, simulate
        >>> from aitimestepper.initial import kepler
        >>> field = PlummerField(M=0.5, b=3.0)  # a mass and a length
        >>> simulate(kepler(e=0.5), t_end=6.28, external_field=field, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    M: float
    b: float
    center: Sequence[float] = (0.0, 0.0, 0.0)
    G: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no sphere."""
        self._keep(
            M=as_constant(self.M, "PlummerField: M"),
            b=as_constant(self.b, "PlummerField: b"),
            center=as_vector(self.center, "PlummerField: center"),
            G=as_constant(self.G, "PlummerField: G"),
        )

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D)."""
        x = self._from_centre(x)
        s2 = dot(x, x) + self.b * self.b
        return -self.G * self.M / (s2 * library_of(x).sqrt(s2)) * x

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        x = self._from_centre(x)
        return (-self.G * self.M / library_of(x).sqrt(dot(x, x) + self.b * self.b))[..., 0]


@dataclass(frozen=True)
class LogarithmicHalo(Standing):
    """Halo with a flat rotation curve: v0^2/2 ln(1 + m^2/core^2), m^2 = x^2 + y^2/q_y^2 + z^2/q_z^2.

    Far out the circular velocity is v0. The potential is zero at the centre.

    Examples:
        >>> from aitimestepper import LogarithmicHalo, simulate
        >>> from aitimestepper.initial import kepler
        >>> field = LogarithmicHalo(v0=0.5, core=2.0)  # v0 is a velocity, core a length
        >>> simulate(kepler(e=0.5), t_end=6.28, external_field=field, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    v0: float
    core: float
    q_y: float = 1.0
    q_z: float = 1.0
    center: Sequence[float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse what is no halo."""
        for name in ("v0", "core", "q_y", "q_z"):
            self._keep(**{name: as_constant(getattr(self, name), f"LogarithmicHalo: {name}")})
        self._keep(center=as_vector(self.center, "LogarithmicHalo: center"))

    def _flattened(self, x: Any) -> tuple[Any, Any]:
        """Return the gradient of m^2 / 2, and m^2 / core^2."""
        x = self._from_centre(x)
        inverse_squares = (1.0, 1.0 / (self.q_y * self.q_y), 1.0 / (self.q_z * self.q_z))
        gradient = x * constant_like(x, inverse_squares[: x.shape[-1]])
        return gradient, dot(x, gradient) / (self.core * self.core)

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D)."""
        gradient, u = self._flattened(x)
        return -self.v0 * self.v0 / (self.core * self.core * (1.0 + u)) * gradient

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        _, u = self._flattened(x)
        return (0.5 * self.v0 * self.v0 * library_of(x).log(1.0 + u))[..., 0]


@dataclass(frozen=True)
class MiyamotoNagaiField(Standing):
    """Disc of mass M in the first two axes: -G M / sqrt(R^2 + (a + sqrt(z^2 + b^2))^2).

    Examples:
        >>> from aitimestepper import MiyamotoNagaiField, simulate
        >>> from aitimestepper.initial import kepler
        >>> field = MiyamotoNagaiField(M=2.0, a=3.0, b=0.3)  # a mass and two lengths
        >>> simulate(kepler(e=0.5), t_end=6.28, external_field=field, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    M: float
    a: float
    b: float
    center: Sequence[float] = (0.0, 0.0, 0.0)
    G: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no disc."""
        self._keep(
            M=as_constant(self.M, "MiyamotoNagaiField: M"),
            a=as_number(self.a, "MiyamotoNagaiField: a", 0.0),
            b=as_constant(self.b, "MiyamotoNagaiField: b"),
            center=as_vector(self.center, "MiyamotoNagaiField: center"),
            G=as_constant(self.G, "MiyamotoNagaiField: G"),
        )

    def _scales(self, x: Any) -> tuple[Any, Any, Any]:
        """Return the place from the centre, h = sqrt(z^2 + b^2), and R^2 + (a + h)^2; z = 0 for bodies in the plane."""
        x = self._from_centre(x)
        z = x[..., 2:3] if x.shape[-1] == 3 else 0.0 * x[..., 0:1]
        h = library_of(x).sqrt(z * z + self.b * self.b)
        x1, x2, wide = x[..., 0:1], x[..., 1:2], self.a + h
        return x, h, x1 * x1 + x2 * x2 + wide * wide

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D)."""
        use = library_of(x)
        x, h, s2 = self._scales(x)
        pull = -self.G * self.M / (s2 * use.sqrt(s2))
        along = x[..., 2:3] * ((self.a + h) / h)
        return pull * use.concatenate([x[..., :2], along], -1)

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        return (-self.G * self.M / library_of(x).sqrt(self._scales(x)[2]))[..., 0]


@dataclass(frozen=True)
class NFWField(Standing):
    """Halo of Navarro, Frenk & White with scale radius r_s: -G M ln(1 + r/r_s) / r.

    M = 4 pi rho_0 r_s^3. The mass within r is M (ln(1 + u) - u/(1 + u)) for u = r/r_s: 0.193 M within r_s.

    Examples:
        >>> from aitimestepper import NFWField, simulate
        >>> from aitimestepper.initial import kepler
        >>> field = NFWField(M=5.0, r_s=9.0)  # a mass and a length
        >>> simulate(kepler(e=0.5), t_end=6.28, external_field=field, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    M: float
    r_s: float
    center: Sequence[float] = (0.0, 0.0, 0.0)
    G: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no halo."""
        self._keep(
            M=as_constant(self.M, "NFWField: M"),
            r_s=as_constant(self.r_s, "NFWField: r_s"),
            center=as_vector(self.center, "NFWField: center"),
            G=as_constant(self.G, "NFWField: G"),
        )

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D)."""
        x = self._from_centre(x)
        r = square_root_above_zero(x, dot(x, x))
        return -self.G * self.M / (self.r_s * self.r_s) * _enclosed(r / self.r_s) / r * x

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        x = self._from_centre(x)
        use, u = library_of(x), square_root_above_zero(x, dot(x, x)) / self.r_s
        w = u / (2.0 + u)
        near = 2.0 / (2.0 + u) * (1.0 + w * w * _log_terms(w))
        return (-self.G * self.M / self.r_s * use.where(u < 0.5, near, use.log(1.0 + u) / u))[..., 0]


def _log_terms(w: Any) -> Any:
    """Return T = 1/3 + w^2/5 + w^4/7 + ..., with which ln(1 + u) = 2 w + 2 w^3 T, w = u/(2 + u)."""
    w2 = w * w
    total = 1.0 / (2 * SERIES + 1) + 0.0 * w
    for k in range(SERIES - 1, 0, -1):
        total = 1.0 / (2 * k + 1) + w2 * total
    return total


def _enclosed(u: Any) -> Any:
    """Return (ln(1 + u) - u/(1 + u)) / u^2; below 1/2 from a series of positive terms, since the two nearly cancel."""
    use, w = library_of(u), u / (2.0 + u)
    near = 2.0 / ((2.0 + u) * (2.0 + u)) * (1.0 / (1.0 + w) + w * _log_terms(w))
    return use.where(u < 0.5, near, (use.log(1.0 + u) - u / (1.0 + u)) / (u * u))


@dataclass(frozen=True)
class UniformField(Standing):
    """The same acceleration g everywhere: potential -g.x.

    Examples:
        >>> from aitimestepper import UniformField, simulate
        >>> from aitimestepper.initial import kepler
        >>> field = UniformField(g=(0.01, 0.0, 0.0))  # an acceleration
        >>> simulate(kepler(e=0.5), t_end=6.28, external_field=field, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    g: Sequence[float]

    def __post_init__(self) -> None:
        """Refuse what is no acceleration."""
        self._keep(g=as_vector(self.g, "UniformField: g"))

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D)."""
        return vector_like(x, self.g, "UniformField: g") + 0.0 * x  # type: ignore[arg-type]

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        return -dot(x, vector_like(x, self.g, "UniformField: g"))[..., 0]  # type: ignore[arg-type]
