"""selective_scan on a GPU: a program holds the states (BLOCK_D, N) of some channels in registers and walks in time.

CHUNK steps at a time: all their loads are issued before the first is used. Forward leaves the state at the start of
every chunk; backward takes the chunks from last to first, recomputes the states of one in registers, and reverses
through them, so that every input is read once. Where channels are few, spans of many chunks run side by side as in
linear_scan/gpu.py.
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

import math
from typing import Any

import torch
import triton
from torch import Tensor

from lra_mru.ops._checks import check_like
from lra_mru.ops._gpu.tiles import ACCUMULATE, launch
from lra_mru.ops._gpu.tiling import pick_spans
from lra_mru.ops.linear_scan import gpu as linear_scan_gpu
from lra_mru.ops.selective_scan import GPU_CHUNK as CHUNK
from lra_mru.ops.selective_scan.gpu_backward import selective_scan_bwd_kernel
from lra_mru.ops.selective_scan.gpu_forward import selective_scan_ends_kernel, selective_scan_fwd_kernel


def _start(kernel: Any, x: Tensor, num_states: int, *arguments: Tensor, **flags: int) -> None:
    """Start kernel on the grid for x (B, L, D)."""
    batch, length, channels = x.shape
    spans = pick_spans(batch, length, channels, num_states, CHUNK)
    launch(
        kernel, (batch, triton.cdiv(channels, spans.block_d), spans.num_spans), x, *arguments, length, spans.span,
        num_warps=spans.num_warps, D=channels, N=num_states, ACC=ACCUMULATE[x.dtype], BLOCK_D=spans.block_d,
        BLOCK_N=triton.next_power_of_2(num_states), **flags,
    )  # fmt: skip


def _first_states(start: Tensor, decay: Tensor, end: Tensor) -> Tensor:
    """States at the start of all spans (B, spans, N, D), from the first one's (B, N, D) and what each span does."""
    states = linear_scan_gpu.forward(decay.flatten(2), end.flatten(2), start.flatten(1)).view_as(end)
    return torch.cat([start[:, None], states[:, :-1]], dim=1)


def forward(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor, h0: Tensor,
    softened: bool, signed: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    (batch, length, channels), num_states = u.shape, A.shape[1]
    u, delta, B, C, skip, bias, gate = (x.contiguous() for x in (u, delta, B, C, skip, bias, u if z is None else z))
    rates, h0 = (A.t() * math.log2(math.e)).contiguous(), h0.mT.contiguous()  # channels are neighbours, as lanes are
    flags = {"SOFTPLUS": softened, "SIGNED": signed, "GATED": z is not None}
    num_spans = pick_spans(batch, length, channels, num_states, CHUNK).num_spans
    h = h0[:, None]
    if num_spans > 1:
        decay, end = (h0.new_empty(batch, num_spans, num_states, channels) for _ in range(2))
        ends = (u, delta, rates, B, C, gate, bias, u, decay, end)
        _start(selective_scan_ends_kernel, u, num_states, *ends, REVERSED=False, **flags)
        h = _first_states(h0, decay, end)
    y, last = torch.empty_like(u), torch.empty_like(h)
    starts = h0.new_empty(batch, triton.cdiv(length, CHUNK), num_states, channels)
    pointers = (u, delta, rates, B, C, skip, gate, bias, h, y, last, starts)
    _start(selective_scan_fwd_kernel, u, num_states, *pointers, CHUNK=CHUNK, **flags)
    return y, last[:, -1].mT.contiguous(), starts


def backward(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor,
    starts: Tensor, dy: Tensor, dh_last: Tensor, softened: bool, signed: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    (batch, length, channels), num_states = u.shape, A.shape[1]
    check_like("starts", starts, "u", u, (batch, -(-length // CHUNK), num_states, channels), starts.dtype)
    u, delta, B, C, skip, bias, gate = (x.contiguous() for x in (u, delta, B, C, skip, bias, u if z is None else z))
    dy, rates, dh_last = dy.contiguous(), (A.t() * math.log2(math.e)).contiguous(), dh_last.mT.contiguous()
    flags = {"SOFTPLUS": softened, "SIGNED": signed, "GATED": z is not None}
    spans = pick_spans(batch, length, channels, num_states, CHUNK)
    per_span = (batch, spans.num_spans, num_states, channels)
    carry = dh_last[:, None]
    if spans.num_spans > 1:
        decay, end = starts.new_empty(per_span), starts.new_empty(per_span)
        ends = (u, delta, rates, B, C, gate, bias, dy, decay, end)
        _start(selective_scan_ends_kernel, u, num_states, *ends, REVERSED=True, **flags)
        carry = _first_states(dh_last, decay.flip(1), end.flip(1)).flip(1).contiguous()
    du, ddelta, dz = torch.empty_like(u), torch.empty_like(u), torch.empty_like(u if z is not None else u[:0])
    dA, dh0 = starts.new_empty(per_span), starts.new_empty(per_span)
    dskip, dbias = (starts.new_empty(batch, spans.num_spans, channels) for _ in range(2))
    dBC = starts.new_empty(2, triton.cdiv(channels, spans.block_d), batch, length, num_states)
    pointers = (u, delta, rates, B, C, skip, gate, bias, starts, dy, carry)
    results = (du, ddelta, dA, dBC, dskip, dz, dbias, dh0)
    _start(selective_scan_bwd_kernel, u, num_states, *pointers, *results, CHUNK=CHUNK, **flags)
    dA, dskip, dbias = (x.sum((0, 1), dtype=torch.float64).to(A.dtype) for x in (dA.mT, dskip, dbias))
    dB, dC = (x.sum(0).to(B.dtype) for x in dBC)
    return du, ddelta, dA, dB, dC, dskip, dz, dbias, dh0[:, 0].mT.contiguous()
