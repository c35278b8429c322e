"""table_scan forward on the CPU for heads of four states, the usual size: what cpu.py looks up is shifted in lanes.

n, which is 4, comes as an argument: LLVM would write out a loop over a constant, and compile for half as long again.
"""

from typing import Any

import numpy as np

from lra_mru.ops._cpu.arrays import helper, kernel, widen
from lra_mru.ops._cpu.memory import flush, prefetch_ahead, store_row
from lra_mru.ops._cpu.threads import claim
from lra_mru.ops.table_scan.cpu_noise import add_noise
from lra_mru.ops.table_scan.cpu_units import heads_of


@helper
def _find_table(theta: Any, s0: Any, s1: Any, s2: Any, s3: Any, width: Any, table: Any) -> None:
    """The table of one step; the scores of destination d start at sd. The first of equals wins."""
    zero, one, two, three, lost = np.int32(0), np.int32(1), np.int32(2), np.int32(3), np.int32(4)
    for c in range(np.uint64(width)):
        x0, x1, x2, x3 = widen(theta[s0 + c]), widen(theta[s1 + c]), widen(theta[s2 + c]), widen(theta[s3 + c])
        low, high = (x1 if x1 > x0 else x0), (x3 if x3 > x2 else x2)
        low_place, high_place = (one if x1 > x0 else zero), (three if x3 > x2 else two)
        place = high_place if high > low else low_place
        has_nan = x0 != x0 or x1 != x1 or x2 != x2 or x3 != x3
        table[c] = np.uint8(lost if has_nan else place)


@helper
def _follow(words: Any, now: Any, heads: Any, states: Any, after: Any, hot: Any) -> None:
    """One step. Four bytes, the table of a head, are one word. hot: another, in which the byte of the new state is 1.

    All bits of that are set if the state is lost.
    """
    for k in range(np.uint64(heads)):
        state, lost = now[k], np.uint32(4)
        shift = np.uint32(np.uint32(state << np.uint32(3)) & np.uint32(31))
        arrival = np.uint32(np.uint32(words[k] >> shift) & np.uint32(0xFF))
        state = arrival if state < lost else lost
        now[k] = state
        states[after + k] = np.uint8(state)
        shift = np.uint32(np.uint32(state << np.uint32(3)) & np.uint32(31))
        hot[k] = np.uint32(np.uint32(1) << shift) if state < lost else np.uint32(0xFFFFFFFF)


@kernel
def forward_four(
    todo: Any, L: int, K: int, n: int, block: int, stream: bool, stream_tau: bool, noisy: bool, logits: Any,
    keys: Any, like: Any, h: Any, tau: Any, states: Any,
) -> None:  # fmt: skip
    num_blocks, C = -(-K // block), 4 * K
    theta, row = np.empty(16 * block, like.dtype), np.empty(4 * block, like.dtype)
    now, hot = np.empty(block, np.uint32), np.empty(block, np.uint32)
    words = np.empty(block, np.uint32)
    table, ones = words.view(np.uint8), hot.view(np.uint8)
    unit = claim(todo)
    while unit >= 0:
        i, first, heads, c0 = heads_of(unit, num_blocks, block, K, 4)
        width = 4 * heads
        pieces = 1 if heads == K else n  # of a step's logits, in memory
        for k in range(heads):
            now[k] = states[i * (L + 1) * K + first + k]
        for t in range(L):
            r = i * L + t
            start, base = np.uint64(r * C + c0), np.uint64(r * 4 * C + c0)
            for to in range(pieces):
                prefetch_ahead(logits, base + np.uint64(to * C), 4 * C, 4 * width // pieces)
            if noisy:
                for to in range(n):
                    entry = to * C
                    add_noise(
                        theta, np.uint64(to * width), logits, base + np.uint64(entry), np.uint32(keys[r]), entry + c0,
                        width,
                    )  # fmt: skip
                _find_table(
                    theta, np.uint64(0), np.uint64(width), np.uint64(2 * width), np.uint64(3 * width), width, table
                )
            else:
                step = np.uint64(C)
                _find_table(logits, base, base + step, base + step + step, base + step + step + step, width, table)
            after = np.uint64((i * (L + 1) + t + 1) * K + first)
            _follow(words, now, heads, states, after, hot)
            for c in range(np.uint64(width)):
                row[c] = np.nan if ones[c] > 1 else type(like[0])(ones[c])
            store_row(h, start, row, width, stream)
            store_row(tau, start, table, width, stream_tau)
        unit = claim(todo)
    flush()
