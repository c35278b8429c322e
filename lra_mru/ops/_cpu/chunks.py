"""One long row on many threads: its time is cut into chunks, and every chunk waits for the state before it.

A chunk takes the state before it, h, to decay * h + end. A kernel finds decay and end in a first walk over its chunk,
which leaves the inputs in the caches. It waits for the state before, publishes the one after at once, and writes its
outputs in a second walk, while other threads are in chunks of their own: memory is read and written once.
Source: the chained scan of Merrill and Garland, "Single-pass parallel prefix scan with decoupled look-back" (2016).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lra_mru.ops._cpu.arrays import helper
from lra_mru.ops._cpu.threads import MIN_ELEMENTS_PER_THREAD, share

CHUNK_ELEMENTS = 1 << 17  # of each input: two in float32 are 1 MiB, which caches hold. Shorter ones start more often


def chunk_steps(batch: int, length: int, channels: int) -> int:
    """Steps of a chunk, or the whole row: by shape alone, so that the number of threads changes no result.

    Only a row on its own is cut: two threads on two rows keep memory busy, and the first walk costs 10 to 30 %.
    """
    if batch > 1 or length * channels < 2 * MIN_ELEMENTS_PER_THREAD:
        return length
    return min(length, max(1, CHUNK_ELEMENTS // channels))


def num_units(batch: int, length: int, channels: int) -> int:
    """Chunks of all rows together."""
    return batch * -(-length // chunk_steps(batch, length, channels))


def run(work: Callable[..., None], length: int, start: np.ndarray, *args: object) -> None:
    """Call work(todo, ready, states, length, steps, *args) in some threads, which together claim all chunks.

    Unit u is chunk u % num_chunks, of `steps` steps and counted in the order of the walk, of row u // num_chunks. Row u
    of states (units * N,), in double precision, is the state before it, there as soon as ready[u] is set. start (B, N)
    are those of whole rows.
    """
    batch, channels = start.shape
    steps = chunk_steps(batch, length, channels)
    num_chunks = -(-length // steps)
    states = np.empty((batch * num_chunks, channels), np.complex128 if start.dtype.kind == "c" else np.float64)
    ready = np.zeros(batch * num_chunks, np.int64)
    states[::num_chunks], ready[::num_chunks] = start, 1
    share(work, len(ready), batch * length * channels, ready, states.reshape(-1), length, steps, *args)


@intrinsic
def _is_set(context: Any, flags: Any, n: Any) -> Any:
    """flags[n] != 0; where it is, all that the thread which set it wrote before can be read."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        flag = builder.load_atomic(builder.gep(data, [args[1]]), ordering="acquire", align=8)
        return builder.icmp_signed("!=", flag, ir.IntType(64)(0))

    return types.boolean(flags, types.intp), emit


@intrinsic
def _set(context: Any, flags: Any, n: Any) -> Any:
    """flags[n] = 1, after everything that this thread has written."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.store_atomic(ir.IntType(64)(1), builder.gep(data, [args[1]]), ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(flags, types.intp), emit


@intrinsic
def _let_others_run(context: Any = None) -> Any:
    """POSIX sched_yield(): where threads outnumber cores, the one that is waited for may not be running."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        function_type = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, function_type, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), emit


@helper
def is_known(ready: Any, unit: int) -> bool:
    """In a kernel: whether the state before the unit is there."""
    known: bool = _is_set(ready, unit)  # type: ignore[call-arg]
    return known


@helper
def state_before(carry: Any, states: Any, ready: Any, unit: int) -> None:
    """In a kernel: carry = the state before the unit. Its chunk before was claimed earlier: some thread is on it."""
    while not is_known(ready, unit):
        _let_others_run()
    for n in range(len(carry)):
        carry[n] = states[unit * len(carry) + n]


@helper
def publish(after: Any, states: Any, ready: Any, unit: int) -> None:
    """In a kernel: `after` is the state after the unit."""
    for n in range(len(after)):
        states[(unit + 1) * len(after) + n] = after[n]
    _set(ready, unit + 1)  # type: ignore[call-arg]


@helper
def apply(decay: Any, end: Any, carry: Any) -> None:
    """end = decay * carry + end. Nothing grows out of a state of zero, even if decay has overflown."""
    for n in range(len(end)):
        end[n] += decay[n] * carry[n] if carry[n] != 0 else carry[n]
