"""bmru_scan on the CPU. Gate, sign and candidate live in registers: only c, beta and h touch memory.

Lanes run along channels, time is the outer loop. The backward pass recomputes the gate from c and beta. Arrays are
flat: row r of (B * L, N) starts at r * N.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lra_mru.ops._cpu.arrays import add_up, array, fill, flat, flat_output, helper, kernel, widen
from lra_mru.ops._cpu.chunks import apply, is_known, num_units, publish, run, state_before
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

PI2 = math.pi**2


@helper
def _widen_row(to: Any, h: Any, start: Any) -> None:
    for n in range(np.uint64(len(to))):
        to[n] = widen(h[start + n])


@helper
def _gate(c: Any, beta: Any, alpha: Any) -> Any:
    """u = |c| - beta, which opens the gate where it is positive, and the candidate sign(c) alpha."""
    x = widen(c)
    return abs(x) - widen(beta), alpha if x > 0 else (-alpha if x < 0 else x)


@kernel
def _forward(
    todo: Any, ready: Any, states: Any, L: int, steps: int, stream: bool, c: Any, beta: Any, alpha: Any, h: Any
) -> None:  # fmt: skip
    num_chunks, N = -(-L // steps), len(alpha)
    carry, end, shut = np.empty(N, alpha.dtype), np.empty(N, alpha.dtype), np.empty(N, alpha.dtype)
    unit = claim(todo)
    while unit >= 0:
        chunk = unit % num_chunks
        first = unit // num_chunks * L + chunk * steps
        stop = first + min(steps, L - chunk * steps)
        known = is_known(ready, unit)  # then one walk is enough: the state that it ends in is the same, bit for bit
        if chunk + 1 < num_chunks and not known:
            fill(end, 0)
            fill(shut, 1)
            for r in range(first, stop):
                start = np.uint64(r * N)
                prefetch_ahead(c, start, N, N)
                prefetch_ahead(beta, start, N, N)
                for n in range(np.uint64(N)):
                    u, candidate = _gate(c[start + n], beta[start + n], alpha[n])
                    end[n] = candidate if u > 0 else (end[n] if u <= 0 else u)
                    shut[n] = shut[n] if u <= 0 else 0
        state_before(carry, states, ready, unit)
        if chunk + 1 < num_chunks and not known:
            for n in range(N):
                end[n] = carry[n] if shut[n] == 1 else end[n]
            publish(end, states, ready, unit)
        for r in range(first, stop):
            start = np.uint64(r * N)
            for n in range(np.uint64(N)):
                u, candidate = _gate(c[start + n], beta[start + n], alpha[n])
                carry[n] = candidate if u > 0 else (carry[n] if u <= 0 else u)  # neither: u is NaN
            store_row(h, start, carry, N, stream)
        if chunk + 1 < num_chunks and known:
            publish(carry, states, ready, unit)
        unit = claim(todo)
    flush()


@kernel
def _backward(
    todo: Any, ready: Any, states: Any, L: int, steps: int, stream: bool, keep: Any, c: Any, beta: Any, alpha: Any,
    h: Any, h0: Any, dh: Any, dc: Any, dbeta: Any, dalpha: Any, dh0: Any,
) -> None:  # fmt: skip
    """carry is what reaches h[t], then h[t-1], from later steps; keep is carry_grad; dalpha one row for each unit."""
    num_chunks, N = -(-L // steps), len(alpha)
    one, two, pi2, zero = type(keep)(1), type(keep)(2), type(keep)(PI2), type(keep)(0)
    carry, decay, end = np.empty(N, h0.dtype), np.empty(N, states.dtype), np.empty(N, states.dtype)
    h_prev, dalpha_part = np.empty(N, h0.dtype), np.zeros(N, h0.dtype)
    dc_t, dbeta_t = np.empty(N, h0.dtype), np.empty(N, h0.dtype)
    unit = claim(todo)
    while unit >= 0:
        i, chunk = unit // num_chunks, unit % num_chunks
        stop = (i + 1) * L - chunk * steps
        first = max(stop - steps, i * L)
        if chunk + 1 < num_chunks:
            fill(decay, 1)
            fill(end, 0)
            for r in range(first, stop):  # upwards, as hardware prefetches
                start = np.uint64(r * N)
                prefetch_ahead(c, start, N, N)
                prefetch_ahead(beta, start, N, N)
                prefetch_ahead(dh, start, N, N)
                for n in range(np.uint64(N)):
                    u = abs(widen(c[start + n])) - widen(beta[start + n])
                    decay[n] *= keep if u > zero else (one if u <= zero else u)
                    end[n] += decay[n] * widen(dh[start + n])
        state_before(carry, states, ready, unit)
        if chunk + 1 < num_chunks:
            apply(decay, end, carry)
            publish(end, states, ready, unit)
        for r in range(stop - 1, first - 1, -1):
            start = start_of_reversed(r, N)
            prefetch_for_reversed(c, start, r - first, N, N)
            prefetch_for_reversed(beta, start, r - first, N, N)
            prefetch_for_reversed(h, start, r - first, N, N)
            prefetch_for_reversed(dh, start, r - first, N, N)
            if r > i * L:
                _widen_row(h_prev, h, start - np.uint64(N))
            else:
                _widen_row(h_prev, h0, np.uint64(i * N))
            for n in range(np.uint64(N)):
                x = widen(c[start + n])
                u = abs(x) - widen(beta[start + n])
                sign = one if x > zero else (-one if x < zero else x)
                g = widen(dh[start + n]) + carry[n]
                du = g * (sign * alpha[n] - h_prev[n]) / (one + pi2 * u * u)
                dbeta_t[n] = -du
                opened = g if u > zero else (zero if u <= zero else u)
                dc_t[n] = sign * du + opened * alpha[n] * two / (one + pi2 * x * x)
                dalpha_part[n] += opened * sign
                carry[n] = g * keep if u > zero else (g if u <= zero else u)
            store_row(dc, start, dc_t, N, stream)
            store_row(dbeta, start, dbeta_t, N, stream)
            add_up(r - first, dalpha_part, dalpha[unit * N : (unit + 1) * N])
        if chunk + 1 == num_chunks:
            for n in range(N):
                dh0[i * N + n] = carry[n]
        unit = claim(todo)
    flush()


def forward(c: Tensor, beta: Tensor, alpha: Tensor, h0: Tensor, carry_grad: float) -> Tensor:
    h = empty_like(c)
    run(_forward, c.shape[1], array(h0), streams(h), flat(c), flat(beta), flat(alpha), flat_output(h))
    return h


def backward(
    c: Tensor, beta: Tensor, alpha: Tensor, h: Tensor, h0: Tensor, dh: Tensor, carry_grad: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dc, dbeta, dh0 = (empty_like(x) for x in (c, c, h0))
    sums = torch.zeros(num_units(*c.shape), c.shape[2], dtype=torch.float64)
    nothing = np.zeros_like(array(h0))
    inputs = (flat(x) for x in (c, beta, alpha, h, h0, dh))
    results = (flat_output(x) for x in (dc, dbeta, sums, dh0))
    run(_backward, c.shape[1], nothing, streams(dc, dbeta), nothing.dtype.type(carry_grad), *inputs, *results)
    return dc, dbeta, sums.sum(0).to(alpha.dtype), dh0
