"""Threads for the Numba kernels: each claims units of work until none is left."""

import functools
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from lra_mru.ops._cpu.arrays import helper

MIN_ELEMENTS_PER_THREAD = 1 << 17  # below it, waking a thread (about 30 us) costs more than it saves


@intrinsic
def _fetch_and_add_one(context: Any, counters: Any) -> Any:
    """counters[0]++ in one step that no other thread can divide; the value before it."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.IntType(64)(1), "monotonic")

    return types.int64(counters), emit


@helper
def claim(todo: Any) -> int:
    """In a kernel: the next unit of work, or -1 when all are taken. todo holds (next unit, number of units)."""
    unit: int = _fetch_and_add_one(todo)  # type: ignore[call-arg]
    return unit if unit < todo[1] else -1


class _Call:
    """Work handed to another thread. Whoever acquires `taken` first does it, or, for the caller, need not wait for it.

    A future of concurrent.futures does the same, but takes 20 us longer to submit when the caches are cold, as they
    always are between two scans: 2 % of a scan of 16 MiB.
    """

    def __init__(self, work: Callable[..., None], args: tuple[object, ...]) -> None:
        self.work, self.args, self.taken = work, args, Lock()
        self.outcome: SimpleQueue[BaseException | None] = SimpleQueue()

    def finish(self) -> None:
        """Wait for a thread that has started; one that has not even woken is not waited for."""
        if not self.taken.acquire(blocking=False) and (error := self.outcome.get()) is not None:
            raise error


def _serve(calls: "SimpleQueue[_Call]") -> None:
    while True:
        call = calls.get()
        if call.taken.acquire(blocking=False):
            try:
                call.work(*call.args)
                call.outcome.put(None)
            except BaseException as error:  # whatever it is, the thread that waits raises it
                call.outcome.put(error)
        del call  # its tensors


@functools.cache
def _workers(number: int) -> "SimpleQueue[_Call]":
    """The queue that `number` threads serve as long as the program runs."""
    calls: SimpleQueue[_Call] = SimpleQueue()
    for _ in range(number):
        Thread(target=_serve, args=(calls,), name="lra_mru_ops", daemon=True).start()
    return calls


os.register_at_fork(after_in_child=_workers.cache_clear)  # a forked child inherits the queue but none of its threads


def share(work: Callable[..., None], units: int, elements: int, *args: object) -> None:
    """Call work(todo, *args) in some threads, which together claim the units 0 .. units - 1, each once.

    As many threads as torch would use, but no more than the number of elements is worth. A thread that wakes late or
    is held up by another program claims fewer units: nobody waits for it.
    """
    threads = max(1, min(torch.get_num_threads(), units, elements // MIN_ELEMENTS_PER_THREAD))
    todo = np.array([0, units])
    calls = [_Call(work, (todo, *args)) for _ in range(threads - 1)]
    for call in calls:
        _workers(threads - 1).put(call)
    work(todo, *args)
    for call in calls:
        call.finish()
