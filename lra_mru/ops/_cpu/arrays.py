"""What the Numba kernels share: how they are compiled, views of tensors, float16 and bfloat16 in bits.

Numba caches a kernel by its own file alone: after a change in this file, touch the cpu.py files that use it.
"""

from typing import Any

import numpy as np
import torch
from numba import njit, types
from numba.extending import overload
from torch import Tensor

# A kernel runs without the interpreter lock and without parallel=True, whose thread layers die after a fork. NaN must
# propagate, so fastmath leaves out nnan. A helper is inlined: passing seven array structs costs more than one row. Only
# Python calls kernels and only kernels call helpers: the entries that nobody uses are not compiled.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp", "afn"}
_NO_ENTRIES: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # Any: the stubs lack them
kernel = njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTMATH)
helper = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH, forceinline=True, **_NO_ENTRIES)

BLOCK_ROWS = 16  # steps of time in one block of a reversed pass
_BITS = {
    torch.bfloat16: torch.uint16,
    torch.float16: torch.int16,
}  # Numba has neither: the bits as an integer say which


def array(x: Tensor) -> np.ndarray:
    """NumPy array on x's own memory, on a copy where x is not contiguous; 16-bit floats as raw bits. To be read."""
    return _bits(x.contiguous()).numpy(force=True)


def flat(x: Tensor) -> np.ndarray:
    """array(x) in one dimension: Numba compiles a slice or an index in three at several times the cost."""
    return array(x).reshape(-1)


def flat_output(x: Tensor) -> np.ndarray:
    """The same for a tensor that a kernel writes: never on a copy."""
    assert x.is_contiguous(), "a kernel would write into a copy"
    return _bits(x).numpy().reshape(-1)


def _bits(x: Tensor) -> Tensor:
    return x.view(_BITS[x.dtype]) if x.dtype in _BITS else x


def widen(x: Any) -> Any:
    """In a kernel: the number that x holds, in accumulation dtype."""
    raise NotImplementedError("widen runs inside Numba kernels only")


def narrow(x: Any, out: Any) -> Any:
    """In a kernel: x as an element of the array `out`, rounded to nearest even where it has 16 bits."""
    raise NotImplementedError("narrow runs inside Numba kernels only")


@overload(widen)
def _widen(x: Any) -> Any:
    def from_bfloat16(x: Any) -> Any:
        return np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)

    def from_float16(x: Any) -> Any:
        shifted = np.uint32(np.uint32(x & 0x7FFF) << np.uint32(13))
        scaled = np.float32(shifted.view(np.float32) * np.float32(2.0**112))  # the exponents' biases are 15 and 127
        magnitude = scaled.view(np.uint32)
        if scaled >= np.float32(65536):  # infinity or NaN
            magnitude = np.uint32(shifted | np.uint32(0x7F800000))
        sign = np.uint32(np.uint32(x & 0x8000) << np.uint32(16))
        return np.uint32(magnitude | sign).view(np.float32)

    def same(x: Any) -> Any:
        return x

    return {types.uint16: from_bfloat16, types.int16: from_float16}.get(x, same)


@overload(narrow)
def _narrow(x: Any, out: Any) -> Any:
    def to_bfloat16(x: Any, out: Any) -> Any:
        bits = np.float32(x).view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        return np.uint16(rounded) if x == x else np.uint16(0x7FC0)  # rounding up would turn some NaN into -0

    def to_float16(x: Any, out: Any) -> Any:
        bits = np.float32(x).view(np.uint32)
        magnitude = np.uint32(bits & np.uint32(0x7FFFFFFF))
        odd = np.uint32((magnitude >> np.uint32(13)) & np.uint32(1))
        rounded = np.uint32(magnitude - np.uint32(112 << 23) + np.uint32(0xFFF) + odd) >> np.uint32(13)
        # Below 2^-14 a float16 has the spacing that a float32 has at 0.5: adding 0.5 rounds to it.
        tiny = np.uint32(
            np.float32(magnitude.view(np.float32) + np.float32(0.5)).view(np.uint32) - np.uint32(0x3F000000)
        )
        half = tiny if magnitude < np.uint32(0x38800000) else rounded
        half = np.uint32(0x7C00) if magnitude >= np.uint32(0x477FF000) else half  # from 65520 on: infinity
        half = np.uint32(0x7E00) if magnitude > np.uint32(0x7F800000) else half  # NaN
        return np.int16(np.uint16(half | ((bits >> np.uint32(16)) & np.uint32(0x8000))))

    def same(x: Any, out: Any) -> Any:
        return x

    return {types.uint16: to_bfloat16, types.int16: to_float16}.get(out.dtype, same)


@helper
def add_up(t: int, partial: Any, total: Any) -> None:
    """At the end of each block: partial sums in the kernel's precision go into totals in double precision."""
    if t % BLOCK_ROWS == 0:
        for n in range(len(total)):
            total[n] += partial[n]
            partial[n] = 0


@helper
def fill(to: Any, value: Any) -> None:
    """to[:] = value. Numba compiles a slice assignment with all of its error messages, which takes seconds."""
    for n in range(len(to)):
        to[n] = value
