"""How rows travel between memory and a kernel: fetched early in reversed time, written past the caches, to huge pages.

A scan computes next to nothing for each byte it moves, so these three habits are most of its speed.
"""

import ctypes
import mmap
from typing import Any

import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype
from lra_mru.ops._cpu.arrays import BLOCK_ROWS, helper, narrow

CACHE_LINE_BYTES = 64
STREAMED_BYTES = 8 << 20  # an output of this size or more would only push its neighbours out of the caches
_madvise = ctypes.CDLL(None).madvise if hasattr(mmap, "MADV_HUGEPAGE") else None  # on Linux only
if _madvise is not None:
    _madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


@intrinsic
def _prefetch(context: Any, row: Any, n: Any) -> Any:
    """Ask for the cache line that holds row[n]; never faults, whatever the address."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        read, into_the_second_cache, data_not_code = (ir.IntType(32)(value) for value in (0, 2, 1))
        arguments = [address, read, into_the_second_cache, data_not_code]
        function_type = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0i8")
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(row, types.uintp), emit


@intrinsic
def _opaque(context: Any, x: Any) -> Any:
    """x, of which the compiler is told nothing: the result of an empty piece of assembly."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        function_type = ir.FunctionType(ir.IntType(64), [ir.IntType(64)])
        return builder.asm(function_type, "", "=r,0", args, side_effect=False)

    return types.uint64(types.uint64), emit


@helper
def start_of_reversed(row: Any, stride: Any) -> Any:
    """row * stride, for a loop over rows that runs downwards.

    Lanes are vectors where arrays do not overlap. LLVM tests that once for all rows, and only for rows that run
    upwards: others would be left without vectors (seen: 4 x slower). Of this product it cannot know what it will be.
    """
    return _opaque(np.uint64(row * stride))  # type: ignore[call-arg]


@helper
def prefetch_for_reversed(x: Any, start: Any, t: int, stride: int, width: int) -> None:
    """To be called at every step of a loop over t from L - 1 down to 0: prefetches the next block of rows, upwards.

    Row t of the flat array x is x[start : start + width], row t - 1 lies stride before it. Hardware prefetchers lose a
    stream that runs downwards through memory (seen: 2.5 x slower). So each block of BLOCK_ROWS rows is fetched in
    ascending order while the block above it is being worked on.
    """
    row = (t // BLOCK_ROWS) * BLOCK_ROWS - 1 - t % BLOCK_ROWS
    if row >= 0:
        ahead = start - np.uint64((t - row) * stride)
        for n in range(0, width, CACHE_LINE_BYTES // x.itemsize):
            _prefetch(x, ahead + np.uint64(n))  # type: ignore[call-arg]


@intrinsic
def _stream_line(context: Any, out: Any, start: Any, row: Any, n: Any) -> Any:
    """out[start:] = row[n:] for one cache line, which must be whole and aligned in out: no read before the write."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        line = ir.VectorType(ir.IntType(32), CACHE_LINE_BYTES // 4).as_pointer()

        def address(array: int) -> Any:
            data = context.make_array(signature.args[array])(context, builder, args[array]).data
            return builder.bitcast(builder.gep(data, [args[array + 1]]), line)

        store = builder.store(builder.load(address(2), align=4), address(0), align=CACHE_LINE_BYTES)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(out, types.intp, row, types.intp), emit


@intrinsic
def flush(context: Any = None) -> Any:
    """At the end of a kernel: what was streamed is seen by other threads before anything that follows."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), emit


def prefetch_ahead(x: Any, start: Any, stride: int, width: int) -> None:
    """In a kernel: fetches the row BLOCK_ROWS after the one at `start` of the flat array x, for a loop that only reads.

    Where rows run backwards in blocks, upwards in each, a negative stride fetches the block before (seen: 2 x faster).
    A core waits for more lines at once so than by what its hardware prefetches (seen: 10 to 15 % faster).
    """
    raise NotImplementedError("prefetch_ahead runs inside Numba kernels only")


def store_row(out: Any, start: Any, row: Any, width: Any, stream: Any) -> None:
    """In a kernel: out[start : start + width] = row[:width], out flat; past the caches if stream."""
    raise NotImplementedError("store_row runs inside Numba kernels only")


def _per_line(x: Any) -> int:
    """Elements of a cache line, known when a kernel is compiled: a division at every row costs as much as the row."""
    return CACHE_LINE_BYTES * 8 // int(x.dtype.bitwidth)


@overload(prefetch_ahead, jit_options={"forceinline": True})
def _prefetch_ahead(x: Any, start: Any, stride: int, width: int) -> Any:
    per_line = _per_line(x)

    def fetch(x: Any, start: Any, stride: int, width: int) -> None:
        ahead = start + np.uint64(BLOCK_ROWS * stride)
        for n in range(0, width, per_line):
            _prefetch(x, ahead + np.uint64(n))  # type: ignore[call-arg]

    return fetch


@overload(store_row, jit_options={"forceinline": True})
def _store_row(out: Any, start: Any, row: Any, width: Any, stream: Any) -> Any:
    def narrowed(out: Any, start: Any, row: Any, width: Any, stream: Any) -> None:
        for n in range(np.uint64(width)):
            out[start + n] = narrow(row[n], out)

    if out.dtype != row.dtype:
        return narrowed
    per_line = _per_line(row)

    def copied(out: Any, start: Any, row: Any, width: Any, stream: Any) -> None:
        if stream:
            for n in range(0, width, per_line):
                _stream_line(out, start + n, row, n)  # type: ignore[call-arg]
        else:
            for n in range(np.uint64(width)):
                out[start + n] = row[n]

    return copied


def empty_like(x: Tensor) -> Tensor:
    """Uninitialised contiguous tensor of x's shape and dtype; a large one in huge pages where Linux has them to give.

    New memory comes in pages that nobody has touched. Each costs an interrupt at its first write: 16,384 of them for
    64 MiB in pages of 4 KiB, which take longer than the scan that writes there. Pages of 2 MiB halved the whole call.
    """
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    if out.nbytes >= STREAMED_BYTES and _madvise is not None:
        start, size = out.data_ptr(), out.nbytes
        page = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        _madvise(page, start + size - page, mmap.MADV_HUGEPAGE)  # advice: what comes of a refusal is 4 KiB pages
    return out


def in_lines(out: Tensor) -> bool:
    """True if the rows of a tensor are whole cache lines."""
    return out.data_ptr() % CACHE_LINE_BYTES == 0 and out.shape[-1] * out.itemsize % CACHE_LINE_BYTES == 0


def streams(*outputs: Tensor) -> bool:
    """True if the outputs are large and their rows are whole cache lines in the dtype that they are computed in."""
    return all(
        out.nbytes >= STREAMED_BYTES and accumulation_dtype(out.dtype) == out.dtype and in_lines(out) for out in outputs
    )
