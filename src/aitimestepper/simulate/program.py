"""The program of a run: criterion, integrator and field as the numbers that the compiled engine uses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..constants import BUDGET_CEILING, LOG_GAIN, LOG_RANGE, MIN_DT
from ..criteria.agent import AgentCriterion
from ..criteria.base import Criterion, Numbers
from ..criteria.classical import (
    PRS23,
    Aarseth,
    Boekholt,
    Constant,
    EnergyBudget,
    FreeFall,
    HutMakino,
    LastTerm,
    Tidal,
)
from ..criteria.learned import LearnedStep
from ..criteria.own import OwnCriterion
from ..criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized, Wrapper, innermost
from ..errors import ConfigError
from ..features import slot_table
from ..integrators import HERMITE, RADAU, SPLITTING, Integrator, like_splitting
from ..models import Model
from .callbacks import OwnFunctions
from .field_numbers import calls_own, field_numbers
from .kernels import plan as kernel

KINDS: dict[type[Criterion], int] = {
    Constant: kernel.CONSTANT,
    FreeFall: kernel.FREEFALL,
    HutMakino: kernel.HUTMAKINO,
    Boekholt: kernel.BOEKHOLT,
    Tidal: kernel.TIDAL,
    Aarseth: kernel.AARSETH,
    PRS23: kernel.PRS23,
    EnergyBudget: kernel.ENERGYBUDGET,
    LearnedStep: kernel.LEARNED,
    LastTerm: kernel.LAST_TERM,
    OwnCriterion: kernel.OWN_CRITERION,
    AgentCriterion: kernel.AGENT,
}
WITH_SUMS = (FreeFall, EnergyBudget, AgentCriterion)
FEATURE_KINDS = {"basic": kernel.BASIC, "rich": kernel.RICH, "delta_mag": kernel.TRANSITION, "invariant": kernel.INVARIANT}
ACTIVATIONS = {
    "tanh": kernel.TANH,
    "relu": kernel.RELU,
    "gelu": kernel.GELU,
    "silu": kernel.SILU,
    "elu": kernel.ELU,
    "sigmoid": kernel.SIGMOID,
}
PAD = 8  # hidden widths are padded to multiples of this, so that loops over units are whole vector registers


class Program(NamedTuple):
    """Criterion, integrator and field as plain numbers and arrays, which a file of snapshots stores to continue the run."""

    numbers: dict[str, Any]  # method, stages, kind, base, trials, with_sums, window, address of a criterion of one's own
    # field, kicks, drifts, displacements, wraps, wrap_numbers, rule, shape and numbers of the network
    arrays: dict[str, np.ndarray]

    @property
    def fits_lanes(self) -> bool:
        """Whether systems of few bodies run in lanes."""
        return self.numbers["method"] in (SPLITTING, RADAU)

    @property
    def calls_user(self) -> bool:
        """Whether functions of the user's own are called, for one system at a time."""
        return bool(self.numbers["kind"] == kernel.OWN_CRITERION or calls_own(self.arrays["field"]))


def program_of(criterion: Criterion, integrator: Integrator, start: Bodies, own: OwnFunctions) -> Program:
    """Return the program of a run with a criterion that is bound to its integrator."""
    wraps, limits, base = _wrappers(criterion)
    inner = innermost(criterion)
    if isinstance(inner, AgentCriterion):
        own.agent = inner
        if base != kernel.PLAIN:
            raise ConfigError(
                f"{criterion.name} asks for steps at states that are not those of the run; no agent is asked there."
            )
    if type(inner) not in KINDS:
        raise ConfigError(
            f"{type(inner).__name__} is no criterion of the engine: give a function of your own as OwnCriterion(f)."
        )
    network = _network(inner.bound_model, start.position.shape[-1]) if isinstance(inner, LearnedStep) else _NO_NETWORK
    invariant = isinstance(inner, LearnedStep) and inner.bound_model.sees_tolerance
    numbers = {
        "method": integrator.kind,
        "stages": integrator.forces_per_step if integrator.kind == HERMITE else max(1, len(integrator.drifts)),
        "kind": KINDS[type(inner)],
        "base": base,
        "trials": criterion.trial_steps,
        "with_sums": isinstance(inner, WITH_SUMS) or invariant,
        "window": network.window,
        "address": own.criterion(inner, start.position.shape[-1]) if isinstance(inner, OwnCriterion) else 0,
    }
    arrays = {
        "field": field_numbers(start, own),
        "kicks": np.array(integrator.kicks),
        "drifts": np.array(integrator.drifts),
        "displacements": np.array(integrator.displacements),
        "wraps": np.array([*wraps], dtype=np.int64),
        "wrap_numbers": np.array([*limits]),
        "rule": _rule(inner, len(start)),
        "shape": network.shape,
        "numbers": network.numbers,
    }
    return Program(numbers, arrays)


def _wrappers(criterion: Criterion) -> tuple[list[int], list[float], int]:
    """Return kinds of limits and symmetrizations, innermost first, their numbers (two each), and the kind of the base step."""
    wraps: list[int] = []
    numbers: list[float] = []
    base = kernel.PLAIN
    while isinstance(criterion, Wrapper):
        if isinstance(criterion, Limited):
            wraps.insert(0, kernel.LIMITED)
            numbers[:0] = criterion.limits
        elif isinstance(criterion, Symmetrized):
            wraps.insert(0, kernel.SYMMETRIZED)
            numbers[:0] = criterion.ratios
        else:
            base = kernel.HUAYNO if isinstance(criterion, Huayno) else kernel.HMM
            assert isinstance(criterion, (Huayno, HutMakinoMcMillan))
        criterion = criterion.criterion
    return wraps, numbers, base


def _rule(criterion: Criterion, systems: int) -> np.ndarray:
    """Return (B, 4): eta, tol or dt of every system, then order, c and a logarithm where they exist; see kernels.plan."""
    rule = np.zeros((systems, kernel.RULE_NUMBERS))
    rule[:, kernel.VALUE] = criterion.values(systems)
    if isinstance(criterion, LearnedStep):
        model, tol = criterion.bound_model, criterion.values(systems)
        budget = EnergyBudget(integrator=model.config.integrator)
        rule[:, kernel.VALUE] = criterion.calibrated_tolerance(tol) if model.sees_tolerance else criterion.step_factor(tol)
        rule[:, kernel.ORDER], rule[:, kernel.BUDGET_C] = budget.order, budget.constant
        rule[:, kernel.LOG_VALUE] = np.log(rule[:, kernel.VALUE])
    elif isinstance(criterion, PRS23):  # in the Gauss-Radau method eta = (5040 epsilon)^(1/7)
        with np.errstate(over="ignore"):  # of an eta beyond 1e44, with which no step is short
            rule[:, kernel.EPSILON] = rule[:, kernel.VALUE] ** 7 / 5040.0
    elif isinstance(criterion, LastTerm):
        rule[:, kernel.EPSILON] = rule[:, kernel.VALUE]
    elif isinstance(criterion, EnergyBudget):
        rule[:, kernel.ORDER], rule[:, kernel.BUDGET_C] = criterion.order, criterion.constant
    return rule


def budget_rule(tol: Numbers, integrator: str, systems: int) -> np.ndarray:
    """Return the rule (B, 4) of EnergyBudget with which `observe_systems` computes features and analytic steps."""
    rule = _rule(EnergyBudget(tol, like_splitting(integrator)), systems)
    rule[:, kernel.LOG_VALUE] = np.log(rule[:, kernel.VALUE])
    return rule


def invariant_inputs() -> kernel.Net:
    """Return a network without layers, for the invariant features alone."""
    shape, numbers = np.zeros(kernel.WIDTHS, dtype=np.int64), np.zeros(kernel.SCALES)
    shape[kernel.FEATURES], numbers[kernel.CEILING] = kernel.INVARIANT, BUDGET_CEILING
    return kernel.Net(shape, numbers, np.zeros(16))


class _Network(NamedTuple):
    shape: np.ndarray
    numbers: np.ndarray
    window: int  # length of the window of past states, in numbers


_NO_NETWORK = _Network(np.zeros(kernel.WIDTHS, dtype=np.int64), np.zeros(8), 1)


def _network(model: Model, axes: int) -> _Network:
    """Return a network in the layout of the kernels' `Net`; `axes` is 2 or 3."""
    config, weights = model.config, model.weights
    K, inputs, fourier = config.history_len, *weights["frequencies"].shape
    kind = "basic" if config.feature_type == "delta_mag" and K == 0 else config.feature_type
    table = slot_table(config.feature_type, K)
    scales = np.ones(len(table))
    if model.scales is not None and not model.sees_tolerance:
        scales = np.array(model.scales.of(table))
    widths = [-(-width // PAD) * PAD for width in config.layers]
    shape = np.zeros(kernel.WIDTHS + len(widths), dtype=np.int64)
    shape[kernel.FEATURES], shape[kernel.HISTORY], shape[kernel.SLOT] = FEATURE_KINDS[kind], K, len(table)
    shape[kernel.INPUTS], shape[kernel.SOFT], shape[kernel.FOURIER] = inputs, model.sees_tolerance, fourier
    shape[kernel.LAYERS], shape[kernel.ACTIVATION], shape[kernel.AXES] = len(widths), ACTIVATIONS[config.activation], axes
    shape[kernel.SCRATCH_SIZE] = max(inputs + 2 * fourier + 2 * max([*widths, 1]), 16)
    shape[kernel.WIDTHS :] = widths
    numbers = np.zeros(kernel.SCALES)
    numbers[kernel.CEILING], numbers[kernel.MIN_DT] = config.dt_ceiling, MIN_DT
    numbers[kernel.TIME_UNIT] = 1.0 if model.scales is None else model.scales.T0
    numbers[kernel.LOG_GAIN], numbers[kernel.LOG_RANGE] = LOG_GAIN, LOG_RANGE
    window = (K + 1) * len(table) + 2 if K else 1
    return _Network(shape, np.concatenate([numbers, scales, _weights(model, widths)]), window)


def knows_range(program: Program) -> bool:
    """Return whether the network of a program knows the range of its inputs in the training."""
    shape, numbers = program.arrays["shape"], program.arrays["numbers"]
    first = kernel.SCALES + int(shape[kernel.SLOT])
    return bool(np.isfinite(numbers[first : first + int(shape[kernel.INPUTS])]).any())


def _weights(model: Model, widths: list[int]) -> np.ndarray:
    """Return limits of inputs, frequencies, then weight (input after input) and bias of each layer and head, zero-padded."""
    w = model.weights
    parts = [w["lowest"], w["highest"], w["frequencies"].ravel()]
    inputs = w["frequencies"].shape[0] + 2 * w["frequencies"].shape[1]
    for (weight, bias), width in zip(model.hidden_layers(), widths, strict=True):
        parts.append(_padded(weight, bias, inputs, width))
        inputs = width
    parts += [_padded(w[f"{head}.weight"], w[f"{head}.bias"], inputs, 1) for head in ("log_dt", "log_error")]
    return np.concatenate(parts)


def _padded(weight: np.ndarray, bias: np.ndarray, inputs: int, outputs: int) -> np.ndarray:
    wide, long = np.zeros((inputs, outputs)), np.zeros(outputs)
    wide[: weight.shape[1], : weight.shape[0]] = weight.T
    long[: len(bias)] = bias
    return np.concatenate([wide.ravel(), long])
