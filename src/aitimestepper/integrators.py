"""The integrators: tables of the symmetric compositions, and order and cost of the others.

A composition is a palindrome of kick-drift-kick leapfrogs by fractions of dt. Every one is symplectic for a constant step and
time-reversible. The last force of a sub-step is the first of the next one, so an s-stage method costs s force evaluations a
step.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import ConfigError, nearest_name_hint, shown

COMPOSITION, HERMITE, LOGH, RADAU = range(4)  # kinds of integrators, as the kernels switch on them


class Composition(NamedTuple):
    """A method of `order`: one leapfrog by each of `fractions` of dt; they are palindromic and sum to 1."""

    order: int
    fractions: tuple[float, ...]
    source: str


def _palindrome(*half: float) -> tuple[float, ...]:
    """Return the palindrome whose first half and middle are `half`."""
    return (*half, *reversed(half[:-1]))


_SUZUKI = 1.0 / (4.0 - 4.0 ** (1.0 / 3.0))

COMPOSITIONS: dict[str, Composition] = {
    "leapfrog": Composition(2, (1.0,), "Stoermer, Verlet"),
    "suzuki4": Composition(4, _palindrome(_SUZUKI, _SUZUKI, 1.0 - 4.0 * _SUZUKI), "Suzuki 1990, 5 stages"),
    "kahan_li6": Composition(
        6,
        _palindrome(
            0.39216144400731413928,
            0.33259913678935943860,
            -0.70624617255763935981,
            0.08221359629355080023,
            0.79854399093482996340,
        ),
        "Kahan & Li 1997, 9 stages",
    ),
    "kahan_li8": Composition(
        8,
        _palindrome(
            0.13020248308889008088,
            0.56116298177510838456,
            -0.38947496264484728641,
            0.15884190655515560090,
            -0.39590389413323757734,
            0.18453964097831570709,
            0.25837438768632204729,
            0.29501172360931029887,
            -0.60550853383003451170,
        ),
        "Kahan & Li 1997, 17 stages",
    ),
}


class Integrator(NamedTuple):
    """An integrator that a simulation can be run with; its text, as in `hermite4:n=3`, is how it is written."""

    name: str
    kind: int  # COMPOSITION, HERMITE, LOGH (logarithmic Hamiltonian), RADAU (Gauss-Radau)
    order: int
    forces_per_step: int  # force evaluations; for radau15, where they vary between 7 and 15, a typical number
    allows_field: bool = True

    @property
    def fractions(self) -> tuple[float, ...]:
        """Sub-steps of a composition as fractions of dt; other integrators have one whole step."""
        return COMPOSITIONS[self.name].fractions if self.kind == COMPOSITION else (1.0,)

    def __str__(self) -> str:
        """Return the integrator as it is written."""
        return f"{self.name}:n={self.forces_per_step}" if self.kind == HERMITE and self.forces_per_step > 1 else self.name


_OTHERS = {
    "hermite4": Integrator("hermite4", HERMITE, 4, 1, allows_field=False),
    "logh": Integrator("logh", LOGH, 2, 1, allows_field=False),
    "radau15": Integrator("radau15", RADAU, 15, 11),
}
INTEGRATORS = (*COMPOSITIONS, *_OTHERS)


def integrator_named(text: str) -> Integrator:
    """Return the integrator of that name; `hermite4:n=3` evaluates and corrects three times a step."""
    if not isinstance(text, str):
        raise ConfigError(f"integrator = {shown(text)} must be text, such as 'leapfrog'.")
    name, _, rest = text.partition(":")
    if name in COMPOSITIONS and not rest:
        method = COMPOSITIONS[name]
        return Integrator(name, COMPOSITION, method.order, len(method.fractions))
    if name in _OTHERS and not rest:
        return _OTHERS[name]
    if name == "hermite4":
        n = rest.removeprefix("n=")
        if not (n.isascii() and n.isdigit()) or len(n) > 2 or not 1 <= int(n) <= 20:
            raise ConfigError(f"integrator = {shown(text)}: write hermite4:n=3, n from 1 to 20 corrections.")
        return _OTHERS[name]._replace(forces_per_step=int(n))
    raise ConfigError(f"integrator = {shown(text)}: {nearest_name_hint(name, (*INTEGRATORS, 'auto'))}")


def like_composition(name: str) -> str:
    """Return the composition of the order that an integrator has, for criteria that need one."""
    return name if name in COMPOSITIONS else {"hermite4": "suzuki4"}.get(name.partition(":")[0], "leapfrog")
