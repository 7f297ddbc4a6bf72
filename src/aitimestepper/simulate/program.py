"""From a criterion, a method and a field to the numbers that the compiled engine runs on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ..criteria.base import AbstractStepCriterion, Limited, Symmetrized
from ..criteria.classical import (
    BUDGET_CONSTANTS,
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
from ..criteria.reversible import Huayno, HutMakinoMcMillan
from ..differentiable.adapter import MIN_DT, ModelAdapter
from ..differentiable.features import slot_table
from ..differentiable.network import LOG_GAIN, LOG_RANGE, FullyConnectedNN, SeededDropout
from ..differentiable.particle import ParticleTorch
from ..fields import Circle, PointMassTidalField
from ..integrators import COMPOSITIONS
from .kernels import layout as at
from .kernels import plan as kernel
from .methods import Method

KINDS: dict[type[AbstractStepCriterion], int] = {
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
}
WITH_SUMS = (FreeFall, EnergyBudget)
FEATURE_KINDS = {"basic": kernel.BASIC, "rich": kernel.RICH, "delta_mag": kernel.TRANSITION, "invariant": kernel.INVARIANT}
ACTIVATIONS = {
    nn.Tanh: kernel.TANH,
    nn.ReLU: kernel.RELU,
    nn.GELU: kernel.GELU,
    nn.SiLU: kernel.SILU,
    nn.ELU: kernel.ELU,
    nn.Sigmoid: kernel.SIGMOID,
}
PAD = 8  # hidden widths are filled up to multiples of this, so that loops over units are whole vectors


class Program(NamedTuple):
    """A run's rules as plain numbers and arrays: what is stored in a file of snapshots to continue from."""

    numbers: dict[str, Any]  # method, stages, kind, base, trials, with_sums, window
    arrays: dict[str, np.ndarray]  # field, fractions, wraps, wrap_numbers, rule, shape and numbers of the network


def lower(criterion: AbstractStepCriterion, method: Method, start: ParticleTorch, field: np.ndarray) -> Program | None:
    """The program of a criterion, or None if it has parts that are not compiled: Python of a user's own.

    `field`: as `lower_field` has it.
    """
    wraps: list[int] = []
    limits: list[float] = []
    inner = criterion
    while type(inner) in (Limited, Symmetrized):
        assert isinstance(inner, (Limited, Symmetrized))
        wraps.insert(0, kernel.LIMITED if isinstance(inner, Limited) else kernel.SYMMETRIZED)
        limits[:0] = [inner.dt_min, inner.dt_max] if isinstance(inner, Limited) else [inner.max_ratio, inner.smoothness]
        inner = inner.inner
    base, trials = kernel.PLAIN, 0
    if type(inner) in (Huayno, HutMakinoMcMillan):
        assert isinstance(inner, (Huayno, HutMakinoMcMillan))
        base, trials = (kernel.HUAYNO, 0) if isinstance(inner, Huayno) else (kernel.HMM, inner.trial_steps)
        if base == kernel.HMM and inner.integrator != method.name:
            return None
        inner = inner.inner
    if type(inner) not in KINDS:
        return None
    net = _lower_learned(inner, start) if isinstance(inner, LearnedStep) else _NO_NET
    if net is None:
        return None
    stages = COMPOSITIONS[method.name].fractions if method.name in COMPOSITIONS else (1.0,)
    invariant = isinstance(inner, LearnedStep) and inner.adapter.sees_tolerance
    numbers = {
        "method": method.kind,
        "stages": len(stages) if method.name in COMPOSITIONS else method.iterations,
        "kind": KINDS[type(inner)],
        "base": base,
        "trials": trials,
        "with_sums": isinstance(inner, WITH_SUMS) or invariant,
        "window": net.window,
    }
    arrays = {
        "field": field,
        "fractions": np.array(stages),
        "wraps": np.array([*wraps], dtype=np.int64),
        "wrap_numbers": np.array([*limits]),
        "rule": _rule(inner, start),
        "shape": net.shape,
        "numbers": net.numbers,
    }
    return Program(numbers, arrays)


def _rule(criterion: AbstractStepCriterion, start: ParticleTorch) -> np.ndarray:
    """(B, 5): eta, tol or dt of every system; the order of the method, and c, where the criterion has them."""
    rule = np.zeros((len(start), kernel.RULE_NUMBERS))
    if isinstance(criterion, LearnedStep):
        order = COMPOSITIONS[criterion.integrator].order
        value = torch.as_tensor(criterion.tol if criterion.adapter.sees_tolerance else criterion.factor, dtype=torch.float64)
        rule[:, kernel.VALUE] = (
            criterion.adapter.calibrated_tolerance(value) if criterion.adapter.sees_tolerance else value
        ).numpy()
        rule[:, kernel.ORDER], rule[:, kernel.BUDGET_C] = order, BUDGET_CONSTANTS[order]
        rule[:, kernel.LOG_VALUE], rule[:, kernel.LOG_ORDER] = np.log(rule[:, [kernel.VALUE, kernel.ORDER]]).T
        return rule
    rule[:, kernel.VALUE] = criterion.init(start).numpy()
    if isinstance(criterion, PRS23):  # what the Gauss-Radau method makes of it: eta = (5040 epsilon)^(1/7)
        rule[:, kernel.EPSILON] = rule[:, kernel.VALUE] ** 7 / 5040.0
    if isinstance(criterion, LastTerm):
        rule[:, kernel.EPSILON] = rule[:, kernel.VALUE]
    if isinstance(criterion, EnergyBudget):
        rule[:, kernel.ORDER], rule[:, kernel.BUDGET_C] = criterion.order, criterion.c
    return rule


class _Net(NamedTuple):
    shape: np.ndarray
    numbers: np.ndarray
    window: int  # numbers of memory


_NO_NET = _Net(np.zeros(kernel.WIDTHS, dtype=np.int64), np.zeros(8), 1)


def _lower_learned(step: LearnedStep, start: ParticleTorch) -> _Net | None:
    """The network of a learned step, if it is of the kind that training makes, in float64."""
    model, config = step.model, step.adapter.config
    if (
        type(step.adapter) is not ModelAdapter
        or type(model) is not FullyConnectedNN
        or model.log_dt.weight.dtype != torch.float64
    ):
        return None
    layers = [m for m in model.hidden if isinstance(m, nn.Linear)]
    others = [type(m) for m in model.hidden if not isinstance(m, (nn.Linear, SeededDropout))]
    if len(set(others)) > 1 or not all(a in ACTIVATIONS for a in others):
        return None
    kind, K = FEATURE_KINDS[config.feature_type], config.history_len
    if config.feature_type == "delta_mag" and K == 0:
        kind = FEATURE_KINDS["basic"]
    table = slot_table(config.feature_type, K)
    scales = np.ones(len(table))
    if step.adapter.scales is not None and config.feature_type != "invariant":
        scales = step.adapter.scales.of(table, torch.zeros(1, dtype=torch.float64)).numpy()
    widths = [-(-layer.out_features // PAD) * PAD for layer in layers]
    weights = _weights(model, layers, widths)
    if not np.isfinite(weights[2 * model.input_dim :]).all():
        return None
    fourier = model.frequencies.shape[1]
    activation = ACTIVATIONS[others[0]] if others else kernel.TANH
    scratch = max(model.input_dim + 2 * fourier + 2 * max([*widths, 1]), 16)
    shape = np.zeros(kernel.WIDTHS + len(widths), dtype=np.int64)
    shape[kernel.FEATURES], shape[kernel.HISTORY], shape[kernel.SLOT] = kind, K, len(table)
    shape[kernel.INPUTS], shape[kernel.SOFT], shape[kernel.FOURIER] = model.input_dim, model.soft, fourier
    shape[kernel.LAYERS] = len(layers)
    shape[kernel.ACTIVATION], shape[kernel.AXES], shape[kernel.SCRATCH_SIZE] = activation, start.position.shape[-1], scratch
    shape[kernel.WIDTHS :] = widths
    unit = 1.0 if step.adapter.scales is None else step.adapter.scales.T0
    numbers = np.zeros(kernel.SCALES)
    numbers[kernel.CEILING], numbers[kernel.TIME_UNIT], numbers[kernel.MIN_DT] = config.dt_ceiling, unit, MIN_DT
    numbers[kernel.LOG_GAIN], numbers[kernel.LOG_RANGE] = LOG_GAIN, LOG_RANGE
    window = (K + 1) * len(table) + 2 if K else 1
    return _Net(shape, np.concatenate([numbers, scales, weights]), window)


def _weights(model: FullyConnectedNN, layers: list[nn.Linear], widths: list[int]) -> np.ndarray:
    """Limits of the inputs; frequencies; weight (input after input) and bias of each layer and both heads, zero-padded."""
    parts = [model.lowest.numpy(), model.highest.numpy(), model.frequencies.numpy().ravel()]
    inputs = model.input_dim + 2 * model.frequencies.shape[1]
    for layer, width in zip(layers, widths, strict=True):
        parts.append(_padded(layer, inputs, width))
        inputs = width
    parts += [_padded(head, inputs, 1) for head in (model.log_dt, model.log_error)]
    return np.concatenate(parts)


def _padded(layer: nn.Linear, inputs: int, outputs: int) -> np.ndarray:
    weight, bias = np.zeros((inputs, outputs)), np.zeros(outputs)
    weight[: layer.in_features, : layer.out_features] = layer.weight.detach().numpy().T
    bias[: layer.out_features] = layer.bias.detach().numpy()
    return np.concatenate([weight.ravel(), bias])


def lower_field(start: ParticleTorch) -> np.ndarray | None:
    """(8,) kind, G M, place, radius, rate, phase of a tidal field; None: a field that is not compiled."""
    numbers, field = np.zeros(8), start.external_field
    if field is None:
        return numbers
    if type(field) is not PointMassTidalField:
        return None
    numbers[1] = field.G * field.M
    if field.R0 is not None:
        if len(field.R0) > start.position.shape[-1]:
            return None
        numbers[0] = at.FIXED
        numbers[2 : 2 + len(field.R0)] = field.R0.numpy()
        return numbers
    if not isinstance(field.R_of_t, Circle):
        return None
    numbers[0], numbers[5:8] = at.CIRCULAR, (field.R_of_t.radius, field.R_of_t.rate, field.R_of_t.phase)
    return numbers
