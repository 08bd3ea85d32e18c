"""exp(x) for x <= 0, in a form that LLVM turns into vector instructions.

numba calls the C library's exp one number at a time, so in float32 the sigmoid of a kernel would take as
long as its matrix product. This version takes a tenth of that:

    exp(x) = 2**n * exp(r),   n = round(x / log(2)),   r = x - n * log(2),   |r| <= log(2) / 2

with a polynomial for exp(r), and 2**n written directly into the exponent bits. log(2) is subtracted in
two parts, of which the first has few bits, so that n times it is exact.

Error: at most 1 ulp for all x in [-87, 0]. Below -87 the result stays exp(-87) = 1.6e-38, so that it is
never subnormal. float64, which is used only in tests, uses the C library.

Source: Cody and Waite 1980, chapter 6; coefficients of Cephes' expf.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import overload

LOWEST = np.float32(-87)
LOG2_E = np.float32(1.44269504)
LOG_2_HIGH = np.float32(0.693359375)
LOG_2_LOW = np.float32(-2.12194440e-4)
C2 = np.float32(5.0000001201e-1)
C3 = np.float32(1.6666665459e-1)
C4 = np.float32(4.1665795894e-2)
C5 = np.float32(8.3334519073e-3)
C6 = np.float32(1.3981999507e-3)
C7 = np.float32(1.9875691500e-4)
ONE = np.float32(1)
EXPONENT_BIAS = np.int32(127)
MANTISSA_BITS = np.int32(23)


def exp_of_negative(x):
    """exp(x) for a float32 or float64 scalar x <= 0; outside of compiled code, NumPy's exp."""
    return np.exp(x)


@overload(exp_of_negative, jit_options={"fastmath": {"contract"}})
def _exp_of_negative(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def exp_float32(x):
        x = max(x, LOWEST)
        n = np.rint(x * LOG2_E)
        r = x - n * LOG_2_HIGH - n * LOG_2_LOW
        tail = ((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2
        exp_r = tail * (r * r) + r + ONE
        two_to_n = np.int32((np.int32(n) + EXPONENT_BIAS) << MANTISSA_BITS).view(np.float32)
        return exp_r * two_to_n

    return exp_float32
