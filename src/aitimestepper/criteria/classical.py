"""The classical step criteria: each a baseline, each a formula that `differentiable.criteria` and the kernels compute.

`eta`, `tol` and `dt` may be a number or one per system: a sweep is one batch. Pair criteria depend on self-gravity only; those
made of accelerations and their derivatives (Aarseth, PRS23) take what every body feels from all others. In the formulas
tau_ij = sqrt(r^3 / G (m_i + m_j)) is the free-fall time of a pair, and tau_4 = (sum over pairs of tau_ij^-4)^(-1/4) a smooth
minimum of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..constants import BUDGET_CONSTANTS
from ..errors import ConfigError, nearest_name_hint, shown
from ..integrators import SPLITTINGS, like_splitting
from .base import Criterion, Numbers, positive_numbers


@dataclass(frozen=True)
class _OneNumber(Criterion):
    """A criterion with one positive number, held by the field that `parameter` names."""

    def __post_init__(self) -> None:
        name = str(self.parameter)
        object.__setattr__(self, name, positive_numbers(getattr(self, name), f"{self.name}: {name}"))


@dataclass(frozen=True)
class Constant(_OneNumber):
    """A constant step `dt`.

    Examples:
        >>> from aitimestepper import Constant, simulate
        >>> from aitimestepper.initial import kepler
        >>> simulate(kepler(e=0.5), t_end=6.25, criterion=Constant(dt=0.0625)).steps.tolist()
        [100]
    """

    name: ClassVar[str] = "constant"
    parameter: ClassVar[str] = "dt"
    dt: Numbers


@dataclass(frozen=True)
class ConstantByTrial(Criterion):
    """A constant step of the variable of logh: `simulate` finds the longest one that is within the tolerance by trial."""

    name: ClassVar[str] = "constant by trial"


@dataclass(frozen=True)
class FreeFall(_OneNumber):
    """dt = eta tau_4, with the smooth minimum tau_4 over pairs of sqrt(r^3 / G M).

    Examples:
        >>> from aitimestepper import FreeFall, simulate
        >>> from aitimestepper.initial import kepler
        >>> halved = [simulate(kepler(e=0.5), t_end=6.28, criterion=FreeFall(eta)).steps[0] for eta in (0.02, 0.01)]
        >>> print(round(halved[1] / halved[0], 1))
        2.0
    """

    name: ClassVar[str] = "freefall"
    parameter: ClassVar[str] = "eta"
    eta: Numbers = 0.02


@dataclass(frozen=True)
class HutMakino(_OneNumber):
    """dt = eta min(r/v, sqrt(r^3 / G M)) over pairs (eta = 0.03: AMUSE's default for Hermite).

    Examples:
        >>> from aitimestepper import HutMakino, simulate
        >>> from aitimestepper.initial import kepler
        >>> simulate(kepler(e=0.5), t_end=6.28, criterion=HutMakino(eta=0.03), integrator="hermite4").criterion
        'hutmakino(0.03)'
    """

    name: ClassVar[str] = "hutmakino"
    parameter: ClassVar[str] = "eta"
    eta: Numbers = 0.03


@dataclass(frozen=True)
class Boekholt(_OneNumber):
    """dt^2 = eta^2 sum Q^2 / sum Q^(5/2), Q = (GM)^2/r^6 + v^4/r^4 over pairs, which is smooth (arXiv 2212.09745).

    Examples:
        >>> from aitimestepper import Boekholt, Symmetrized, simulate
        >>> from aitimestepper.initial import kepler
        >>> simulate(kepler(e=0.5), t_end=6.28, criterion=Symmetrized(Boekholt(eta=0.02))).criterion
        'symmetrized(boekholt(0.02))'
    """

    name: ClassVar[str] = "boekholt"
    parameter: ClassVar[str] = "eta"
    eta: Numbers = 0.02


@dataclass(frozen=True)
class Tidal(_OneNumber):
    """Smallest over bodies of sqrt(eta / (||T||_F / sqrt 6)), T the tidal tensor (Grudic & Hopkins, arXiv 1910.06349).

    Examples:
        >>> from aitimestepper import Tidal, simulate
        >>> from aitimestepper.initial import kepler
        >>> simulate(kepler(e=0.5), t_end=6.28, criterion=Tidal(eta=4e-4)).status
        ('ok',)
    """

    name: ClassVar[str] = "tidal"
    parameter: ClassVar[str] = "eta"
    eta: Numbers = 4e-4

    @property
    def exponent(self) -> float:
        """The power of eta that dt is proportional to."""
        return 0.5


@dataclass(frozen=True)
class Aarseth(_OneNumber):
    """Smallest over bodies of sqrt(eta (|a||s| + |j|^2) / (|j||c| + |s|^2)): acceleration, jerk, snap, crackle.

    Examples:
        >>> from aitimestepper import Aarseth, simulate
        >>> from aitimestepper.initial import kepler
        >>> simulate(kepler(e=0.5), t_end=6.28, criterion=Aarseth(eta=0.02), integrator="hermite4").status
        ('ok',)
    """

    name: ClassVar[str] = "aarseth"
    parameter: ClassVar[str] = "eta"
    eta: Numbers = 0.02

    @property
    def exponent(self) -> float:
        """The power of eta that dt is proportional to."""
        return 0.5


RADAU_EPSILON = 1e-9  # relative size of the last term of the Gauss-Radau polynomial at which only rounding errors remain


def radau_eta(epsilon: float) -> float:
    """Return the eta of PRS23 at which it is the rule of IAS15 with that epsilon (arXiv 2401.02849)."""
    return float((5040.0 * epsilon) ** (1.0 / 7.0))


@dataclass(frozen=True)
class PRS23(Criterion):
    """dt = eta times the smallest over bodies of sqrt(2 |a|^2 / (|j|^2 + |a||s|)) (Pham, Rein & Spiegel, arXiv 2401.02849).

    It is the rule of radau15, with which a run is made unless another integrator is asked for. The default eta is that of
    IAS15 there (epsilon = 1e-9, eta = 0.17), and 0.02 with other integrators. The step collapses where an acceleration
    passes through zero (figure-eight: 4 times the steps of the older rule).

    Examples:
        >>> from aitimestepper import PRS23, simulate
        >>> from aitimestepper.initial import kepler
        >>> result = simulate(kepler(e=0.9), t_end=62.8, criterion=PRS23())
        >>> result.integrator, bool(result.max_energy_error[0] < 1e-13)
        ('radau15', True)
    """

    name: ClassVar[str] = "prs23"
    parameter: ClassVar[str] = "eta"
    eta: Numbers | None = None

    def __post_init__(self) -> None:
        if self.eta is not None:
            object.__setattr__(self, "eta", positive_numbers(self.eta, "prs23: eta"))

    @property
    def made_for(self) -> str | None:
        """The integrator whose rule it is."""
        return "radau15"


@dataclass(frozen=True)
class LastTerm(_OneNumber):
    """The rule of IAS15 before PRS23: b6, the last term of the Gauss-Radau polynomial, at epsilon times the acceleration.

    Only radau15 has the polynomial; without it, as for the first step, dt is that of PRS23 with eta = (5040 epsilon)^(1/7).

    Examples:
        >>> from aitimestepper import LastTerm, simulate
        >>> from aitimestepper.initial import kepler
        >>> result = simulate(kepler(e=0.9), t_end=62.8, criterion=LastTerm(epsilon=1e-9))
        >>> result.integrator, bool(result.max_energy_error[0] < 1e-13)
        ('radau15', True)
    """

    name: ClassVar[str] = "lastterm"
    parameter: ClassVar[str] = "epsilon"
    epsilon: Numbers = RADAU_EPSILON

    @property
    def exponent(self) -> float:
        """The power of epsilon that dt is proportional to."""
        return 1.0 / 7.0

    @property
    def made_for(self) -> str | None:
        """The integrator whose rule it is."""
        return "radau15"

    def serves(self, integrator: str) -> bool:
        """Return whether it is that integrator: only radau15 has a last term."""
        return integrator == "radau15"


@dataclass(frozen=True)
class EnergyBudget(Criterion):
    """dt = c tol^(1/p) tau_4 chi^(-1/p) for a method of order p: the step that a tolerance for the energy allows.

    chi is how large the potential of the tightest pairs is against the total energy, or against their own two-body energies:
    sqrt(A^2 + B^2), A = sum w m_i m_j / r / S / sum w with w = tau^-4 and the energy scale S = max(|E|, 1e-4 (K + |U|)) at the
    start of the run, B = sum w / |1 - x/2| / sum w with x = r v^2 / G M, at most 50. B counts bodies however light they are.
    The step is at most half the dynamical time of the tightest pairs, and so short that ln tau_4 changes by at most 0.6; it
    approaches these limits smoothly. Order and constant are those of the run's integrator
    (diagnostics/energy_budget_constant.py).

    Examples:
        >>> from aitimestepper import EnergyBudget, simulate
        >>> from aitimestepper.initial import kepler
        >>> simulate(kepler(e=0.5), t_end=62.8, criterion=EnergyBudget(), tol=1e-4).within_tolerance.tolist()
        [True]
    """

    name: ClassVar[str] = "energybudget"
    parameter: ClassVar[str] = "tol"
    tol: Numbers | None = None  # None: that of the run, or 1e-4
    integrator: str | None = None  # whose order counts; None: that of the run
    c: float | None = None  # None: the constant of the integrator

    def __post_init__(self) -> None:
        if self.tol is not None:
            object.__setattr__(self, "tol", positive_numbers(self.tol, "energybudget: tol"))
        if self.integrator is not None and self.integrator not in tuple(SPLITTINGS):
            hint = nearest_name_hint(str(self.integrator), SPLITTINGS)
            raise ConfigError(f"energybudget: integrator = {shown(self.integrator)}: {hint}")
        if self.c is not None:
            c = positive_numbers(self.c, "energybudget: c")
            if isinstance(c, tuple):
                raise ConfigError(f"energybudget: c = {shown(c)} must be one number for all systems.")
            object.__setattr__(self, "c", c)

    @property
    def order(self) -> int:
        """The order p of the integrator; unbound, that of leapfrog."""
        return SPLITTINGS[self.integrator or "leapfrog"].order

    @property
    def constant(self) -> float:
        """The constant c."""
        return BUDGET_CONSTANTS[self.integrator or "leapfrog"] if self.c is None else self.c

    @property
    def exponent(self) -> float:
        """The power of tol that dt is proportional to."""
        return 1.0 / self.order

    @property
    def made_for(self) -> str | None:
        """The integrator whose order counts; None: that of the run."""
        return self.integrator

    def serves(self, integrator: str) -> bool:
        """Return whether the integrator has the order that the steps are made for; Gauss-Radau has a higher one than all."""
        return self.integrator in (None, like_splitting(integrator)) or integrator == "radau15"

    @property
    def tolerance(self) -> Numbers | None:
        """The energy error that whole runs are to stay below."""
        return self.tol
