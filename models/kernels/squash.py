"""Sigmoid and hyperbolic tangent for kernels: an exponential without calls or branches."""

import numba
import numpy as np

from models.kernels.compiler import bits_of, float_of, inlined

I, F = numba.int32, numba.float32  # noqa: E741 - the types of a kernel's words
LOG2E = np.float32(1.4426950408889634)
#: 2^f for f in [-1/2, 1/2], lowest power first: a Chebyshev fit, right to 2e-8
E0, E1, E2, E3, E4, E5, E6 = np.array(
    [1.0, 0.6931472, 0.2402265, 0.05550327, 0.009618025, 0.0013400433, 0.00015469732], np.float32
)
_SHIFT = np.float32(1.5 * 2.0**23)  # adding it leaves the nearest integer in the low bits
_SMALL = np.float32(0.3)
_MOST = np.float32(20.0)


@inlined
def exp_negative(x):
    """e^x for x in [-40, 0]."""
    t = x * LOG2E
    whole = (t + _SHIFT) - _SHIFT
    f = t - whole
    p = E6
    p = p * f + E5
    p = p * f + E4
    p = p * f + E3
    p = p * f + E2
    p = p * f + E1
    p = p * f + E0
    return float_of(I(bits_of(p) + I(I(whole) << I(23))))


@inlined
def sigmoid(x):
    """1 / (1 + e^-x) to about 1e-7; NaN stays NaN."""
    e = exp_negative(-min(abs(x), np.float32(2.0) * _MOST))
    found = (np.float32(1.0) if x > 0 else e) / (np.float32(1.0) + e)
    return found if x == x else x  # noqa: PLR0124 - NaN


@inlined
def tanh(x):
    """The hyperbolic tangent to about 3e-7 of its value; NaN stays NaN."""
    size = min(abs(x), _MOST)
    e = exp_negative(np.float32(-2.0) * size)
    far = (np.float32(1.0) - e) / (np.float32(1.0) + e)
    q = x * x
    p = np.float32(0.020310799)
    p = p * q + np.float32(-0.05387953)
    p = p * q + np.float32(0.1333317)
    p = p * q + np.float32(-0.33333334)
    near = x + x * q * p
    signed = far if x > 0 else -far
    found = near if size < _SMALL else signed
    return found if x == x else x  # noqa: PLR0124 - NaN
