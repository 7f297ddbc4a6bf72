"""The integrators: tables of the splittings, and order and cost of the others.

A splitting advances velocities and positions in turn: kick, drift, kick, ..., drift, kick. Every one is symplectic for a
constant step, and time-reversible, since its kicks and its drifts read the same backwards. The force of the last kick is that
of the first kick of the next step, so a splitting with s drifts costs s force evaluations a step.

A kick may take its force at displaced positions, b dt a(x + d dt^2 a(x)), for one force evaluation more. Up to dt^5 that is
Chin's kick with a force gradient, b dt a + b d dt^3 (da/dx) a, which no splitting of order 4 without negative coefficients can
do without. The step stays time-reversible, since the kick depends on x alone, and conserves momentum; it is symplectic, and
conserves angular momentum, only to its order.
diagnostics/splitting_coefficients.py derives the digits of `blanes_moan4` and `blanes_moan6` from their order conditions.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import ConfigError, nearest_name_hint, shown

SPLITTING, HERMITE, LOGH, RADAU = range(4)  # kinds of integrators, as the kernels switch on them


class Splitting(NamedTuple):
    """A method of `order`: kicks and drifts in turn, as fractions of dt; each of them sums to 1."""

    order: int
    kicks: tuple[float, ...]  # one more than drifts
    drifts: tuple[float, ...]
    source: str
    # d of the kick after each drift but the last, whose force is that of the next step; empty: every force is taken at x
    displacements: tuple[float, ...] = ()

    @property
    def stages(self) -> int:
        """The number of force evaluations a step."""
        return len(self.drifts) + sum(d != 0.0 for d in self.displacements)

    @property
    def displacement_of_kick(self) -> tuple[float, ...]:
        """d of every kick, the first and the last included; 0: the force is taken at x."""
        inner = self.displacements or (0.0,) * (len(self.drifts) - 1)
        return (0.0, *inner, 0.0)


def _palindrome(*half: float) -> tuple[float, ...]:
    """Return the palindrome of an odd number of terms whose first half and middle are `half`."""
    return (*half, *reversed(half[:-1]))


def _of_leapfrogs(order: int, fractions: tuple[float, ...], source: str) -> Splitting:
    """Return the splitting that is one leapfrog by each of `fractions` of dt; kicks of neighbours merge."""
    kicks = (f0 / 2 + f1 / 2 for f0, f1 in zip((0.0, *fractions), (*fractions, 0.0), strict=True))
    return Splitting(order, tuple(kicks), fractions, source)


def _nystroem(order: int, kicks: tuple[float, ...], drifts: tuple[float, ...], source: str) -> Splitting:
    """Return the splitting whose first kicks and drifts are those given; what is left to 1 is in the middle."""
    if len(kicks) > len(drifts):  # a kick in the middle
        middle = 1.0 - 2.0 * sum(kicks)
        return Splitting(order, _palindrome(*kicks, middle), _even(*drifts), source)
    return Splitting(order, _even(*kicks), _palindrome(*drifts, 1.0 - 2.0 * sum(drifts)), source)


def _even(*half: float) -> tuple[float, ...]:
    """Return the palindrome of an even number of terms that sum to 1, whose first half but one are `half`."""
    whole = (*half, 0.5 - sum(half))
    return (*whole, *reversed(whole))


_SUZUKI = 1.0 / (4.0 - 4.0 ** (1.0 / 3.0))

SPLITTINGS: dict[str, Splitting] = {
    "leapfrog": _of_leapfrogs(2, (1.0,), "Stoermer, Verlet"),
    "suzuki4": _of_leapfrogs(4, _palindrome(_SUZUKI, _SUZUKI, 1.0 - 4.0 * _SUZUKI), "Suzuki 1990, 5 stages"),
    "kahan_li6": _of_leapfrogs(
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
    "kahan_li8": _of_leapfrogs(
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
    "blanes_moan4": _nystroem(
        4,
        (0.0829844064174050188383475, 0.3963098014983680770949115, -0.0390563049223484351708653),
        (0.2452989571842711626039324, 0.6048726657110799749608927),
        "Blanes & Moan 2002, SRKN 6b",
    ),
    "blanes_moan6": _nystroem(
        6,
        (
            0.0414649985182628432987781,
            0.1981286719180665411367265,
            -0.0400061921041526868888284,
            0.0752539843015803411278789,
            -0.0115113874206877700624432,
        ),
        (
            0.1232297759462711515610864,
            0.2905537977995582703664142,
            -0.1270492126254169156625051,
            -0.2463317610620754041949735,
            0.3572088727959277526198603,
        ),
        "Blanes & Moan 2002, SRKN 11b",
    ),
    "chin4": Splitting(
        4, (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0), (0.5, 0.5), "Chin 1997, 4A, displaced force", displacements=(1.0 / 24.0,)
    ),
}


class Integrator(NamedTuple):
    """An integrator that a simulation can be run with; its text, as in `hermite4:n=3`, is how it is written."""

    name: str
    kind: int  # SPLITTING, HERMITE, LOGH (logarithmic Hamiltonian), RADAU (Gauss-Radau)
    order: int
    forces_per_step: int  # force evaluations; for radau15, where they vary between 7 and 15, a typical number
    allows_field: bool = True

    @property
    def kicks(self) -> tuple[float, ...]:
        """Kicks of a splitting as fractions of dt; none for other integrators."""
        return SPLITTINGS[self.name].kicks if self.kind == SPLITTING else ()

    @property
    def drifts(self) -> tuple[float, ...]:
        """Drifts of a splitting as fractions of dt; none for other integrators."""
        return SPLITTINGS[self.name].drifts if self.kind == SPLITTING else ()

    @property
    def displacements(self) -> tuple[float, ...]:
        """Displacements of the kicks of a splitting, in units of dt^2 times the acceleration; none for other integrators."""
        return SPLITTINGS[self.name].displacement_of_kick if self.kind == SPLITTING else ()

    def __str__(self) -> str:
        """Return the integrator as it is written."""
        return f"{self.name}:n={self.forces_per_step}" if self.kind == HERMITE and self.forces_per_step > 1 else self.name


_OTHERS = {
    "hermite4": Integrator("hermite4", HERMITE, 4, 1, allows_field=False),
    "logh": Integrator("logh", LOGH, 2, 1, allows_field=False),
    "radau15": Integrator("radau15", RADAU, 15, 11),
}
INTEGRATORS = (*SPLITTINGS, *_OTHERS)


def integrator_named(text: str) -> Integrator:
    """Return the integrator of that name; `hermite4:n=3` evaluates and corrects three times a step."""
    if not isinstance(text, str):
        raise ConfigError(f"integrator = {shown(text)} must be text, such as 'leapfrog'.")
    name, _, rest = text.partition(":")
    if name in SPLITTINGS and not rest:
        method = SPLITTINGS[name]
        return Integrator(name, SPLITTING, method.order, method.stages)
    if name in _OTHERS and not rest:
        return _OTHERS[name]
    if name == "hermite4":
        n = rest.removeprefix("n=")
        if not (n.isascii() and n.isdigit()) or len(n) > 2 or not 1 <= int(n) <= 20:
            raise ConfigError(f"integrator = {shown(text)}: write hermite4:n=3, n from 1 to 20 corrections.")
        return _OTHERS[name]._replace(forces_per_step=int(n))
    raise ConfigError(f"integrator = {shown(text)}: {nearest_name_hint(name, (*INTEGRATORS, 'auto'))}")


def like_splitting(name: str) -> str:
    """Return the splitting of the order that an integrator has, for criteria that need one."""
    return name if name in SPLITTINGS else {"hermite4": "suzuki4"}.get(name.partition(":")[0], "leapfrog")
