"""What the Numba kernels share: how they are compiled, views of tensors, bfloat16 in bits.

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


def array(x: Tensor) -> np.ndarray:
    """NumPy array on x's own memory, on a copy where x is not contiguous; bfloat16 as raw uint16 bits. To be read."""
    return _bits(x.contiguous()).numpy(force=True)


def flat(x: Tensor) -> np.ndarray:
    """array(x) in one dimension: Numba compiles a slice or an index in three at several times the cost."""
    return array(x).reshape(-1)


def flat_output(x: Tensor) -> np.ndarray:
    """The same for a tensor that a kernel writes: never on a copy."""
    assert x.is_contiguous(), "a kernel would write into a copy"
    return _bits(x).numpy().reshape(-1)


def _bits(x: Tensor) -> Tensor:
    return x.view(torch.uint16) if x.dtype == torch.bfloat16 else x


def widen(x: Any) -> Any:
    """In a kernel: the number that x holds, in accumulation dtype."""
    raise NotImplementedError("widen runs inside Numba kernels only")


def narrow(x: Any, out: Any) -> Any:
    """In a kernel: x as an element of the array `out`, rounded to nearest even for bfloat16."""
    raise NotImplementedError("narrow runs inside Numba kernels only")


@overload(widen)
def _widen(x: Any) -> Any:
    def shift_bits(x: Any) -> Any:
        return np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)

    def same(x: Any) -> Any:
        return x

    return shift_bits if x == types.uint16 else same


@overload(narrow)
def _narrow(x: Any, out: Any) -> Any:
    def round_bits(x: Any, out: Any) -> Any:
        bits = np.float32(x).view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        return np.uint16(rounded) if x == x else np.uint16(0x7FC0)  # rounding up would turn some NaN into -0

    def same(x: Any, out: Any) -> Any:
        return x

    return round_bits if out.dtype == types.uint16 else same


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
