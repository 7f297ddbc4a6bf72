"""The learned step, compiled: the network, and the step that it chooses."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...constants import KNEE, LARGEST
from .elementary import asinh, exp, tanh
from .jit import inline_fma, inlined, reassociated, strict
from .layout import U0, U1, U2, U3
from .observe import describe, observe_invariants, observe_window
from .plan import (
    ACTIVATION,
    CEILING,
    ELU,
    FEATURES,
    FOURIER,
    GELU,
    HISTORY,
    INPUTS,
    INVARIANT,
    LAYERS,
    LOG_GAIN,
    LOG_RANGE,
    MIN_DT,
    RELU,
    SCALES,
    SCRATCH_SIZE,
    SILU,
    SLOT,
    SOFT,
    TANH,
    TIME_UNIT,
    VALUE,
    WIDTHS,
)
from .rules import freefall_and_flyby_sums

U4 = np.uint64(4)


class StepChoice(NamedTuple):
    """The step that a criterion chose at a state, and a network's estimate of its error."""

    dt: float
    log10_error: float
    at_ceiling: bool
    out_of_range: bool  # some input was out of the range of the training


@strict
def activate(kind: Any, x: Any) -> Any:
    """Apply an activation function with torch's definition; tanh has a separate loop in `network`."""
    if kind == RELU:
        return max(x, 0.0)
    if kind == GELU:
        return 0.5 * x * (1.0 + math.erf(x * 0.7071067811865476))
    if kind == SILU:
        return x / (1.0 + exp(-x))
    if kind == ELU:
        return x if x > 0.0 else np.expm1(x)
    return 1.0 / (1.0 + exp(-x))


@inline_fma
def _layer(weights: Any, at: Any, inputs: Any, outputs: Any, scratch: Any, source: Any, target: Any) -> None:
    """Write W scratch[source:] + b to scratch[target:]; W is stored input after input, so that outputs are neighbours."""
    bias = at + inputs * outputs
    for o in range(U0, outputs):
        scratch[target + o] = weights[bias + o]
    fours = inputs // U4 * U4
    for i in range(U0, fours, U4):  # four inputs at a time, since each pass reads and writes all outputs
        s, row = source + i, at + i * outputs
        x0, x1, x2, x3 = scratch[s], scratch[s + U1], scratch[s + U2], scratch[s + U3]
        row1, row2, row3 = row + outputs, row + U2 * outputs, row + U3 * outputs
        for o in range(U0, outputs):
            a, b = weights[row + o] * x0 + weights[row1 + o] * x1, weights[row2 + o] * x2 + weights[row3 + o] * x3
            scratch[target + o] += a + b
    for i in range(fours, inputs):
        x, row = scratch[source + i], at + i * outputs
        for o in range(U0, outputs):
            scratch[target + o] += weights[row + o] * x


@reassociated
def _heads(weights: Any, at: Any, width: Any, scratch: Any, source: Any) -> Any:
    """Return the two outputs of the network, for the step and for its error."""
    step, error = 0.0, 0.0
    for i in range(U0, width):
        step += weights[at + i] * scratch[source + i]
        error += weights[at + width + U1 + i] * scratch[source + i]
    return step + weights[at + width], error + weights[at + U2 * width + U1]


@inlined
def _clamp_inputs(scratch: Any, limits: Any, at: Any, inputs: Any) -> bool:
    """Clamp inputs to the range of the training, and return whether all were in it. NaN stays NaN.

    Inputs that were constant in the training do not count.
    """
    outside_count = U0
    for i in range(U0, inputs):
        outside_count += np.uint64(scratch[i] < limits[at + i]) + np.uint64(scratch[i] > limits[at + inputs + i])
    if outside_count == U0:
        return True
    inside = True
    for i in range(U0, inputs):
        low, high = limits[at + i], limits[at + inputs + i]
        if scratch[i] < low:
            scratch[i], inside = low, inside and low == high
        elif scratch[i] > high:
            scratch[i], inside = high, inside and low == high
    return inside


@inlined
def _compress(scratch: Any, inputs: Any, soft: Any) -> None:
    """Compress inputs that span many decades: softly to x / (1 + |x| / KNEE), else to asinh(x)."""
    if soft != 0:
        for i in range(U0, inputs):
            scratch[i] /= 1.0 + abs(scratch[i]) / KNEE
    else:
        for i in range(U0, inputs):
            scratch[i] = asinh(scratch[i])


@strict
def _append_fourier_features(scratch: Any, inputs: Any, fourier: Any, frequencies: Any, at: Any) -> None:
    """Append the Fourier features: sines and cosines of linear combinations of the inputs."""
    for f in range(U0, fourier):
        phase = 0.0
        for i in range(U0, inputs):
            phase += scratch[i] * frequencies[at + i * fourier + f]
        scratch[inputs + f], scratch[inputs + fourier + f] = np.sin(phase), np.cos(phase)


@inlined
def network(net: Any) -> Any:
    """Return ln dt in the network's unit, log10 of the expected error, and out_of_range, for the features in net.scratch."""
    inputs, scratch, weights = np.uint64(net.shape[INPUTS]), net.scratch, net.numbers
    scratch_size = np.uint64(net.shape[SCRATCH_SIZE])
    at = np.uint64(SCALES) + np.uint64(net.shape[SLOT])
    inside = _clamp_inputs(scratch, weights, at, inputs)
    at += U2 * inputs
    _compress(scratch, inputs, net.shape[SOFT])
    fourier = np.uint64(net.shape[FOURIER])
    if fourier > U0:
        _append_fourier_features(scratch, inputs, fourier, weights, at)
        at += inputs * fourier
    width = inputs + U2 * fourier
    source = U0
    half = (scratch_size - width) // U2
    target = width
    kind = net.shape[ACTIVATION]
    for layer in range(net.shape[LAYERS]):
        outputs = np.uint64(net.shape[WIDTHS + layer])
        _layer(weights, at, width, outputs, scratch, source, target)
        if kind == TANH:
            for o in range(U0, outputs):
                scratch[target + o] = tanh(scratch[target + o])
        else:
            for o in range(U0, outputs):
                scratch[target + o] = activate(kind, scratch[target + o])
        at += (width + U1) * outputs
        width, source = outputs, target
        target = scratch_size - half if target < scratch_size - half else scratch_size - U2 * half
    step, error = _heads(weights, at, width, scratch, source)
    log_dt = net.numbers[LOG_GAIN] * step
    if abs(log_dt) > LARGEST:
        log_dt = np.copysign(LARGEST, log_dt)
    ratio = log_dt / net.numbers[LOG_RANGE]
    return log_dt / np.sqrt(1.0 + ratio * ratio), error, not inside


@strict
def learned_step(w: Any, block: Any, net: Any, rule: Any, energies: Any, energy_change: Any, memory: Any, last: Any) -> Any:
    """Return the step that the network chooses at the state in `block`; `energy_change` is that since the start of the run."""
    unit, factor = net.numbers[TIME_UNIT], rule[VALUE]
    if net.shape[FEATURES] == INVARIANT:
        unit, ceiling = observe_invariants(w, block, net, rule, energies, energy_change)
        log_dt, log10_error, out_of_range = network(net)
        dt = (exp(log_dt) + net.numbers[MIN_DT]) * unit
        ratio = dt / ceiling
        return StepChoice(dt / np.sqrt(1.0 + ratio * ratio), log10_error, dt > ceiling, out_of_range)
    both, _, _ = freefall_and_flyby_sums(w, block)
    ceiling = net.numbers[CEILING] / np.sqrt(np.sqrt(both))
    if net.shape[HISTORY] > 0:
        observe_window(w, block, net, memory, last)
    else:
        describe(w, block, net, net.scratch, U0)
        for f in range(U0, np.uint64(net.shape[SLOT])):
            net.scratch[f] /= net.numbers[np.uint64(SCALES) + f]
    log_dt, log10_error, out_of_range = network(net)
    dt = (exp(log_dt) + net.numbers[MIN_DT]) * unit
    dt = min(dt, ceiling) * factor
    return StepChoice(min(dt, ceiling), log10_error, dt >= ceiling, out_of_range)
