"""The integrators that a simulation can be run with, by name."""

from __future__ import annotations

from typing import NamedTuple

from ..config import INTEGRATORS
from ..errors import ConfigError, nearest_name_hint
from ..integrators import COMPOSITIONS
from .kernels.plan import COMPOSITION, HERMITE, LOGH, RADAU


class Method(NamedTuple):
    """An integrator as the engine knows it."""

    name: str
    kind: int  # COMPOSITION, HERMITE, LOGH (logarithmic Hamiltonian), RADAU (Gauss-Radau)
    iterations: int = 1  # of Hermite: how often it evaluates and corrects
    field: bool = True  # an outer field can act


OTHERS = {
    "hermite4": Method("hermite4", HERMITE, field=False),
    "logh": Method("logh", LOGH, field=False),
    "radau15": Method("radau15", RADAU),
}


def method_from(text: str) -> Method:
    """The method of that name; `hermite4:n=3` evaluates and corrects three times."""
    name, _, rest = text.partition(":")
    if name in COMPOSITIONS and not rest:
        return Method(name, COMPOSITION)
    if name in OTHERS and not rest:
        return OTHERS[name]
    if name == "hermite4":
        n = rest.removeprefix("n=")
        if not n.isdigit() or not 1 <= int(n) <= 20:
            raise ConfigError(f"integrator = {text!r}: write hermite4:n=3, n from 1 to 20 corrections.")
        return OTHERS[name]._replace(iterations=int(n))
    raise ConfigError(f"integrator = {text!r}: {nearest_name_hint(name, (*INTEGRATORS, *OTHERS, 'auto'))}")
