"""The learned step, compiled: the network, and the step that it chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...constants import KNEE, LARGEST
from .elementary import asinh, exp, tanh
from .jit import by_width, inlined, strict
from .kinds import Flag, Kind, Number, Numbers, Place
from .lanes import absolute, copysign, cosine, erf, expm1, fma, larger, like, sine, smaller, sqrt, where
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
    Net,
)
from .rules import freefall_and_flyby_sums
from .tight_pairs import limited

if TYPE_CHECKING:
    from .system import StateEnergies, SystemView

U4 = np.uint64(4)


class StepChoice(NamedTuple):
    """The step that a criterion chose at a state, and a network's estimate of its error."""

    dt: Number
    log10_error: Number
    at_ceiling: Flag
    out_of_range: Flag  # some input was out of the range of the training


@strict
def activate(kind: Kind, x: Number) -> Number:
    """Apply an activation function with torch's definition; tanh has a separate loop in `network`."""
    if kind == RELU:
        return larger(x, 0.0)
    if kind == GELU:
        return 0.5 * x * (1.0 + erf(x * 0.7071067811865476))
    if kind == SILU:
        return x / (1.0 + exp(-x))
    if kind == ELU:
        return where(x > 0.0, x, expm1(x))
    return 1.0 / (1.0 + exp(-x))


@inlined
def _four_more(weights: Numbers, row: Place, outputs: Place, x0: Number, x1: Number, x2: Number, x3: Number) -> Number:
    """Return what four inputs add to an output."""
    row1, row2, row3 = row + outputs, row + U2 * outputs, row + U3 * outputs
    return fma(weights[row], x0, weights[row1] * x1) + fma(weights[row2], x2, weights[row3] * x3)


@inlined
def _layer_of_one(
    w: SystemView, weights: Numbers, at: Place, inputs: Place, outputs: Place, scratch: Numbers, source: Place, target: Place
) -> None:
    bias = at + inputs * outputs
    for o in range(U0, outputs):
        scratch[target + o] = weights[bias + o]
    fours = inputs // U4 * U4
    for i in range(U0, fours, U4):  # four inputs at a time, since each pass reads and writes all outputs
        s, row = source + i, at + i * outputs
        x0, x1, x2, x3 = scratch[s], scratch[s + U1], scratch[s + U2], scratch[s + U3]
        for o in range(U0, outputs):
            scratch[target + o] += _four_more(weights, row + o, outputs, x0, x1, x2, x3)
    for i in range(fours, inputs):
        x, row = scratch[source + i], at + i * outputs
        for o in range(U0, outputs):
            scratch[target + o] = fma(weights[row + o], x, scratch[target + o])


@inlined
def _layer_of_lanes(
    w: SystemView, weights: Numbers, at: Place, inputs: Place, outputs: Place, scratch: Numbers, source: Place, target: Place
) -> None:
    bias, fours = at + inputs * outputs, inputs // U4 * U4
    for o in range(U0, outputs):
        total = like(weights[bias + o], scratch[source])
        for i in range(U0, fours, U4):
            s, row = source + i, at + i * outputs + o
            total += _four_more(weights, row, outputs, scratch[s], scratch[s + U1], scratch[s + U2], scratch[s + U3])
        for i in range(fours, inputs):
            total = fma(weights[at + i * outputs + o], scratch[source + i], total)
        scratch[target + o] = total


# Write W scratch[source:] + b to scratch[target:]. W is stored input after input, so that the outputs of one system are
# neighbours, which the compiler vectorizes; of systems side by side, every output stays in its register.
_layer = by_width(_layer_of_one, _layer_of_lanes)


@inlined
def _heads(weights: Numbers, at: Place, width: Place, scratch: Numbers, source: Place) -> tuple[Number, Number]:
    """Return the two outputs of the network, for the step and for its error; widths are multiples of 8, see `program.PAD`."""
    errors = at + width + U1
    zero = like(0.0, scratch[source])
    step, error, step1, error1 = zero, zero, zero, zero
    for i in range(U0, width, U2):
        x, x1 = scratch[source + i], scratch[source + i + U1]
        step, step1 = fma(weights[at + i], x, step), fma(weights[at + i + U1], x1, step1)
        error, error1 = fma(weights[errors + i], x, error), fma(weights[errors + i + U1], x1, error1)
    return step + step1 + weights[at + width], error + error1 + weights[errors + width]


@inlined
def _clamp_inputs(scratch: Numbers, limits: Numbers, at: Place, inputs: Place) -> Flag:
    """Clamp inputs to the range of the training, and return whether any was outside of it. NaN stays NaN.

    Inputs that were constant in the training do not count.
    """
    outside = like(0.0, scratch[U0])
    for i in range(U0, inputs):
        x, low, high = scratch[i], limits[at + i], limits[at + inputs + i]
        below, above = x < low, x > high
        counts = 0.0 if low == high else 1.0
        outside += where(below | above, counts, 0.0)
        scratch[i] = where(below, low, where(above, high, x))
    return outside > 0.0


@inlined
def _compress(scratch: Numbers, inputs: Place, soft: Kind) -> None:
    """Compress inputs that span many decades: softly to x / (1 + |x| / KNEE), else to asinh(x)."""
    if soft != 0:
        for i in range(U0, inputs):
            scratch[i] /= 1.0 + absolute(scratch[i]) / KNEE
    else:
        for i in range(U0, inputs):
            scratch[i] = asinh(scratch[i])


@strict
def _append_fourier_features(scratch: Numbers, inputs: Place, fourier: Place, frequencies: Numbers, at: Place) -> None:
    """Append the Fourier features: sines and cosines of linear combinations of the inputs."""
    for f in range(U0, fourier):
        phase = like(0.0, scratch[U0])
        for i in range(U0, inputs):
            phase = fma(scratch[i], frequencies[at + i * fourier + f], phase)
        scratch[inputs + f], scratch[inputs + fourier + f] = sine(phase), cosine(phase)


@inlined
def network(w: SystemView, net: Net) -> tuple[Number, Number, Flag]:
    """Return ln dt in the network's unit, log10 of the expected error, and out_of_range, for the features in net.scratch."""
    inputs, scratch, weights = np.uint64(net.shape[INPUTS]), net.scratch, net.numbers
    scratch_size = np.uint64(net.shape[SCRATCH_SIZE])
    at = np.uint64(SCALES) + np.uint64(net.shape[SLOT])
    outside = _clamp_inputs(scratch, weights, at, inputs)
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
        _layer(w, weights, at, width, outputs, scratch, source, target)
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
    log_dt = where(absolute(log_dt) > LARGEST, copysign(LARGEST, log_dt), log_dt)
    ratio = log_dt / net.numbers[LOG_RANGE]
    return log_dt / sqrt(fma(ratio, ratio, 1.0)), error, outside


@strict
def learned_step(
    w: SystemView,
    block: Place,
    net: Net,
    rule: Numbers,
    energies: StateEnergies,
    energy_change: Number,
    scale: Number,
    memory: Numbers,
    last: Place,
) -> StepChoice:
    """Return the step that the network chooses at the state in `block`.

    energy_change: that since the start of the run. scale: S at the start.
    """
    factor = rule[VALUE]
    if net.shape[FEATURES] == INVARIANT:
        unit, ceiling = observe_invariants(w, block, net, rule, energies, energy_change, scale)
        log_dt, log10_error, out_of_range = network(w, net)
        dt = (exp(log_dt) + net.numbers[MIN_DT]) * unit
        return StepChoice(limited(dt, ceiling), log10_error, dt > ceiling, out_of_range)
    both, _, _ = freefall_and_flyby_sums(w, block)
    ceiling = net.numbers[CEILING] / sqrt(sqrt(both))
    if net.shape[HISTORY] > 0:
        observe_window(w, block, net, memory, last)
    else:
        describe(w, block, net, net.scratch, U0)
        for f in range(U0, np.uint64(net.shape[SLOT])):
            net.scratch[f] /= net.numbers[np.uint64(SCALES) + f]
    log_dt, log10_error, out_of_range = network(w, net)
    dt = (exp(log_dt) + net.numbers[MIN_DT]) * net.numbers[TIME_UNIT]
    dt = smaller(ceiling, dt) * factor  # NaN stays NaN
    return StepChoice(smaller(ceiling, dt), log10_error, dt >= ceiling, out_of_range)
