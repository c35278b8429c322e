"""Passes whose time is predicted: ops at the shapes that matter, and the milliseconds that are wanted of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lra_mru.bench.kernels import compiled
from lra_mru.bench.kernels.predict import BYTES_PER_S
from lra_mru.ops.selective_scan import GPU_CHUNK

Shapes = tuple[tuple[int, ...], ...]
BUSY: Shapes = ((8, 16384, 256), (32, 1024, 256), (64, 1024, 128), (16, 16384, 512))  # (B, L, N) with work for a GPU
THIN: Shapes = ((1, 65536, 128), (1, 1048576, 128), (2, 4096, 64))
MAMBA: Shapes = ((8, 2048, 1536, 16), (16, 1024, 512, 16), (1, 16384, 512, 16), (4, 16384, 512, 16))  # (B, L, D, N)
REAL = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Pass:
    """Forward or backward of an op on tensors without data."""

    op: str
    shape: tuple[int, ...]
    dtype: str
    name: str
    call: Callable[[], object]
    floor_ms: float  # inputs read once and outputs written once, at a copy's speed
    factor: float | None  # wanted: at most so many times the floor; None: at most what mamba-ssm takes

    @property
    def elements(self) -> int:
        batch, length, channels = self.shape[:3]
        return batch * length * channels


def passes() -> Iterator[Pass]:
    for op in ("linear_scan", "bmru_scan"):
        for shape in BUSY + THIN:
            for dtype in REAL:
                yield from passes_of(op, shape, dtype, 1.15 if shape in BUSY else 1.4)
    yield from passes_of("linear_scan", (8, 16384, 256), torch.complex64, 1.2)
    for shape in MAMBA:
        for dtype in REAL:
            yield from passes_of("selective_scan", shape, dtype, None)


def passes_of(op: str, shape: tuple[int, ...], dtype: torch.dtype, factor: float | None) -> Iterator[Pass]:
    calls = {"linear_scan": _linear, "bmru_scan": _bmru, "selective_scan": _selective}[op](shape, dtype)
    for name, (call, num_bytes) in zip(("forward", "backward"), calls, strict=True):
        text = str(dtype).removeprefix("torch.")
        yield Pass(op, shape, text, name, call, num_bytes / BYTES_PER_S * 1e3, factor)


def _empty(*shape: int, like: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=like, device="meta")


def _linear(shape: tuple[int, ...], dtype: torch.dtype) -> list[tuple[Callable[[], Any], int]]:
    """a per step, or constant where numbers are complex."""
    x, h0 = _empty(*shape, like=dtype), _empty(shape[0], shape[2], like=dtype if dtype.is_complex else torch.float32)
    a, moved = (h0[0], (2, 3)) if dtype.is_complex else (x, (3, 5))
    linear = compiled.linear_scan
    return [
        (lambda: linear.forward(a, x, h0), moved[0] * x.nbytes),
        (lambda: linear.backward(a, x, h0, x), moved[1] * x.nbytes),
    ]


def _bmru(shape: tuple[int, ...], dtype: torch.dtype) -> list[tuple[Callable[[], Any], int]]:
    x, h0 = _empty(*shape, like=dtype), _empty(shape[0], shape[2], like=torch.float32)
    bmru, alpha = compiled.bmru_scan, h0[0]
    return [
        (lambda: bmru.forward(x, x, alpha, h0, 0.0), 3 * x.nbytes),
        (lambda: bmru.backward(x, x, alpha, x, h0, x, 0.0), 6 * x.nbytes),
    ]


def _selective(shape: tuple[int, ...], dtype: torch.dtype) -> list[tuple[Callable[[], Any], int]]:
    batch, length, channels, states = shape
    x, B = _empty(batch, length, channels, like=dtype), _empty(batch, length, states, like=dtype)
    state = _empty(batch, channels, states, like=torch.float32)
    starts = _empty(batch, -(-length // GPU_CHUNK), states, channels, like=torch.float32)
    A, row, selective = state[0], state[0, :, 0], compiled.selective_scan
    inputs = x, x, A, B, B, row, x, row
    return [
        (lambda: selective.forward(*inputs, state, True, False), 4 * x.nbytes + 2 * B.nbytes),
        (lambda: selective.backward(*inputs, starts, x, state, True, False), 8 * x.nbytes + 4 * B.nbytes),
    ]
