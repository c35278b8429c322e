"""bmru_scan on the CPU. Gate, sign and candidate live in registers: only c, beta and h touch memory.

Lanes run along channels, time is the outer loop. The backward pass recomputes the gate from c and beta.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lra_mru.ops._cpu import add_up, array, clear, copy, helper, kernel, output, widen
from lra_mru.ops._cpu_memory import empty_like, flush, prefetch_for_reversed, store_row, streams
from lra_mru.ops._cpu_threads import claim, run

PI2 = math.pi**2


@kernel
def _forward(todo: Any, block: int, stream: bool, c: Any, beta: Any, alpha: Any, h0: Any, h: Any) -> None:
    _, L, N = c.shape
    num_blocks = -(-N // block)
    carry = np.empty(block, h0.dtype)
    c_flat, beta_flat, h_flat = c.reshape(-1), beta.reshape(-1), h.reshape(-1)
    unit = claim(todo)
    while unit >= 0:
        i, n0 = unit // num_blocks, unit % num_blocks * block
        width = min(n0 + block, N) - n0
        copy(carry, h0[i, n0 : n0 + width])
        alpha_n = alpha[n0 : n0 + width]
        for t in range(L):
            start = np.uint64((i * L + t) * N + n0)
            for n in range(np.uint64(width)):
                x, up = widen(c_flat[start + n]), alpha_n[n]
                u = abs(x) - widen(beta_flat[start + n])
                candidate = up if x > 0 else (-up if x < 0 else x)
                carry[n] = candidate if u > 0 else (carry[n] if u <= 0 else u)  # neither: u is NaN
            store_row(h_flat, start, carry, width, stream)
        unit = claim(todo)
    flush()


@helper
def _step_back(
    c_t: Any,
    beta_t: Any,
    alpha: Any,
    h_prev: Any,
    dh_t: Any,
    keep: Any,
    carry: Any,
    dc_t: Any,
    dbeta_t: Any,
    dalpha: Any,
) -> None:
    """One step of the reversed pass: carry is what reaches h[t], then h[t-1], from later steps; keep is carry_grad."""
    one, two, pi2, zero = type(keep)(1), type(keep)(2), type(keep)(PI2), type(keep)(0)
    for n in range(len(c_t)):
        x = widen(c_t[n])
        u = abs(x) - widen(beta_t[n])
        sign = one if x > zero else (-one if x < zero else x)
        g = widen(dh_t[n]) + carry[n]
        candidate = sign * alpha[n]
        du = g * (candidate - widen(h_prev[n])) / (one + pi2 * u * u)
        dbeta_t[n] = -du
        opened = g if u > zero else (zero if u <= zero else u)
        dc_t[n] = sign * du + opened * alpha[n] * two / (one + pi2 * x * x)
        dalpha[n] += opened * sign
        carry[n] = g * keep if u > zero else (g if u <= zero else u)


@kernel
def _backward(
    todo: Any, block: int, stream: bool, keep: Any, c: Any, beta: Any, alpha: Any, h: Any, h0: Any,
    dh: Any, dc: Any, dbeta: Any, dalpha: Any, dh0: Any,
) -> None:  # fmt: skip
    _, L, N = c.shape
    num_blocks = -(-N // block)
    carry, partial = np.empty(block, h0.dtype), np.empty(block, h0.dtype)
    dc_t, dbeta_t = np.empty(block, h0.dtype), np.empty(block, h0.dtype)
    c_flat, beta_flat, h_flat, dh_flat = c.reshape(-1), beta.reshape(-1), h.reshape(-1), dh.reshape(-1)
    dc_flat, dbeta_flat = dc.reshape(-1), dbeta.reshape(-1)
    unit = claim(todo)
    while unit >= 0:
        i, n0 = unit // num_blocks, unit % num_blocks * block
        n1 = min(n0 + block, N)
        width = n1 - n0
        k, p, up = carry[:width], partial[:width], alpha[n0:n1]
        clear(k)
        clear(p)
        for t in range(L - 1, -1, -1):
            start = np.uint64((i * L + t) * N + n0)
            prefetch_for_reversed(c_flat, start, t, N, width)
            prefetch_for_reversed(beta_flat, start, t, N, width)
            prefetch_for_reversed(h_flat, start, t, N, width)
            prefetch_for_reversed(dh_flat, start, t, N, width)
            c_t, beta_t, dh_t = c[i, t, n0:n1], beta[i, t, n0:n1], dh[i, t, n0:n1]
            if t > 0:
                _step_back(c_t, beta_t, up, h[i, t - 1, n0:n1], dh_t, keep, k, dc_t, dbeta_t, p)
            else:
                _step_back(c_t, beta_t, up, h0[i, n0:n1], dh_t, keep, k, dc_t, dbeta_t, p)
            store_row(dc_flat, start, dc_t, width, stream)
            store_row(dbeta_flat, start, dbeta_t, width, stream)
            add_up(t, p, dalpha[i, n0:n1])
        copy(dh0[i, n0:n1], k)
        unit = claim(todo)
    flush()


def forward(c: Tensor, beta: Tensor, alpha: Tensor, h0: Tensor) -> Tensor:
    h = empty_like(c)
    run(_forward, *c.shape, streams(h), array(c), array(beta), array(alpha), array(h0), output(h))
    return h


def backward(
    c: Tensor, beta: Tensor, alpha: Tensor, h: Tensor, h0: Tensor, dh: Tensor, carry_grad: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dc, dbeta = (empty_like(c) for _ in range(2))
    dh0 = empty_like(h0)
    sums = torch.zeros(h0.shape, dtype=torch.float64)  # one row per batch element: any split over threads adds alike
    keep = np.dtype(str(h0.dtype).removeprefix("torch.")).type(carry_grad)
    inputs = (array(x) for x in (c, beta, alpha, h, h0, dh))
    results = (output(x) for x in (dc, dbeta, sums, dh0))
    run(_backward, *c.shape, streams(dc, dbeta), keep, *inputs, *results)
    return dc, dbeta, sums.sum(0).to(alpha.dtype), dh0
