"""linear_scan on the CPU. Lanes run along channels, time is the outer loop: every byte is touched once.

A constant `a` comes as (1, 1, N) with vary = 0, so that a[i * vary, t * vary] is its only row.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from lra_mru.ops._cpu import JIT, array, narrow, run, widen


@njit(**JIT)
def _forward(first: int, last: int, block: int, vary: int, a: Any, b: Any, h0: Any, h: Any) -> None:
    _, L, N = b.shape
    num_blocks = -(-N // block)
    carry = np.empty(block, h0.dtype)
    for unit in range(first, last):
        i, n0 = unit // num_blocks, unit % num_blocks * block
        n1 = min(n0 + block, N)
        carry[: n1 - n0] = h0[i, n0:n1]
        for t in range(L):
            a_t, b_t, h_t = a[i * vary, t * vary, n0:n1], b[i, t, n0:n1], h[i, t, n0:n1]
            for n in range(n1 - n0):
                carry[n] = widen(a_t[n]) * carry[n] + widen(b_t[n])
                h_t[n] = narrow(carry[n], h)


@njit(**JIT)
def _step_back(a_t: Any, h_prev: Any, dh_t: Any, carry: Any, db_t: Any, da_t: Any) -> None:
    """One step of the reversed pass, a varying in time: carry is what reaches h[t], then h[t-1], from later steps."""
    for n in range(len(dh_t)):
        g = widen(dh_t[n]) + carry[n]
        db_t[n] = narrow(g, db_t)
        da_t[n] = narrow(g * np.conj(widen(h_prev[n])), da_t)
        carry[n] = np.conj(widen(a_t[n])) * g


@njit(**JIT)
def _step_back_constant(a: Any, h_prev: Any, dh_t: Any, carry: Any, db_t: Any, da: Any) -> None:
    """The same with a constant a: da adds up in double precision."""
    for n in range(len(dh_t)):
        g = widen(dh_t[n]) + carry[n]
        db_t[n] = narrow(g, db_t)
        da[n] += g * np.conj(widen(h_prev[n]))
        carry[n] = np.conj(a[n]) * g


@njit(**JIT)
def _backward(
    first: int, last: int, block: int, vary: int, a: Any, h: Any, h0: Any, dh: Any, da: Any, db: Any, dh0: Any
) -> None:
    _, L, N = h.shape
    num_blocks = -(-N // block)
    carry = np.empty(block, h0.dtype)
    for unit in range(first, last):
        i, n0 = unit // num_blocks, unit % num_blocks * block
        n1 = min(n0 + block, N)
        c = carry[: n1 - n0]
        c[:] = 0
        for t in range(L - 1, 0, -1):
            if vary:
                _step_back(a[i, t, n0:n1], h[i, t - 1, n0:n1], dh[i, t, n0:n1], c, db[i, t, n0:n1], da[i, t, n0:n1])
            else:
                _step_back_constant(
                    a[0, 0, n0:n1], h[i, t - 1, n0:n1], dh[i, t, n0:n1], c, db[i, t, n0:n1], da[i, 0, n0:n1]
                )
        if vary:
            _step_back(a[i, 0, n0:n1], h0[i, n0:n1], dh[i, 0, n0:n1], c, db[i, 0, n0:n1], da[i, 0, n0:n1])
        else:
            _step_back_constant(a[0, 0, n0:n1], h0[i, n0:n1], dh[i, 0, n0:n1], c, db[i, 0, n0:n1], da[i, 0, n0:n1])
        dh0[i, n0:n1] = c


def forward(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    h = torch.empty_like(b, memory_format=torch.contiguous_format)
    rows = a.reshape(1, 1, -1) if a.dim() == 1 else a
    run(_forward, *b.shape, int(a.dim() == 3), array(rows), array(b), array(h0), array(h))
    return h


def backward(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    db = torch.empty_like(h, memory_format=torch.contiguous_format)
    dh0 = torch.empty_like(h0, memory_format=torch.contiguous_format)
    if a.dim() == 3:
        da = torch.empty_like(h, memory_format=torch.contiguous_format)
        run(_backward, *h.shape, 1, array(a), array(h), array(h0), array(dh), array(da), array(db), array(dh0))
        return da, db, dh0
    double = torch.complex128 if a.is_complex() else torch.float64
    sums = torch.zeros(h.shape[0], 1, h.shape[2], dtype=double)  # one row per batch element: any split adds alike
    rows = a.reshape(1, 1, -1)
    run(_backward, *h.shape, 0, array(rows), array(h), array(h0), array(dh), array(sums), array(db), array(dh0))
    return sums.sum((0, 1)).to(a.dtype), db, dh0
