"""Bytes that the Triton kernels ask for, counted load by load in Triton's interpreter.

    TRITON_INTERPRET=1 python -m lra_mru.bench.kernels.traffic      one JSON line per op and pass

The floor reads each input once and writes each output once, what is kept for backward included. One row of a batch is
counted, cut up as in a batch that fills a GPU; what programs tell each other is counted too.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from triton.runtime.interpreter import InterpreterBuilder

from lra_mru.bench.kernels.interpreter import scan_whole_tiles
from lra_mru.ops._gpu import lookback
from lra_mru.ops._gpu.tiling import FULL_GPU, Tiling, pick_spans, pick_tiling
from lra_mru.ops.bmru_scan import gpu as bmru_scan
from lra_mru.ops.linear_scan import gpu as linear_scan
from lra_mru.ops.selective_scan import gpu as selective_scan
from lra_mru.ops.table_scan import gpu as table_scan

BATCH, LENGTH, CHANNELS = 1, 256, 32  # two chunks or more, of one block of channels
MANY_STEPS = 16384
OTHER_LENGTH, OTHER_CHANNELS, STATES = 32, 256, 16  # of ops that are not cut so


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Inside, the unmasked bytes of all loads, stores and atomics add up, and of the slots as they are emptied."""
    moved = {"bytes": 0}
    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store
    atomic = InterpreterBuilder.create_atomic_rmw

    def counting_load(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        found = load(self, pointers, mask, *rest)
        moved["bytes"] += int(mask.data.sum()) * found.data.itemsize
        return found

    def counting_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        moved["bytes"] += int(mask.data.sum()) * value.data.itemsize
        return store(self, pointers, value, mask, *rest)

    def counting_atomic(self: Any, operation: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        moved["bytes"] += int(mask.data.sum()) * value.data.itemsize
        return atomic(self, operation, pointers, value, mask, *rest)

    def counting_slots(*sizes: Any) -> tuple[Tensor, Tensor]:
        slots, counter = lookback.new_slots(*sizes)
        moved["bytes"] += size(slots, counter)
        return slots, counter

    with ExitStack() as stack:
        for name, method in (
            ("create_masked_load", counting_load),
            ("create_masked_store", counting_store),
            ("create_atomic_rmw", counting_atomic),
        ):
            stack.enter_context(patch.object(InterpreterBuilder, name, method))
        for module in (linear_scan, bmru_scan):
            stack.enter_context(patch.object(module, "new_slots", counting_slots))
        yield moved


@contextmanager
def full_gpu() -> Iterator[None]:
    """Inside, every batch is cut up as one that fills a GPU."""
    spans = pick_spans(FULL_GPU, OTHER_LENGTH, OTHER_CHANNELS, STATES, selective_scan.CHUNK)

    def tiling(batch: int, length: int, *rest: int) -> Tiling:
        found = pick_tiling(FULL_GPU, MANY_STEPS, *rest)
        return replace(found, chunks=-(-length // found.chunk))

    with (
        patch.object(selective_scan, "pick_spans", lambda *_: spans),
        patch.object(linear_scan, "pick_tiling", tiling),
        patch.object(bmru_scan, "pick_tiling", tiling),
    ):
        yield


def size(*tensors: Tensor) -> int:
    return sum(x.numel() * x.element_size() for x in tensors)


def passes() -> dict[str, tuple[Callable[[], Any], tuple[Tensor, ...]]]:
    """Each pass of each op in float32: the call and its inputs, the first of all elements."""
    x, h0, row = torch.rand(BATCH, LENGTH, CHANNELS), torch.rand(BATCH, CHANNELS), torch.rand(CHANNELS)
    y, z, w = x.clone(), x.clone(), x.clone()
    u, c = torch.view_as_complex(torch.rand(2, BATCH, LENGTH, CHANNELS, 2)).unbind(0)
    lam, first = c[0, 0].clone(), c[:, 0].clone()
    return {
        "linear_scan forward": (lambda: linear_scan.forward(x, y, h0), (x, y, h0)),
        "linear_scan backward": (lambda: linear_scan.backward(x, y, h0, z), (x, y, h0, z)),
        "linear_scan forward, complex constant a": (lambda: linear_scan.forward(lam, u, first), (u, lam, first)),
        "linear_scan backward, complex constant a": (
            lambda: linear_scan.backward(lam, u, first, c),
            (u, lam, first, c),
        ),
        "bmru_scan forward": (lambda: bmru_scan.forward(x, y, row, h0, 0.0), (x, y, row, h0)),
        "bmru_scan backward": (lambda: bmru_scan.backward(x, y, row, z, h0, w, 1.0), (x, y, row, z, h0, w)),
    } | other_passes()


def other_passes() -> dict[str, tuple[Callable[[], Any], tuple[Tensor, ...]]]:
    """Of ops that no look-back cuts."""
    x, row = torch.rand(BATCH, OTHER_LENGTH, OTHER_CHANNELS), torch.rand(OTHER_CHANNELS)
    y, z, w = x.clone(), x.clone(), x.clone()
    A, B = -torch.rand(OTHER_CHANNELS, STATES), torch.rand(BATCH, OTHER_LENGTH, STATES)
    C, state = B.clone(), torch.rand(BATCH, OTHER_CHANNELS, STATES)
    starts = selective_scan.forward(x, y, A, B, C, row, z, row, state, True, False)[2]
    logits, heads = torch.rand(BATCH, OTHER_LENGTH, STATES * OTHER_CHANNELS), torch.rand(BATCH, OTHER_CHANNELS)
    _, tau, steps = table_scan.forward(logits, heads, None, STATES, 0.5)
    return {
        "selective_scan forward": (
            lambda: selective_scan.forward(x, y, A, B, C, row, z, row, state, True, False),
            (x, y, A, B, C, row, z, row, state),
        ),
        "selective_scan backward": (
            lambda: selective_scan.backward(x, y, A, B, C, row, z, row, starts, w, state, True, False),
            (x, y, A, B, C, row, z, row, starts, w, state),
        ),
        "table_scan forward": (lambda: table_scan.forward(logits, heads, None, STATES, 0.5), (logits, heads)),
        "table_scan backward": (
            lambda: table_scan.backward(logits, tau, steps, None, x, STATES, 0.5),
            (logits, tau, steps, x),
        ),
    }


def main() -> None:
    if os.environ.get("TRITON_INTERPRET") != "1":
        raise SystemExit("set TRITON_INTERPRET=1: bytes are counted in Triton's interpreter")
    scan_whole_tiles()
    for name, (call, inputs) in passes().items():
        with counted() as moved, full_gpu():
            outputs = call()
        floor, elements = size(*inputs, *(outputs if isinstance(outputs, tuple) else (outputs,))), inputs[0].numel()
        row = {"pass": name, "bytes_per_element": moved["bytes"] / elements, "floor": floor / elements}
        print(json.dumps(row | {"ratio": moved["bytes"] / floor}), flush=True)


if __name__ == "__main__":
    main()
