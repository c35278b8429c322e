"""What the Numba kernels share: views of tensors, bfloat16 in bits, and a few threads.

Numba caches a kernel by its own file alone: after a change in this file, touch the cpu.py files that use it.
"""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from torch import Tensor

# A kernel runs without the interpreter lock and without parallel=True, whose thread layers die after a fork. NaN must
# propagate, so fastmath leaves out nnan. A helper is inlined: passing seven array structs costs more than one row.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp", "afn"}
kernel = njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTMATH)
helper = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH, forceinline=True)

MIN_ELEMENTS_PER_THREAD = 1 << 17  # below it, waking a thread (about 30 us) costs more than it saves
BLOCK_ROWS = 16  # steps of time in one block of a reversed pass
CACHE_LINE_BYTES = 64
LANES = 16  # channel blocks are whole cache lines of float32


def array(x: Tensor) -> np.ndarray:
    """NumPy array on x's own memory, on a copy where x is not contiguous; bfloat16 as raw uint16 bits. To be read."""
    return output(x.detach().resolve_conj().resolve_neg().contiguous())


def output(x: Tensor) -> np.ndarray:
    """The same for a tensor that a kernel writes: never on a copy."""
    assert x.is_contiguous(), "a kernel would write into a copy"
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


@intrinsic
def _prefetch(context: Any, row: Any, n: Any) -> Any:
    """Ask for the cache line that holds row[n]; never faults, whatever the address."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        read, keep_in_all_caches, data_not_code = (ir.IntType(32)(value) for value in (0, 3, 1))
        arguments = [address, read, keep_in_all_caches, data_not_code]
        function_type = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0i8")
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(row, types.intp), emit


@helper
def prefetch_for_reversed(x: Any, i: int, t: int, n0: int, n1: int) -> None:
    """To be called at every step of a loop over t from L - 1 down to 0: prefetches the next block of rows, upwards.

    Hardware prefetchers lose a stream that runs downwards through memory (seen: 2.5 x slower). So each block of
    BLOCK_ROWS rows is fetched in ascending order while the block above it is being worked on.
    """
    row = (t // BLOCK_ROWS) * BLOCK_ROWS - 1 - t % BLOCK_ROWS
    if row >= 0:
        for n in range(n0, n1, CACHE_LINE_BYTES // x.itemsize):
            _prefetch(x[i, row], n)  # type: ignore[call-arg]


@helper
def add_up(t: int, partial: Any, total: Any) -> None:
    """At the end of each block: partial sums in the kernel's precision go into totals in double precision."""
    if t % BLOCK_ROWS == 0:
        for n in range(len(total)):
            total[n] += partial[n]
            partial[n] = 0


@functools.cache
def _pool(num_workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_workers, thread_name_prefix="lra_mru_ops")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child inherits the pool but none of its threads


def share(work: Callable[..., None], units: int, elements: int, *args: object) -> None:
    """Call work(first, last, *args) for ranges that together cover `units`, each range in a thread of its own.

    As many threads as torch would use, but no more than the number of elements is worth.
    """
    threads = max(1, min(torch.get_num_threads(), units, elements // MIN_ELEMENTS_PER_THREAD))
    bounds = [units * i // threads for i in range(threads + 1)]
    ranges = list(itertools.pairwise(bounds))
    futures = [_pool(threads - 1).submit(work, *others, *args) for others in ranges[1:]]
    work(*ranges[0], *args)
    for future in futures:
        future.result()


def run(work: Callable[..., None], batch: int, length: int, channels: int, *args: object) -> None:
    """Call work(first, last, block, *args) for ranges of units that together cover batch x channels.

    Unit u is row u // num_blocks of the batch and channels [n0, n0 + block), n0 = u % num_blocks * block. The split
    never cuts time and never changes an order of summation, so results do not depend on the number of threads.
    """
    threads, block = torch.get_num_threads(), max(channels, 1)
    if batch % threads and batch < 8 * threads:  # too few rows to share them out evenly: split the channels as well
        block = -(-channels // (threads * LANES)) * LANES

    def in_blocks(first: int, last: int) -> None:
        work(first, last, block, *args)

    share(in_blocks, batch * -(-channels // block), batch * length * channels)
