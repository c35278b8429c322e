"""The backward pass of table_scan on the CPU, for any number of states."""

from typing import Any

import numpy as np

from lra_mru.ops._cpu.arrays import BLOCK_ROWS, fill, helper, kernel, widen
from lra_mru.ops._cpu.maths import LOG2_E
from lra_mru.ops._cpu.memory import flush, prefetch_ahead, store_row
from lra_mru.ops._cpu.threads import claim
from lra_mru.ops.table_scan.cpu_noise import gumbel
from lra_mru.ops.table_scan.cpu_softmax import slopes, softmax
from lra_mru.ops.table_scan.cpu_units import heads_of


@helper
def _used_columns(
    first_step: int, stop: int, n: int, C: int, K: int, c0: int, heads: int, at_states: int, r0: int, noisy: bool,
    logits: Any, keys: Any, states: Any, before: Any, entries: Any, column: Any, lanes: int,
) -> None:  # fmt: skip
    """column[to * lanes + lane] = theta of the column in use; a lane for every step and head. Of a lost state, any."""
    for t in range(first_step, stop):
        lane, at = (t - first_step) * heads, at_states + t * K
        for k in range(heads):
            state = np.int64(states[at + k])
            before[lane + k] = state
            used = state if state < n else np.int64(n - 1)
            entries[lane + k] = np.uint32(c0 + k * n + used)
        for to in range(n):
            base = ((r0 + t) * n + to) * C
            for k in range(heads):
                column[to * lanes + lane + k] = widen(logits[base + np.int64(entries[lane + k])])
        if noisy:
            key = np.uint32(keys[r0 + t])
            for to in range(n):
                start, shift = np.uint64(to * lanes + lane), np.uint32(to * C)
                for k in range(np.uint64(heads)):
                    x = column[start + k]
                    column[start + k] = x + gumbel(key, entries[np.uint64(lane) + k] + shift, x)


@kernel
def backward_any(
    todo: Any, L: int, K: int, n: int, block: int, stream: bool, noisy: bool, sharpness: Any, logits: Any, keys: Any,
    tau: Any, states: Any, dh: Any, dlogits: Any, dh0: Any,
) -> None:  # fmt: skip
    """Blocks of steps from last to first: softmax of all used columns, adjoints step by step, then the gradients.

    carry is what reaches h[t], then h[t-1], from later steps; sharpness is 1 / temperature.
    """
    num_blocks, C, dtype = -(-K // block), K * n, dh0.dtype
    most, most_lanes = block * n, BLOCK_ROWS * block
    now, carry, row = np.empty(most, dtype), np.empty(most, dtype), np.empty(most, dtype)
    column, adjoint = np.empty(n * most_lanes, dtype), np.empty(n * most_lanes, dtype)
    per_lane, before, entries = (
        np.empty(most_lanes, dtype),
        np.empty(most_lanes, np.int64),
        np.empty(most_lanes, np.uint32),
    )
    scale = sharpness * type(sharpness)(LOG2_E)
    unit = claim(todo)
    while unit >= 0:
        i, first, heads, c0 = heads_of(unit, num_blocks, block, K, n)
        width, at_states = heads * n, i * (L + 1) * K + first
        fill(carry, 0)
        for first_step in range((L - 1) // BLOCK_ROWS * BLOCK_ROWS, -1, -BLOCK_ROWS):
            stop = min(first_step + BLOCK_ROWS, L)
            lanes = (stop - first_step) * heads
            _used_columns(
                first_step, stop, n, C, K, c0, heads, at_states, i * L, noisy, logits, keys, states, before, entries,
                column, lanes,
            )  # fmt: skip
            softmax(column, lanes, n, scale, per_lane)
            for t in range(stop - 1, first_step - 1, -1):
                start, lane = np.uint64((i * L + t) * C + c0), (t - first_step) * heads
                for c in range(np.uint64(width)):
                    now[c] = carry[c] + widen(dh[start + c])
                for k in range(heads):
                    for j in range(n):
                        arrival = np.int64(tau[start + np.uint64(k * n + j)])
                        carry[k * n + j] = now[k * n + arrival] if arrival < n else np.nan
                        adjoint[j * lanes + lane + k] = now[k * n + j]
            slopes(column, adjoint, lanes, n, sharpness, per_lane)
            for t in range(first_step, stop):
                lane = (t - first_step) * heads
                prefetch_ahead(dh, np.uint64((i * L + t) * C + c0), -C, width)
                for to in range(n):
                    prefetch_ahead(logits, np.uint64(((i * L + t) * n + to) * C + c0), -n * C, width)
                    for c in range(np.uint64(width)):
                        row[c] = 0
                    for k in range(heads):
                        if before[lane + k] < n:
                            row[k * n + before[lane + k]] = column[to * lanes + lane + k]
                    store_row(dlogits, np.uint64(((i * L + t) * n + to) * C + c0), row, width, stream)
        for c in range(width):
            dh0[i * C + c0 + c] = carry[c]
        unit = claim(todo)
    flush()
