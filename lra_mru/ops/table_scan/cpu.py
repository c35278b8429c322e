"""table_scan on the CPU. Lanes run along the columns of all heads, time is the outer loop.

Every step finds the whole table, in as many comparisons as there are logits, and then follows it: that a machine is in
one state alone would save reading only where a head has more logits than a cache line. Heads share nothing, so a row on
its own is shared out by heads, and no number of threads changes a bit. Arrays are flat. The backward pass has a file of
its own, cpu_back.py; heads of four states have kernels of their own, cpu_four.py and cpu_four_back.py.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lra_mru.ops._cpu.arrays import flat, flat_output, helper, kernel, widen
from lra_mru.ops._cpu.memory import empty_like, flush, in_lines, prefetch_ahead, store_row, streams
from lra_mru.ops._cpu.threads import claim, share
from lra_mru.ops.table_scan.cpu_back import backward_any
from lra_mru.ops.table_scan.cpu_four import forward_four
from lra_mru.ops.table_scan.cpu_four_back import backward_four
from lra_mru.ops.table_scan.cpu_noise import add_noise
from lra_mru.ops.table_scan.cpu_units import heads_of
from lra_mru.ops.table_scan.states import states_of

BLOCK_HEADS = 16  # of a row on its own: whole cache lines, whatever the number of states


@helper
def _better(x: Any, to: Any, top: Any, where: Any) -> Any:
    """(top, where) or (x, to), whichever is higher; a NaN is never left again, as nothing is higher."""
    higher = (x > top) or (x != x)
    return (x if higher else top), (to if higher else where)


@helper
def _best_of_four(theta: Any, at: Any, at1: Any, at2: Any, at3: Any, to: Any, top: Any, where: Any) -> Any:
    """Destinations `to` to `to` + 3 of one column against the best so far. One that comes twice never wins again."""
    top, where = _better(widen(theta[at]), to, top, where)
    top, where = _better(widen(theta[at1]), np.int32(to + np.int32(1)), top, where)
    top, where = _better(widen(theta[at2]), np.int32(to + np.int32(2)), top, where)
    return _better(widen(theta[at3]), np.int32(to + np.int32(3)), top, where)


@helper
def _fill_table(
    theta: Any, s0: Any, s1: Any, s2: Any, s3: Any, n: int, width: Any, like: Any, tau: Any, start: Any
) -> None:
    """tau of all columns, for at most four states."""
    lowest, lost, zero = type(like)(-np.inf), np.int32(n), np.int32(0)
    for c in range(np.uint64(width)):
        top, where = _best_of_four(theta, s0 + c, s1 + c, s2 + c, s3 + c, zero, lowest, zero)
        tau[start + c] = np.uint8(where if top == top else lost)


@helper
def _compare(theta: Any, to: Any, s0: Any, s1: Any, s2: Any, s3: Any, width: Any, best: Any, arrival: Any) -> None:
    """The same four at a time, against the best so far."""
    for c in range(np.uint64(width)):
        best[c], arrival[c] = _best_of_four(theta, s0 + c, s1 + c, s2 + c, s3 + c, to, best[c], arrival[c])


@helper
def _mark_lost(now: Any, heads: int, n: int, row: Any) -> None:
    """NaN where a head has lost its state."""
    for k in range(heads):
        if now[k] == n:
            for j in range(n):
                row[k * n + j] = np.nan


@kernel
def _forward(
    todo: Any, L: int, K: int, n: int, block: int, stream: bool, noisy: bool, logits: Any, keys: Any, like: Any, h: Any,
    tau: Any, states: Any,
) -> None:  # fmt: skip
    num_blocks, C, most = -(-K // block), K * n, block * n
    theta, best, row = np.empty(4 * most, like.dtype), np.empty(most, like.dtype), np.empty(most, like.dtype)
    arrival, now, zero = np.empty(most, np.int32), np.empty(block, np.int64), np.uint64(0)
    unit = claim(todo)
    while unit >= 0:
        i, first, heads, c0 = heads_of(unit, num_blocks, block, K, n)
        width = heads * n
        for k in range(heads):
            now[k] = states[i * (L + 1) * K + first + k]
        for t in range(L):
            r = i * L + t
            start, base = np.uint64(r * C + c0), r * n * C + c0
            for to in range(n):
                prefetch_ahead(logits, np.uint64(base + to * C), n * C, width)
            if n > 4:
                for c in range(np.uint64(width)):
                    best[c], arrival[c] = -np.inf, np.int32(0)
            for to in range(0, n, 4):
                to1, to2, to3 = min(to + 1, n - 1), min(to + 2, n - 1), min(to + 3, n - 1)
                s0, s1 = np.uint64(base + to * C), np.uint64(base + to1 * C)
                s2, s3 = np.uint64(base + to2 * C), np.uint64(base + to3 * C)
                if noisy:
                    for m in range(min(4, n - to)):
                        entry, key = (to + m) * C + c0, np.uint32(keys[r])
                        add_noise(theta, np.uint64(m * width), logits, np.uint64(r * n * C + entry), key, entry, width)
                    w1, w2, w3 = (
                        np.uint64((to1 - to) * width),
                        np.uint64((to2 - to) * width),
                        np.uint64((to3 - to) * width),
                    )
                    if n > 4:
                        _compare(theta, np.int32(to), zero, w1, w2, w3, width, best, arrival)
                    else:
                        _fill_table(theta, zero, w1, w2, w3, n, width, best[0], tau, start)
                elif n > 4:
                    _compare(logits, np.int32(to), s0, s1, s2, s3, width, best, arrival)
                else:
                    _fill_table(logits, s0, s1, s2, s3, n, width, best[0], tau, start)
            if n > 4:
                for c in range(np.uint64(width)):
                    tau[start + c] = np.uint8(arrival[c] if best[c] == best[c] else np.int32(n))
            for c in range(np.uint64(width)):
                row[c] = 0
            after, latest = np.uint64((i * (L + 1) + t + 1) * K + first), np.int64(0)
            for k in range(np.uint64(heads)):
                at = k * np.uint64(n)
                state = now[k]
                if state < n:
                    state = np.int64(tau[start + at + np.uint64(state)])
                now[k] = state
                states[after + k] = np.uint8(state)
                row[at + np.uint64(min(state, n - 1))] = 1
                latest = max(latest, state)
            if latest == n:
                _mark_lost(now, heads, n, row)
            store_row(h, start, row, width, stream)
        unit = claim(todo)
    flush()


def _cut(logits: Tensor, num_states: int) -> tuple[int, int, int]:
    """Heads, heads of a unit, and units."""
    batch, _, width = logits.shape
    heads = width // num_states**2
    block = heads if batch > 1 else min(heads, BLOCK_HEADS)
    return heads, block, batch * -(-heads // block)


def _keys(keys: Tensor | None) -> tuple[bool, np.ndarray]:
    return (False, np.zeros(1, np.int64)) if keys is None else (True, flat(keys))


def forward(
    logits: Tensor, h0: Tensor, keys: Tensor | None, num_states: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, _ = logits.shape
    heads, block, units = _cut(logits, num_states)
    h = empty_like(logits[..., : h0.shape[1]])
    tau = torch.empty(h.shape, dtype=torch.uint8)
    states = torch.empty(batch, length + 1, heads, dtype=torch.uint8)
    states[:, 0] = states_of(h0.unflatten(1, (heads, num_states)))
    noisy, rows = _keys(keys)
    sizes, stream = (length, heads, num_states, block), streams(h)
    arrays = noisy, flat(logits), rows, flat(h0), flat_output(h), flat_output(tau), flat_output(states)
    if num_states == 4:
        share(forward_four, units, logits.numel(), *sizes, stream, stream and in_lines(tau), *arrays)
    else:
        share(_forward, units, logits.numel(), *sizes, stream, *arrays)
    return h, tau, states


def backward(
    logits: Tensor, tau: Tensor, states: Tensor, keys: Tensor | None, dh: Tensor, num_states: int, temperature: float
) -> tuple[Tensor, Tensor]:
    heads, block, units = _cut(logits, num_states)
    dlogits = empty_like(logits)
    dh0 = torch.empty(len(logits), heads * num_states, dtype=torch.promote_types(logits.dtype, torch.float32))
    noisy, rows = _keys(keys)
    array_dtype = flat_output(dh0).dtype.type
    share(
        backward_four if num_states == 4 else backward_any, units, 2 * logits.numel(), logits.shape[1], heads,
        num_states, block, streams(dlogits), noisy, array_dtype(1 / temperature), flat(logits), rows, flat(tau),
        flat(states), flat(dh), flat_output(dlogits), flat_output(dh0),
    )  # fmt: skip
    return dlogits, dh0
