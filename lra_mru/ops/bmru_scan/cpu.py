"""bmru_scan on the CPU. Gate, sign and candidate live in registers: only c, beta and h touch memory.

Lanes run along channels, time is the outer loop. The backward pass recomputes the gate from c and beta. A unit of work
is one chunk of time of one batch row (_cpu/chunks.py). Arrays are flat: row r of (B * L, N) starts at r * N. Kernels
take, "units" being the number of all chunks of all rows:

    todo, ready, states   what chunks.run hands to every kernel; states (units * N,) in double precision
    c, beta, h, dh        (B * L * N,) inputs in their own dtype, 16-bit floats as raw bits; dc, dbeta outputs
    alpha                 (N,); h0, dh0 (B * N,), in accumulation dtype
    dalpha                (units * N,) in double precision, one row for each unit

u = |c| - beta opens a gate where it is positive. Where u is NaN, all that depends on the gate is NaN.
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
def _sign(x: Any) -> Any:
    """1, -1, or x itself where it is 0 or NaN."""
    return type(x)(1) if x > 0 else (type(x)(-1) if x < 0 else x)


@helper
def _by_gate(u: Any, opened: Any, closed: Any) -> Any:
    """`opened` where the gate opens, `closed` where it does not, NaN where u is NaN."""
    return opened if u > 0 else (closed if u <= 0 else u)


@helper
def _next_state(c: Any, beta: Any, alpha: Any, h: Any) -> Any:
    """sgn(c) alpha where the gate opens, else h."""
    x = widen(c)
    return _by_gate(abs(x) - widen(beta), alpha if x > 0 else (-alpha if x < 0 else x), h)


@kernel
def _forward(
    todo: Any, ready: Any, states: Any, L: int, steps: int, stream: bool, c: Any, beta: Any, alpha: Any, h: Any
) -> None:  # fmt: skip
    """h of every step. A chunk whose first state is not there yet finds its last state from no state at all.

    That takes one more walk over c and beta: last_opened is the state that the last open gate left, never_opened is 1
    for channels in which none opened, which hand on the state before the chunk.
    """
    num_chunks, N = -(-L // steps), len(alpha)
    state, last_opened, never_opened = np.empty(N, alpha.dtype), np.empty(N, alpha.dtype), np.empty(N, alpha.dtype)
    unit = claim(todo)
    while unit >= 0:
        chunk = unit % num_chunks
        first = unit // num_chunks * L + chunk * steps
        stop = first + min(steps, L - chunk * steps)
        start_is_known = is_known(ready, unit)  # then one walk is enough: its last state is the same, bit for bit
        if chunk + 1 < num_chunks and not start_is_known:
            fill(last_opened, 0)
            fill(never_opened, 1)
            for r in range(first, stop):
                start = np.uint64(r * N)
                prefetch_ahead(c, start, N, N)
                prefetch_ahead(beta, start, N, N)
                for n in range(np.uint64(N)):
                    u = abs(widen(c[start + n])) - widen(beta[start + n])
                    last_opened[n] = _next_state(c[start + n], beta[start + n], alpha[n], last_opened[n])
                    never_opened[n] = never_opened[n] if u <= 0 else 0
        state_before(state, states, ready, unit)
        if chunk + 1 < num_chunks and not start_is_known:
            for n in range(N):
                last_opened[n] = state[n] if never_opened[n] == 1 else last_opened[n]
            publish(last_opened, states, ready, unit)
        for r in range(first, stop):
            start = np.uint64(r * N)
            for n in range(np.uint64(N)):
                state[n] = _next_state(c[start + n], beta[start + n], alpha[n], state[n])
            store_row(h, start, state, N, stream)
        if chunk + 1 < num_chunks and start_is_known:
            publish(state, states, ready, unit)
        unit = claim(todo)
    flush()


@kernel
def _backward(
    todo: Any, ready: Any, states: Any, L: int, steps: int, stream: bool, carry_grad: Any, c: Any, beta: Any,
    alpha: Any, h: Any, h0: Any, dh: Any, dc: Any, dbeta: Any, dalpha: Any, dh0: Any,
) -> None:  # fmt: skip
    """carry is the gradient that reaches h[t], then h[t-1], from later steps.

    A first walk over a chunk finds what it does to a gradient from the chunk after it: decay * carry + end.
    """
    num_chunks, N = -(-L // steps), len(alpha)
    one, two, pi2, zero = type(carry_grad)(1), type(carry_grad)(2), type(carry_grad)(PI2), type(carry_grad)(0)
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
                    decay[n] *= _by_gate(u, carry_grad, one)
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
                sign = _sign(x)
                g = widen(dh[start + n]) + carry[n]
                du = g * (sign * alpha[n] - h_prev[n]) / (one + pi2 * u * u)
                dbeta_t[n] = -du
                g_opened = _by_gate(u, g, zero)
                dc_t[n] = sign * du + g_opened * alpha[n] * two / (one + pi2 * x * x)
                dalpha_part[n] += g_opened * sign
                carry[n] = _by_gate(u, g * carry_grad, g)
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
    no_gradient = np.zeros_like(array(h0))  # reaches the last step from later ones
    inputs = (flat(x) for x in (c, beta, alpha, h, h0, dh))
    results = (flat_output(x) for x in (dc, dbeta, sums, dh0))
    scalar = no_gradient.dtype.type(carry_grad)
    run(_backward, c.shape[1], no_gradient, streams(dc, dbeta), scalar, *inputs, *results)
    return dc, dbeta, sums.sum(0).to(alpha.dtype), dh0
