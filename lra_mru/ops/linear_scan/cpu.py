"""linear_scan on the CPU. Lanes run along channels, time is the outer loop: every byte is touched once.

A unit of work is one chunk of time of one batch row (_cpu/chunks.py). Arrays are flat: row r of (B * L, N) starts at
r * N. The kernels take, "units" being the number of all chunks of all rows:

    todo, ready, states   what chunks.run hands to every kernel; states (units * N,) in double precision
    a                     (B * L * N,), or (N,) if constant: its rows are stride_a = 0 apart
    b, h, dh, db          (B * L * N,) in their own dtype, 16-bit floats as raw bits
    h0, dh0               (B * N,) in accumulation dtype
    da, da_totals         (B * L * N,) if a varies; (units * N,) in double precision if it is constant
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lra_mru.ops._cpu.arrays import add_up, array, fill, flat, flat_output, kernel, widen
from lra_mru.ops._cpu.chunks import apply, num_units, publish, run, state_before
from lra_mru.ops._cpu.memory import (
    empty_like,
    flush,
    prefetch_ahead,
    prefetch_for_reversed,
    start_of_reversed,
    store_row,
    streams,
)
from lra_mru.ops._cpu.threads import claim


@kernel
def _forward(
    todo: Any, ready: Any, states: Any, L: int, steps: int, stride_a: int, stream: bool, a: Any, b: Any, h0: Any, h: Any
) -> None:  # fmt: skip
    """h of every step. A first walk over a chunk finds what it does to the state before it: decay * carry + end."""
    num_chunks = -(-L // steps)
    N = len(states) // len(ready)
    carry, decay, end = np.empty(N, h0.dtype), np.empty(N, states.dtype), np.empty(N, states.dtype)
    unit = claim(todo)
    while unit >= 0:
        chunk = unit % num_chunks
        first = unit // num_chunks * L + chunk * steps
        stop = first + min(steps, L - chunk * steps)
        if chunk + 1 < num_chunks:
            fill(decay, 1)
            fill(end, 0)
            for r in range(first, stop):
                start, start_a = np.uint64(r * N), np.uint64(r * stride_a)
                prefetch_ahead(a, start_a, stride_a, N)
                prefetch_ahead(b, start, N, N)
                for n in range(np.uint64(N)):
                    a_n = widen(a[start_a + n])
                    decay[n] *= a_n
                    end[n] = a_n * end[n] + widen(b[start + n])
        state_before(carry, states, ready, unit)
        if chunk + 1 < num_chunks:
            apply(decay, end, carry)
            publish(end, states, ready, unit)
        for r in range(first, stop):
            start, start_a = np.uint64(r * N), np.uint64(r * stride_a)
            for n in range(np.uint64(N)):
                carry[n] = widen(a[start_a + n]) * carry[n] + widen(b[start + n])
            store_row(h, start, carry, N, stream)
        unit = claim(todo)
    flush()


@kernel
def _backward(
    todo: Any, ready: Any, states: Any, L: int, steps: int, stride_a: int, stream: bool, a: Any, h: Any, h0: Any,
    dh: Any, da: Any, da_totals: Any, db: Any, dh0: Any,
) -> None:  # fmt: skip
    """carry is the gradient that reaches h[t], then h[t-1], from later steps.

    A first walk over a chunk finds what it does to a gradient from the chunk after it: decay * carry + end.
    """
    num_chunks = -(-L // steps)
    N = len(states) // len(ready)
    carry, decay, end = np.empty(N, h0.dtype), np.empty(N, states.dtype), np.empty(N, states.dtype)
    da_t, db_t, da_part = np.empty(N, h0.dtype), np.empty(N, h0.dtype), np.zeros(N, h0.dtype)
    unit = claim(todo)
    while unit >= 0:
        i, chunk = unit // num_chunks, unit % num_chunks
        stop = (i + 1) * L - chunk * steps
        first = max(stop - steps, i * L)
        if chunk + 1 < num_chunks:
            fill(decay, 1)
            fill(end, 0)
            for r in range(first, stop):  # upwards, as hardware prefetches
                start, start_a = np.uint64(r * N), np.uint64(r * stride_a)
                prefetch_ahead(a, start_a, stride_a, N)
                prefetch_ahead(dh, start, N, N)
                for n in range(np.uint64(N)):
                    decay[n] *= widen(a[start_a + n]).conjugate()
                    end[n] += decay[n] * widen(dh[start + n])
        state_before(carry, states, ready, unit)
        if chunk + 1 < num_chunks:
            apply(decay, end, carry)
            publish(end, states, ready, unit)
        for r in range(stop - 1, first - 1, -1):
            start, start_a = start_of_reversed(r, N), start_of_reversed(r, stride_a)
            if stride_a:
                prefetch_for_reversed(a, start, r - first, N, N)
            prefetch_for_reversed(h, start, r - first, N, N)
            prefetch_for_reversed(dh, start, r - first, N, N)
            before = start - np.uint64(N) if r > i * L else start
            for n in range(np.uint64(N)):
                g = widen(dh[start + n]) + carry[n]
                db_t[n] = g
                da_t[n] = g * widen(h[before + n]).conjugate()
                carry[n] = widen(a[start_a + n]).conjugate() * g
            if r == i * L:
                for n in range(N):
                    da_t[n] = db_t[n] * h0[i * N + n].conjugate()
            store_row(db, start, db_t, N, stream)
            if stride_a:
                store_row(da, start, da_t, N, stream)
            else:
                for n in range(np.uint64(N)):
                    da_part[n] += da_t[n]
                add_up(r - first, da_part, da_totals[unit * N : (unit + 1) * N])
        if chunk + 1 == num_chunks:
            for n in range(N):
                dh0[i * N + n] = carry[n]
        unit = claim(todo)
    flush()


def forward(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    h = empty_like(b)
    stride_a = b.shape[2] if a.dim() == 3 else 0
    run(_forward, b.shape[1], array(h0), stride_a, streams(h), flat(a), flat(b), flat(h0), flat_output(h))
    return h


def backward(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    constant = a.dim() == 1
    da, db, dh0 = (empty_like(x) for x in (a, h, h0))
    wide = torch.complex128 if a.is_complex() else torch.float64
    totals = torch.zeros(num_units(*h.shape) if constant else 0, h.shape[2], dtype=wide)
    stride_a, stream = (0, streams(db)) if constant else (h.shape[2], streams(da, db))
    inputs = (flat(x) for x in (a, h, h0, dh))
    results = (flat_output(x) for x in (da, totals, db, dh0))
    run(_backward, h.shape[1], np.zeros_like(array(h0)), stride_a, stream, *inputs, *results)
    return totals.sum(0).to(a.dtype) if constant else da, db, dh0
