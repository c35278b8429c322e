"""The Gumbel noise of table_scan inside CPU kernels: a hash of (key, entry), and a logarithm that vectorises."""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from lra_mru.ops._cpu.arrays import helper, widen
from lra_mru.ops.table_scan.reference import FIRST_FACTOR, GOLDEN, SECOND_FACTOR

LN_2 = math.log(2)
ATANH = tuple(np.float32(2 / (2 * k + 1)) for k in range(5))  # of 2 atanh(s) / s in s^2: error 1e-9
GOLDEN_32, FIRST_32, SECOND_32 = np.uint32(GOLDEN), np.uint32(FIRST_FACTOR), np.uint32(SECOND_FACTOR)


def _log(x: Any) -> Any:
    """In a kernel: log(x) of a number above 2^-126; in float32 it vectorises, and is exact to the last bits near 1."""
    raise NotImplementedError("_log runs inside Numba kernels only")


@overload(_log)
def _log_of(x: Any) -> Any:
    def by_bits(x: Any) -> Any:
        bits = np.float32(x).view(np.uint32)
        exponent = np.int32(np.int32(bits >> np.uint32(23)) - np.int32(127))
        mantissa = np.uint32((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32)
        high = mantissa > np.float32(1.4142135)
        mantissa = mantissa * np.float32(0.5) if high else mantissa
        exponent = np.int32(exponent + np.int32(1)) if high else exponent
        s = (mantissa - np.float32(1)) / (mantissa + np.float32(1))  # log(m) = 2 atanh(s), |s| < 0.172
        q = s * s
        c0, c1, c2, c3, c4 = ATANH
        return np.float32(exponent) * np.float32(LN_2) + s * ((((c4 * q + c3) * q + c2) * q + c1) * q + c0)

    def by_libm(x: Any) -> Any:
        return np.log(x)

    return by_bits if x == types.float32 else by_libm


@helper
def gumbel(key: Any, entry: Any, like: Any) -> Any:
    """The noise of one entry in the precision of `like`; see reference.gumbel_noise."""
    x = np.uint32(key + np.uint32(np.uint32(entry) * GOLDEN_32))
    x = np.uint32((x ^ (x >> np.uint32(16))) * FIRST_32)
    x = np.uint32((x ^ (x >> np.uint32(15))) * SECOND_32)
    x = x ^ (x >> np.uint32(16))
    u = (type(like)(np.int32(x >> np.uint32(9))) + type(like)(0.5)) * type(like)(2.0**-23)
    return -_log(-_log(u))


@helper
def add_noise(theta: Any, at: Any, logits: Any, start: Any, key: Any, entry: Any, width: Any) -> None:
    """theta[at + c] = logits[start + c] and its noise; entry: the place of the first among those of the step."""
    for c in range(np.uint64(width)):
        x = widen(logits[start + c])
        theta[at + c] = x + gumbel(key, np.uint32(entry) + np.uint32(c), x)
