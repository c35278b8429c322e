"""linear_scan on the CPU. Lanes run along channels, time is the outer loop: every byte is touched once.

A constant `a` comes as (1, 1, N) with vary = 0, so that every step reads its only row.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lra_mru.ops._cpu import add_up, array, clear, copy, helper, kernel, output, widen
from lra_mru.ops._cpu_memory import empty_like, flush, prefetch_for_reversed, store_row, streams
from lra_mru.ops._cpu_threads import claim, run


@kernel
def _forward(todo: Any, block: int, vary: int, stream: bool, a: Any, b: Any, h0: Any, h: Any) -> None:
    """Flat arrays and unsigned offsets: slicing three rows a step would cost a quarter of the time at N = 128."""
    _, L, N = b.shape
    num_blocks = -(-N // block)
    carry = np.empty(block, h0.dtype)
    a_flat, b_flat, h_flat = a.reshape(-1), b.reshape(-1), h.reshape(-1)
    unit = claim(todo)
    while unit >= 0:
        i, n0 = unit // num_blocks, unit % num_blocks * block
        width = min(n0 + block, N) - n0
        copy(carry, h0[i, n0 : n0 + width])
        for t in range(L):
            start = np.uint64((i * L + t) * N + n0)
            start_a = np.uint64((i * L + t) * N * vary + n0)
            for n in range(np.uint64(width)):
                carry[n] = widen(a_flat[start_a + n]) * carry[n] + widen(b_flat[start + n])
            store_row(h_flat, start, carry, width, stream)
        unit = claim(todo)
    flush()


@helper
def _step_back(
    a: Any, dh: Any, start: Any, h: Any, start_prev: Any, width: Any, carry: Any, db_t: Any, da_t: Any
) -> None:  # fmt: skip
    """One step of the reversed pass, a varying in time: carry is what reaches h[t], then h[t-1], from later steps."""
    for n in range(np.uint64(width)):
        g = widen(dh[start + n]) + carry[n]
        db_t[n] = g
        da_t[n] = g * np.conj(widen(h[start_prev + n]))
        carry[n] = np.conj(widen(a[start + n])) * g


@helper
def _step_back_constant(
    a: Any, dh: Any, start: Any, h: Any, start_prev: Any, width: Any, carry: Any, db_t: Any, da: Any
) -> None:  # fmt: skip
    """The same with a constant a (width,), whose gradient adds up."""
    for n in range(np.uint64(width)):
        g = widen(dh[start + n]) + carry[n]
        db_t[n] = g
        da[n] += g * np.conj(widen(h[start_prev + n]))
        carry[n] = np.conj(a[n]) * g


@kernel
def _backward(
    todo: Any, block: int, stream: bool, a: Any, h: Any, h0: Any, dh: Any, da: Any, db: Any, dh0: Any
) -> None:  # fmt: skip
    _, L, N = h.shape
    num_blocks = -(-N // block)
    carry, da_t, db_t = np.empty(block, h0.dtype), np.empty(block, h0.dtype), np.empty(block, h0.dtype)
    a_flat, h_flat, h0_flat, dh_flat = a.reshape(-1), h.reshape(-1), h0.reshape(-1), dh.reshape(-1)
    da_flat, db_flat = da.reshape(-1), db.reshape(-1)
    unit = claim(todo)
    while unit >= 0:
        i, n0 = unit // num_blocks, unit % num_blocks * block
        n1 = min(n0 + block, N)
        width = n1 - n0
        clear(carry)
        for t in range(L - 1, -1, -1):
            start = np.uint64((i * L + t) * N + n0)
            prefetch_for_reversed(a_flat, start, t, N, width)
            prefetch_for_reversed(h_flat, start, t, N, width)
            prefetch_for_reversed(dh_flat, start, t, N, width)
            if t > 0:
                _step_back(a_flat, dh_flat, start, h_flat, start - np.uint64(N), width, carry, db_t, da_t)
            else:
                _step_back(a_flat, dh_flat, start, h0_flat, np.uint64(i * N + n0), width, carry, db_t, da_t)
            store_row(da_flat, start, da_t, width, stream)
            store_row(db_flat, start, db_t, width, stream)
        copy(dh0[i, n0:n1], carry[:width])
        unit = claim(todo)
    flush()


@kernel
def _backward_constant(
    todo: Any, block: int, stream: bool, a: Any, h: Any, h0: Any, dh: Any, da: Any, db: Any, dh0: Any
) -> None:  # fmt: skip
    """The same with a (N,) and its gradient as one row of totals per batch row, da (B, N)."""
    _, L, N = h.shape
    num_blocks = -(-N // block)
    carry, partial, db_t = np.empty(block, h0.dtype), np.empty(block, h0.dtype), np.empty(block, h0.dtype)
    h_flat, h0_flat, dh_flat, db_flat = h.reshape(-1), h0.reshape(-1), dh.reshape(-1), db.reshape(-1)
    unit = claim(todo)
    while unit >= 0:
        i, n0 = unit // num_blocks, unit % num_blocks * block
        n1 = min(n0 + block, N)
        width, decay = n1 - n0, a[n0:n1]
        clear(carry)
        clear(partial)
        for t in range(L - 1, -1, -1):
            start = np.uint64((i * L + t) * N + n0)
            prefetch_for_reversed(h_flat, start, t, N, width)
            prefetch_for_reversed(dh_flat, start, t, N, width)
            if t > 0:
                _step_back_constant(decay, dh_flat, start, h_flat, start - np.uint64(N), width, carry, db_t, partial)
            else:
                _step_back_constant(decay, dh_flat, start, h0_flat, np.uint64(i * N + n0), width, carry, db_t, partial)
            store_row(db_flat, start, db_t, width, stream)
            add_up(t, partial, da[i, n0:n1])
        copy(dh0[i, n0:n1], carry[:width])
        unit = claim(todo)
    flush()


def forward(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    h = empty_like(b)
    rows = a.reshape(1, 1, -1) if a.dim() == 1 else a
    run(_forward, *b.shape, int(a.dim() == 3), streams(h), array(rows), array(b), array(h0), output(h))
    return h


def backward(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    da, db, dh0 = (empty_like(x) for x in (a, h, h0))
    inputs = [array(x) for x in (a, h, h0, dh)]
    if a.dim() == 3:
        run(_backward, *h.shape, streams(da, db), *inputs, output(da), output(db), output(dh0))
        return da, db, dh0
    totals = torch.zeros(h0.shape, dtype=torch.complex128 if a.is_complex() else torch.float64)
    run(_backward_constant, *h.shape, streams(db), *inputs, output(totals), output(db), output(dh0))
    return totals.sum(0).to(a.dtype), db, dh0
