"""Who is measured: rules for the step, each with one step_parameter, s, that its steps are proportional to.

For a rule with a free constant s^(1/exponent) is that constant; for one that takes a tolerance it is the tolerance asked for.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..criteria.base import AbstractStepCriterion, Symmetrized
from ..criteria.catalogue import CRITERIA
from ..criteria.classical import Constant, EnergyBudget
from ..criteria.learned import DEFAULT, LearnedStep
from ..criteria.reversible import Huayno, HutMakinoMcMillan
from ..differentiable.particle import ParticleTorch
from ..differentiable.timescales import pair_rates, smooth_minimum_time
from ..errors import ConfigError, nearest_name_hint
from ..integrators import COMPOSITIONS
from ..plugins import load_module
from ..simulate.engine import like_composition

VARIANTS = ("plain", "symmetrized", "huayno", "hmm")
CLASSICAL = ("constant", "freefall", "hutmakino", "aarseth", "tidal", "prs23", "boekholt", "energybudget")
Make = Callable[[Tensor, str, ParticleTorch], AbstractStepCriterion]


class Rule(NamedTuple):
    """A criterion for every value (B,) of its number."""

    name: str
    make: Make  # (value (B,), integrator, the systems at their start) -> the criterion
    exponent: Callable[[str], float]  # dt goes with this power of the value, under an integrator
    takes_tolerance: bool = False
    fixed: bool = False  # the same dt always: there is nothing to symmetrize
    checksum: int = 0  # of what it is made of, where that may change under the same name: weights, a file


@dataclass(frozen=True)
class Contender:
    """A rule, made time-symmetric or not, with an integrator."""

    rule: Rule
    variant: str
    integrator: str

    @property
    def label(self) -> str:
        """Who it is, in a table."""
        return self.rule.name if self.variant == "plain" else f"{self.rule.name}, {self.variant}"

    def value(self, step_parameter: Any) -> Any:
        """The rule's own number at a step_parameter."""
        return step_parameter ** (1.0 / self.rule.exponent(self.integrator))

    def step_parameter(self, value: float) -> float:
        """The step_parameter at which the rule has this number."""
        return float(value ** self.rule.exponent(self.integrator))

    def criterion(self, step_parameter: Tensor, start: ParticleTorch) -> AbstractStepCriterion:
        """The criterion for a batch of systems, each with its own step_parameter (B,)."""
        made = self.rule.make(self.value(step_parameter), self.integrator, start)
        if self.variant == "symmetrized":
            return Symmetrized(made)
        if self.variant == "huayno":
            return Huayno(made)
        return HutMakinoMcMillan(made, integrator=self.integrator) if self.variant == "hmm" else made


def contenders(
    rules: Sequence[Rule], variants: Sequence[str] = ("plain", "symmetrized"), integrators: Sequence[str] = ("leapfrog",)
) -> list[Contender]:
    """All combinations that make sense, integrator by integrator."""
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
    """A criterion of the package by name, a trained network (`learned:RUN`; `learned`: those of the package, one for each
    integrator), or one of your own (`my.py:MyRule`).
    """
    name, _, rest = text.partition(":")
    if name == "learned" and rest in ("", DEFAULT):
        return shipped_rule()
    if name == "learned":
        return learned_rule(LearnedStep.load(rest), text)
    if name.endswith(".py"):
        return own_rule(Path(name), rest)
    if name not in CRITERIA or rest:
        hint = (
            nearest_name_hint(name, [*CRITERIA, "learned"]) if not rest else f"its number is what is calibrated: write {name}."
        )
        raise ConfigError(f"criterion {text!r}: {hint}")
    kind: Any = CRITERIA[name]
    if kind is Constant:  # dt in units of the free-freefall_rate2 time at the start: one constant for problems of every size
        return Rule(
            name,
            lambda s, _, start: Constant(s * _free_fall(start)),
            lambda _: 1.0,
            fixed=True,
        )
    if kind is EnergyBudget:
        return Rule(
            name,
            lambda tol, method, _: EnergyBudget(tol, like_composition(method)),
            lambda method: EnergyBudget(1.0, like_composition(method)).exponent,
            takes_tolerance=True,
        )
    return Rule(name, lambda eta, *_: kind(eta), lambda _: kind.exponent)


def learned_rule(step: LearnedStep, name: str = "learned") -> Rule:
    """A trained network; its step_parameter is the tolerance it is asked for."""
    return Rule(name, lambda tol, *_: step.at_tolerance(tol), lambda _: step.exponent, True, checksum=_weights(step))


def shipped_rule() -> Rule:
    """The networks of the package, that for the integrator of the run."""

    @functools.cache
    def of(method: str) -> LearnedStep:
        return LearnedStep.load(DEFAULT, integrator=like_composition(method))

    checksum = functools.reduce(lambda sum_, name: zlib.crc32(_weights(of(name)).to_bytes(4, "big"), sum_), COMPOSITIONS, 0)
    return Rule(
        "learned", lambda tol, method, _: of(method).at_tolerance(tol), lambda m: of(m).exponent, True, checksum=checksum
    )


def own_rule(path: Path, name: str) -> Rule:
    """A criterion class in a Python file, made with one number; `exponent` and `takes_tolerance` may say more of it."""
    module = load_module(path, "a criterion")
    found = {k: v for k, v in vars(module).items() if isinstance(v, type) and issubclass(v, AbstractStepCriterion)}
    own = {k: v for k, v in found.items() if v.__module__ == module.__name__ and not k.startswith("_")}
    if name not in own:
        raise ConfigError(f"{path} has no criterion {name!r}: {nearest_name_hint(name, own)}")
    kind: Any = own[name]
    try:
        kind(torch.ones(1, dtype=torch.float64))
    except Exception as error:  # a user's own code
        words = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path}: {name} must be made from one number for each system; it ended with {words}.") from None
    return Rule(
        f"{path.name}:{name}",
        lambda value, *_: kind(value),
        lambda _: getattr(kind, "exponent", 1.0),
        takes_tolerance=getattr(kind, "takes_tolerance", False),
        checksum=zlib.crc32(path.read_bytes()),
    )


def _weights(step: LearnedStep) -> int:
    """Of all numbers of the network."""
    numbers = (x.detach().cpu().numpy().tobytes() for _, x in sorted(step.model.state_dict().items()))
    return functools.reduce(lambda sum_, content: zlib.crc32(content, sum_), numbers, 0)


def _free_fall(start: ParticleTorch) -> Tensor:
    """(B,) tau_4 at the start."""
    return smooth_minimum_time(pair_rates(start)[0])
