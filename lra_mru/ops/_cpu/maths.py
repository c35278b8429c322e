"""exp2, softplus and sigmoid that vectorise inside Numba kernels: libm's calls would take one element at a time."""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from lra_mru.ops._cpu.arrays import helper

LOG2_E = math.log2(math.e)
_TAYLOR = tuple(np.float32(math.log(2) ** k / math.factorial(k)) for k in range(8))  # of 2^f, |f| <= 1/2: error 5e-9
_ATANH = tuple(np.float32(2 / (2 * k + 1)) for k in range(8))  # of 2 atanh(s) / s in s^2, s <= 1/3: error 1e-8


def exp2(x: Any) -> Any:
    """In a kernel: 2^x. In float32 to 2 ulp, with results below 2^-126 raised to it; float64 by libm."""
    raise NotImplementedError("exp2 runs inside Numba kernels only")


def log1p_of_unit(x: Any) -> Any:
    """In a kernel: log(1 + x) for x in [0, 1]."""
    raise NotImplementedError("log1p_of_unit runs inside Numba kernels only")


@overload(exp2)
def _exp2(x: Any) -> Any:
    def by_bits(x: Any) -> Any:
        bounded = np.float32(-126) if x < np.float32(-126) else (np.float32(127) if x > np.float32(127) else x)
        whole = np.floor(bounded + np.float32(0.5))
        f = bounded - whole
        c0, c1, c2, c3, c4, c5, c6, c7 = _TAYLOR
        power = ((((((c7 * f + c6) * f + c5) * f + c4) * f + c3) * f + c2) * f + c1) * f + c0
        return power * np.int32(np.int32(np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)

    def by_libm(x: Any) -> Any:
        return np.exp2(x)

    return by_bits if x == types.float32 else by_libm


@overload(log1p_of_unit)
def _log1p_of_unit(x: Any) -> Any:
    def by_series(x: Any) -> Any:
        s = x / (np.float32(2) + x)  # log(1 + x) = 2 atanh(x / (2 + x))
        q = s * s
        c0, c1, c2, c3, c4, c5, c6, c7 = _ATANH
        return s * (((((((c7 * q + c6) * q + c5) * q + c4) * q + c3) * q + c2) * q + c1) * q + c0)

    def by_libm(x: Any) -> Any:
        return np.log1p(x)

    return by_series if x == types.float32 else by_libm


@helper
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return max(x, type(x)(0)) + log1p_of_unit(exp2(-abs(x) * type(x)(LOG2_E)))


@helper
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return type(x)(1) / (type(x)(1) + exp2(-x * type(x)(LOG2_E)))
