"""What the Numba kernels share: views of tensors, bfloat16 in bits, and a few threads.

Numba caches a kernel by its own file alone: after a change in this file, touch the cpu.py files that use it.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import overload
from torch import Tensor

# Flags of a kernel: no parallel=True (its thread layers die after a fork), and no nnan or ninf: NaN must propagate.
JIT = {"nogil": True, "cache": True, "fastmath": {"contract", "reassoc", "nsz", "arcp", "afn"}, "error_model": "numpy"}

MIN_ELEMENTS_PER_THREAD = 1 << 17  # below it, waking a thread (about 30 us) costs more than it saves
LANES = 16  # channel blocks are whole cache lines of float32


def array(x: Tensor) -> np.ndarray:
    """NumPy array on x's own memory (on a contiguous copy if x is not contiguous); bfloat16 as raw uint16 bits."""
    x = x.detach().resolve_conj().resolve_neg().contiguous()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


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


@functools.cache
def _pool(num_workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_workers, thread_name_prefix="lra_mru_ops")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child inherits the pool but none of its threads


def run(kernel: Callable[..., None], batch: int, length: int, channels: int, *args: object) -> None:
    """Call kernel(first, last, block, *args) for ranges of units that together cover batch x channels.

    Unit u is row u // num_blocks of the batch and channels [n0, n0 + block), n0 = u % num_blocks * block. The split
    never cuts time and never changes an order of summation, so results do not depend on the number of threads.
    """
    threads = max(1, min(torch.get_num_threads(), batch * length * channels // MIN_ELEMENTS_PER_THREAD))
    block = channels
    if batch % threads and batch < 8 * threads:  # too few rows to share them out evenly: split the channels as well
        block = -(-channels // (threads * LANES)) * LANES
    units = batch * -(-channels // max(block, 1))
    bounds = [units * i // threads for i in range(threads + 1)]
    if threads == 1:
        return kernel(0, units, block, *args)
    futures = [_pool(threads - 1).submit(kernel, bounds[i], bounds[i + 1], block, *args) for i in range(1, threads)]
    kernel(0, bounds[1], block, *args)
    for future in futures:
        future.result()
