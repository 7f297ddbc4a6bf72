"""exp, log, tanh and asinh from + - * / and bit operations, so that loops over units and features vectorize; good to 2e-16.

Intel's vector library is not part of numba's wheels, and without it a call of libm for each value is half the cost of a small
network. Loops are short, so latency decides. Polynomials are therefore evaluated in short independent parts with fused
multiply-add; Horner's scheme took 1.7 times as long for 16 tanh.
"""

from __future__ import annotations

import numpy as np

from .jit import inline_fma

_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it leaves the nearest integer in the lowest bits
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG2E = 1.4426950408889634
_ONE, _ROOT_HALF = np.int64(0x3FF0000000000000), np.int64(0x3FE6A09E667F3BCD)


@inline_fma
def exp(x: float) -> float:
    """Return e^x, with x limited to the range -700 ... 700."""
    x = min(max(x, -700.0), 700.0)
    shifted = x * _LOG2E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (1.0 / 2.0 + r * (1.0 / 6.0)) + r2 * (1.0 / 24.0 + r * (1.0 / 120.0))
    middle = (1.0 / 720.0 + r * (1.0 / 5040.0)) + r2 * (1.0 / 40320.0 + r * (1.0 / 362880.0))
    high = (1.0 / 3628800.0 + r * (1.0 / 39916800.0)) + r2 * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0))
    p = 1.0 + (r + r2 * (low + r4 * (middle + r4 * high)))
    scale = np.int64((np.float64(shifted).view(np.int64) << np.int64(52)) + _ONE).view(np.float64)
    return p * scale


@inline_fma
def tanh(x: float) -> float:
    """Return the hyperbolic tangent of x."""
    return 1.0 - 2.0 / (exp(2.0 * x) + 1.0)


@inline_fma
def log(x: float) -> float:
    """Return ln x for a positive normal number x."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _ROOT_HALF) >> np.int64(52)
    m = np.int64(bits - (exponent << np.int64(52))).view(np.float64)  # in [sqrt(1/2), sqrt 2)
    f = (m - 1.0) / (m + 1.0)
    g = f * f
    g2 = g * g
    g4 = g2 * g2
    low = (1.0 / 3.0 + g * (1.0 / 5.0)) + g2 * (1.0 / 7.0 + g * (1.0 / 9.0))
    middle = (1.0 / 11.0 + g * (1.0 / 13.0)) + g2 * (1.0 / 15.0 + g * (1.0 / 17.0))
    p = low + g4 * (middle + g4 * (1.0 / 19.0 + g * (1.0 / 21.0)))
    k = np.float64(exponent)
    return k * _LN2_HIGH + ((k * _LN2_LOW + 2.0 * f * g * p) + 2.0 * f)


@inline_fma
def asinh(x: float) -> float:
    """Return the inverse hyperbolic sine for |x| < 1e150; its absolute error is that of `log`."""
    size = abs(x)
    value = log(size + np.sqrt(size * size + 1.0))
    return np.copysign(value, x)
