"""table_scan backward on the CPU for heads of four states: a look-up is a selection in lanes. n: see cpu_four.py."""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from lra_mru.ops._cpu.arrays import BLOCK_ROWS, fill, helper, kernel, widen
from lra_mru.ops._cpu.maths import LOG2_E
from lra_mru.ops._cpu.memory import flush, prefetch_ahead, start_of_reversed, store_row
from lra_mru.ops._cpu.threads import claim
from lra_mru.ops.table_scan.cpu_noise import gumbel
from lra_mru.ops.table_scan.cpu_softmax import slopes, softmax
from lra_mru.ops.table_scan.cpu_units import heads_of


@intrinsic
def _store_at_place(context: Any, row: Any, start: Any, x: Any, place: Any) -> Any:
    """row[start : start + 4] = x at that place, else 0; all 0 if there is none. LLVM would scatter: 5 x slower."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        array, start, x, place = args
        places, numbers = ir.VectorType(place.type, 4), ir.VectorType(x.type, 4)
        first, everywhere = ir.IntType(32)(0), ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)

        def splat(value: Any, vector: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, first)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), everywhere)

        here = builder.icmp_signed("==", splat(place, places), ir.Constant(places, [0, 1, 2, 3]))
        out = builder.select(here, splat(x, numbers), ir.Constant(numbers, [0.0] * 4))
        data = context.make_array(signature.args[0])(context, builder, array).data
        builder.store(out, builder.bitcast(builder.gep(data, [start]), numbers.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(row, types.uintp, row.dtype, types.int32), emit


@helper
def _choose(x0: Any, x1: Any, x2: Any, x3: Any, place: Any) -> Any:
    """The number at one of four places, NaN at the fifth; bit by bit, as LLVM turns equalities into branches."""
    odd, high, none = np.int32(place & np.int32(1)), np.int32(place & np.int32(2)), np.int32(place & np.int32(4))
    low_pair, high_pair = (x1 if odd else x0), (x3 if odd else x2)
    found = high_pair if high else low_pair
    return type(x0)(np.nan) if none else found


@helper
def _used_columns(
    n: int, logits: Any, base: Any, C: Any, states: Any, at_states: Any, heads: Any, c0: Any, key: Any, lane: Any,
    lanes: Any, before: Any, entries: Any, lane_keys: Any, column: Any,
) -> None:  # fmt: skip
    """One step: column[to * lanes + lane + k] = logits of the column in use. Of a lost state, any."""
    for k in range(np.uint64(heads)):
        state = np.int32(states[at_states + k])
        before[lane + k], lane_keys[lane + k] = state, key
        entries[lane + k] = np.uint32(np.uint32(c0) + np.uint32(k * np.uint64(4)) + np.uint32(min(state, np.int32(3))))
    for to in range(n):
        row, at = base + np.uint64(to) * C, np.uint64(to * lanes) + lane
        for k in range(np.uint64(heads)):
            column[at + k] = widen(logits[row + np.uint64(entries[lane + k])])


@helper
def _step_back(
    n: int, dh: Any, start: Any, tables: Any, table: Any, heads: Any, carry: Any, adjoint: Any, lane: Any, lanes: Any
) -> None:
    """adjoint: that of h[t], one row a state; carry: what reaches it from later steps, then what goes on to h[t-1]."""
    l1, l2, l3 = lane + np.uint64(lanes), lane + np.uint64(2 * lanes), lane + np.uint64(3 * lanes)
    for j in range(n):
        at, row, first = np.uint64(j * heads), np.uint64(j * lanes) + lane, start + np.uint64(j)
        for k in range(np.uint64(heads)):
            adjoint[row + k] = carry[at + k] + widen(dh[first + k * np.uint64(4)])
    for j in range(n):
        at, shift = np.uint64(j * heads), np.uint32(8 * j)
        for k in range(np.uint64(heads)):
            arrival = np.int32(np.uint32(tables[table + k] >> shift) & np.uint32(7))
            carry[at + k] = _choose(adjoint[lane + k], adjoint[l1 + k], adjoint[l2 + k], adjoint[l3 + k], arrival)


@helper
def _spread(column: Any, at: Any, before: Any, lane: Any, heads: Any, row: Any) -> None:
    """row: the gradient of one destination's scores, which only the columns in use have."""
    for k in range(np.uint64(heads)):
        _store_at_place(row, k * np.uint64(4), column[at + k], before[lane + k])  # type: ignore[call-arg]


@kernel
def backward_four(
    todo: Any, L: int, K: int, n: int, block: int, stream: bool, noisy: bool, sharpness: Any, logits: Any, keys: Any,
    tau: Any, states: Any, dh: Any, dlogits: Any, dh0: Any,
) -> None:  # fmt: skip
    """As cpu.py has it for any number of states."""
    num_blocks, C, dtype, most_lanes = -(-K // block), 4 * K, dh0.dtype, BLOCK_ROWS * block
    carry, row, per_lane = np.empty(4 * block, dtype), np.empty(4 * block, dtype), np.empty(most_lanes, dtype)
    column, adjoint = np.empty(4 * most_lanes, dtype), np.empty(4 * most_lanes, dtype)
    before, entries = np.empty(most_lanes, np.int32), np.empty(most_lanes, np.uint32)
    lane_keys, tables = np.empty(most_lanes, np.uint32), tau.view(np.uint32)
    scale = sharpness * type(sharpness)(LOG2_E)
    unit = claim(todo)
    while unit >= 0:
        i, first, heads, c0 = heads_of(unit, num_blocks, block, K, 4)
        width = 4 * heads
        pieces = 1 if heads == K else n  # of a step's logits, in memory
        fill(carry, 0)
        for first_step in range((L - 1) // BLOCK_ROWS * BLOCK_ROWS, -1, -BLOCK_ROWS):
            stop = min(first_step + BLOCK_ROWS, L)
            lanes = (stop - first_step) * heads
            for t in range(first_step, stop):
                lane = start_of_reversed(t - first_step, heads)
                base, at_states = np.uint64((i * L + t) * 4 * C), np.uint64((i * (L + 1) + t) * K + first)
                key = np.uint32(keys[i * L + t] if noisy else 0)
                _used_columns(
                    n, logits, base, np.uint64(C), states, at_states, heads, c0, key, lane, lanes, before, entries,
                    lane_keys, column,
                )  # fmt: skip
            if noisy:
                for to in range(n):
                    start, shift = np.uint64(to * lanes), np.uint32(to * C)
                    for lane in range(np.uint64(lanes)):
                        x = column[start + lane]
                        column[start + lane] = x + gumbel(lane_keys[lane], np.uint32(entries[lane] + shift), x)
            softmax(column, lanes, n, scale, per_lane)
            for t in range(stop - 1, first_step - 1, -1):
                lane = start_of_reversed(t - first_step, heads)
                table = start_of_reversed(i * L + t, K) + np.uint64(first)
                _step_back(n, dh, table << np.uint64(2), tables, table, heads, carry, adjoint, lane, lanes)
            slopes(column, adjoint, lanes, n, sharpness, per_lane)
            for t in range(first_step, stop):
                lane, r = start_of_reversed(t - first_step, heads), i * L + t
                for to in range(pieces):
                    prefetch_ahead(logits, np.uint64((r * 4 + to) * C + c0), -4 * C, 4 * width // pieces)
                prefetch_ahead(dh, np.uint64(r * C + c0), -C, width)
                for to in range(n):
                    _spread(column, lane + np.uint64(to * lanes), before, lane, heads, row)
                    store_row(dlogits, np.uint64((r * 4 + to) * C + c0), row, width, stream)
        for k in range(heads):
            for j in range(n):
                dh0[i * C + c0 + 4 * k + j] = carry[j * heads + k]
        unit = claim(todo)
    flush()
