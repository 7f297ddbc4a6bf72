"""Contenders: rules for the step, each with one number, its step parameter s, that its steps are proportional to.

The rule's own number is s^(1/exponent): a free constant or, for a rule that takes one, the tolerance asked for.
"""

from __future__ import annotations

import functools
import inspect
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies, free_fall_time
from ..criteria.base import Criterion
from ..criteria.catalogue import CRITERIA
from ..criteria.classical import Constant, EnergyBudget
from ..criteria.learned import DEFAULT, LearnedStep, covered, unsymmetrized
from ..criteria.own import OwnCriterion
from ..criteria.wrappers import Huayno, HutMakinoMcMillan, Symmetrized
from ..errors import ConfigError, nearest_name_hint
from ..integrators import integrator_named, like_splitting
from ..models import SHIPPED, Model, shipped
from ..plugins import load_module

VARIANTS: dict[str, Callable[[Criterion], Criterion]] = {
    "plain": unsymmetrized,
    "symmetrized": Symmetrized,
    "huayno": Huayno,
    "hmm": HutMakinoMcMillan,
}
CLASSICAL = ("constant", "freefall", "hutmakino", "aarseth", "tidal", "prs23", "boekholt", "energybudget")
COARSEST = 0.7  # the largest useful step parameter with an integrator of order 2: nine steps a circular orbit
Make = Callable[[Any, str, Bodies], Criterion]


class Rule(NamedTuple):
    """A criterion as a function of its one number."""

    name: str
    make: Make  # (values (B,), integrator, the systems at their start) -> the criterion
    exponent: Callable[[str], float]  # from an integrator to the power of the value that dt is proportional to
    takes_tolerance: bool = False
    fixed: bool = False  # dt is constant: there is nothing to symmetrize
    checksum: int = 0  # identifies contents that may change under the same name: weights of a network, a file
    # from an integrator to the largest value that the rule is made for: beyond what it was calibrated for, a network may take
    # ever smaller steps for ever larger tolerances
    largest: Callable[[str], float] = lambda _: math.inf


@dataclass(frozen=True)
class Contender:
    """A rule, made time-symmetric or not, with an integrator."""

    rule: Rule
    variant: str
    integrator: str

    @property
    def label(self) -> str:
        """Name of the contender in a table."""
        return self.rule.name if self.variant == "plain" else f"{self.rule.name}, {self.variant}"

    @property
    def name(self) -> str:
        """Integrator and label: the name of the contender in a study."""
        return f"{self.integrator} {self.label}"

    @property
    def forces_per_step(self) -> int:
        """Force evaluations of one step, trial steps included; a typical number for radau15, where it varies."""
        trials = HutMakinoMcMillan.iterations if self.variant == "hmm" else 0
        return integrator_named(self.integrator).forces_per_step * (1 + trials)

    def value(self, step_parameter: Any) -> Any:
        """Return the rule's own number at a step parameter, both numbers or arrays."""
        return step_parameter ** (1.0 / self.rule.exponent(self.integrator))

    def step_parameter(self, value: float) -> float:
        """Return the step parameter at which the rule has this number."""
        return float(value ** self.rule.exponent(self.integrator))

    def criterion(self, step_parameter: float | np.ndarray, start: Bodies) -> Criterion:
        """Return the criterion for a batch of systems, with one step parameter for all or one for each, (B,)."""
        values = self.value(np.broadcast_to(np.asarray(step_parameter, dtype=np.float64), (len(start),)))
        return VARIANTS[self.variant](self.rule.make(values, self.integrator, start))


def contenders(
    rules: Sequence[Rule], variants: Sequence[str] = ("plain", "symmetrized"), integrators: Sequence[str] = ("leapfrog",)
) -> list[Contender]:
    """Return all useful combinations, integrator by integrator."""
    for variant in variants:
        if variant not in VARIANTS:
            raise ConfigError(f"variant = {variant!r}: {nearest_name_hint(variant, VARIANTS)}")
    return [
        Contender(rule, variant, integrator)
        for integrator in integrators
        for rule in rules
        for variant in (("plain",) if rule.fixed else variants)
    ]


def rule_named(text: str) -> Rule:
    """Return a rule by name.

    It is a criterion of the package, `learned` (the networks of the package), `learned:RUN` (a network of one's own), or
    `my.py:MyRule` (a rule in a Python file, see `own_rule`).
    """
    name, _, rest = text.partition(":")
    if name == "learned":
        return shipped_rule() if rest in ("", DEFAULT) else learned_rule(LearnedStep.load(rest), text)
    if name.endswith(".py"):
        return own_rule(Path(name), rest)
    if rest:
        raise ConfigError(f"criterion {text!r}: its number is what is calibrated: write {name}.")
    if name not in CRITERIA:
        raise ConfigError(f"criterion {text!r}: {nearest_name_hint(name, [*CRITERIA, 'learned'])}")
    return _classical_rule(name)


def _classical_rule(name: str) -> Rule:
    kind: Any = CRITERIA[name]
    if kind is Constant:  # dt in units of the free-fall time at the start: one constant for problems of every size
        return Rule(name, lambda s, _, start: Constant(s * free_fall_time(start)), lambda _: 1.0, fixed=True)
    if kind is EnergyBudget:
        return Rule(
            name,
            lambda tol, integrator, _: EnergyBudget(tol, like_splitting(integrator)),
            lambda integrator: EnergyBudget(integrator=like_splitting(integrator)).exponent,
            takes_tolerance=True,
        )
    return Rule(name, lambda value, *_: kind(value), lambda _: kind().exponent)


# ---- learned rules ---------------------------------------------------------------------------------------------------
def learned_rule(step: LearnedStep, name: str = "learned") -> Rule:
    """Return the rule of one trained network, whose number is the tolerance asked for."""
    return Rule(
        name,
        lambda tol, *_: step.at_tolerance(tol),
        lambda _: step.exponent,
        takes_tolerance=True,
        checksum=_checksum(step.bound_model),
        largest=lambda _: loosest(step.bound_model),
    )


def shipped_rule() -> Rule:
    """Return the rule of the networks of the package, each with the integrators of its order."""

    def step(integrator: str) -> LearnedStep:
        return LearnedStep(shipped(integrator))

    checksums = (_checksum(shipped(name)) for name in SHIPPED)
    return Rule(
        "learned",
        lambda tol, integrator, _: step(integrator).at_tolerance(tol),
        lambda integrator: step(integrator).exponent,
        takes_tolerance=True,
        checksum=functools.reduce(lambda total, one: zlib.crc32(one.to_bytes(4, "big"), total), checksums, 0),
        largest=lambda integrator: loosest(shipped(integrator)),
    )


def loosest(model: Model) -> float:
    """Return the largest tolerance that a calibrated network covers; infinity for others."""
    return covered(model)[1] if model.calibration else math.inf


def _checksum(model: Model) -> int:
    """Return 32 bits of the digest of a network."""
    return int(model.digest[:8], 16)


# ---- rules of one's own ----------------------------------------------------------------------------------------------
def own_rule(path: Path, name: str) -> Rule:
    """Return the rule of that name in a Python file.

    It is a function or class that makes a criterion from one number for each system (B,), or a function that chooses the
    step itself, as `OwnCriterion` takes it; attributes `power` and `even` of such a function are those of `OwnCriterion`. If
    the criterion has a tolerance, the number of the rule is that tolerance.
    """
    module = load_module(path, "a criterion")
    found = {k: v for k, v in vars(module).items() if not k.startswith("_") and _defined_in(v, module.__name__)}
    if name not in found:
        raise ConfigError(f"{path} has no criterion {name!r}: {nearest_name_hint(name, found)}")
    make = _maker(found[name])
    try:
        made = make(np.ones(1))
    except Exception as error:  # the user's code may raise anything
        words = f"{type(error).__name__}: {error}".rstrip(".")
        raise ConfigError(f"{path}: {name} must be made from one number for each system; it ended with {words}.") from None
    if not isinstance(made, Criterion):
        raise ConfigError(f"{path}: {name} must return a criterion, not {type(made).__name__}.")
    return Rule(
        f"{path.name}:{name}",
        lambda value, *_: make(value),
        lambda _: made.exponent,
        takes_tolerance=made.tolerance is not None,
        checksum=zlib.crc32(path.read_bytes()),
    )


def _defined_in(thing: Any, module: str) -> bool:
    """Return whether a function, class or compiled function was written in that module, not imported there."""
    return getattr(getattr(thing, "__wrapped__", thing), "__module__", None) == module and (
        callable(thing) or hasattr(thing, "address")
    )


def _maker(thing: Any) -> Callable[[Any], Criterion]:
    """Return a function from the number to the criterion."""
    if isinstance(thing, type) or not (hasattr(thing, "address") or len(inspect.signature(thing).parameters) > 1):
        made: Callable[[Any], Criterion] = thing
        return made
    settings = {name: getattr(thing, name) for name in ("even", "power") if hasattr(thing, name)}
    return lambda value: OwnCriterion(thing, value, **settings)
