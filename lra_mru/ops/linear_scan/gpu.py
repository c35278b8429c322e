"""linear_scan on a GPU, real numbers: each program holds one chunk of a sequence in registers, so that every byte moves
once; _gpu/tiles.py says how a tile lies, and _gpu/lookback.py how a program learns the state in which its chunk starts.

Programs count steps s in the order of their walk. The backward pass is the same recurrence walked from the end,

    dh[t] += a[t+1] dh[t+1],   da[t] = dh[t] h[t-1],   db[t] = dh[t],   dh0 = a[0] dh[0]

with t = L - 1 - s, so it reads a one row later and h one row earlier.
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lra_mru.ops._gpu.lookback import first_state, new_slots, publish, take_ticket
from lra_mru.ops._gpu.tiles import (
    ACCUMULATE,
    at_step,
    compose,
    last_segment,
    last_step,
    launch,
    part,
    segment_before,
    tile_at,
)
from lra_mru.ops._gpu.tiling import Tiling, pick_tiling
from lra_mru.ops.linear_scan.gpu_complex import linear_scan_complex_bwd_kernel, linear_scan_complex_fwd_kernel


@triton.jit
def segment_states(
    a, b, slots_ptr, first, chunk, chunks, batch, n,
    N: tl.constexpr, REACH: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr, BLOCK_N: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """State in which each segment of h = a h + b starts, (SEGMENTS, BLOCK_N); later chunks learn what this one does."""
    decay, end = tl.associative_scan((a, b), 0, compose)
    decay, end = tl.associative_scan((last_step(decay, BLOCK_T), last_step(end, BLOCK_T)), 0, compose)
    chunk_decay, chunk_end = last_segment(decay, SEGMENTS), last_segment(end, SEGMENTS)
    wanted = (n < N) & (chunk + 1 < chunks)  # nobody looks back at the last one
    slot = slots_ptr + (batch * (REACH + chunks) + REACH + chunk) * (3 * N) + tl.minimum(n, N - 1)
    publish(slot, chunk_decay, wanted)
    publish(slot + N, chunk_end, wanted)
    state = first_state(slot, first, chunk, N, REACH, ACC)
    publish(slot + 2 * N, tl.fma(chunk_decay, state, chunk_end), wanted)
    return segment_before(decay * state[None, :] + end, state, SEGMENTS)


@triton.jit
def linear_scan_fwd_kernel(
    a_ptr, b_ptr, h0_ptr, h_ptr, slots_ptr, counter_ptr, batches, L, chunks, N: tl.constexpr, CONSTANT: tl.constexpr,
    ACC: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr, BLOCK_N: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """a (B, L, N) or (N,), b (B, L, N), h0 (B, N) -> h (B, L, N)."""
    chunk, batch, n, starts = part(take_ticket(counter_ptr), batches, L, N, BLOCK_T, SEGMENTS, BLOCK_N)
    at, rows = tile_at(batch, starts, n, L, N, BLOCK_T, False)
    step = tl.arange(0, BLOCK_T)[:, None, None]
    inside = (step < (L - starts)[None, :, None]) & (n < N)[None, None, :]
    if CONSTANT:
        a = tl.load(a_ptr + n, mask=n < N, other=0.0).to(ACC)[None, None, :]
        a = tl.broadcast_to(a, (BLOCK_T, SEGMENTS, BLOCK_N))
    else:
        a = tl.load(a_ptr + at + rows, mask=inside, other=0.0).to(ACC)
    b = tl.load(b_ptr + at + rows, mask=inside, other=0.0).to(ACC)
    h0 = tl.load(h0_ptr + batch * N + n, mask=n < N, other=0.0).to(ACC)
    h = segment_states(a, b, slots_ptr, h0, chunk, chunks, batch, n, N, REACH, BLOCK_T, SEGMENTS, BLOCK_N, ACC)
    b = tl.where(step == 0, a * h[None, :, :] + b, b)
    _, h = tl.associative_scan((a, b), 0, compose)
    tl.store(h_ptr + at + rows, h, mask=inside)


@triton.jit
def linear_scan_bwd_kernel(
    a_ptr, h_ptr, h0_ptr, dh_ptr, da_ptr, db_ptr, dh0_ptr, slots_ptr, counter_ptr, batches, L, chunks,
    N: tl.constexpr, CONSTANT: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr,
    BLOCK_N: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """da, db (B, L, N), dh0 (B, N); of a constant a, da (B, chunks, N) is what each chunk adds."""
    chunk, batch, n, starts = part(take_ticket(counter_ptr), batches, L, N, BLOCK_T, SEGMENTS, BLOCK_N)
    at, rows = tile_at(batch, starts, n, L, N, BLOCK_T, True)
    step, left = tl.arange(0, BLOCK_T)[:, None, None], (L - starts)[None, :, None]
    inside, row = (step < left) & (n < N)[None, None, :], batch * N + n
    begins = (step == 0) & (starts == 0)[None, :, None]  # t = L - 1, which no later step reaches
    if CONSTANT:
        a = tl.load(a_ptr + n, mask=n < N, other=0.0).to(ACC)[None, None, :]
        a = tl.where(begins, 0.0, tl.broadcast_to(a, (BLOCK_T, SEGMENTS, BLOCK_N)))
    else:
        a = tl.load(a_ptr + N + at + rows, mask=inside & (begins == 0), other=0.0).to(ACC)
    g = tl.load(dh_ptr + at + rows, mask=inside, other=0.0).to(ACC)
    h_prev = tl.load(h_ptr - N + at + rows, mask=(step < left - 1) & (n < N)[None, None, :], other=0.0).to(ACC)
    h0 = tl.load(h0_ptr + row, mask=n < N, other=0.0).to(ACC)
    h_prev = tl.where(step == left - 1, h0[None, None, :], h_prev)
    carry = segment_states(
        a, g, slots_ptr, tl.zeros_like(h0), chunk, chunks, batch, n, N, REACH, BLOCK_T, SEGMENTS, BLOCK_N,
        ACC,
    )  # fmt: skip
    g = tl.where(step == 0, a * carry[None, :, :] + g, g)
    _, g = tl.associative_scan((a, g), 0, compose)
    tl.store(db_ptr + at + rows, g, mask=inside)
    if CONSTANT:
        da = tl.sum(tl.sum(tl.where(inside, g * h_prev, 0.0), 0), 0)
        tl.store(da_ptr + (batch * chunks + chunk) * N + n, da, mask=n < N)
    else:
        tl.store(da_ptr + at + rows, g * h_prev, mask=inside)
    if chunk + 1 == chunks:
        a0 = tl.load(a_ptr + n if CONSTANT else a_ptr + batch * L * N + n, mask=n < N, other=0.0).to(ACC)
        tl.store(dh0_ptr + row, a0 * at_step(g, step, left - 1), mask=n < N)


KERNELS = {  # by whether the numbers are complex: forward, backward
    False: (linear_scan_fwd_kernel, linear_scan_bwd_kernel),
    True: (linear_scan_complex_fwd_kernel, linear_scan_complex_bwd_kernel),
}


def _start(kernel: Any, x: Tensor, tiling: Tiling, *pointers: Tensor, **flags: bool) -> None:
    """Start kernel on the grid for x (B, L, N)."""
    batch, _, channels = x.shape
    reals = [torch.view_as_real(p) if p.is_complex() else p for p in pointers]
    state = reals[2]  # h0
    slots = new_slots(batch, tiling.reach + tiling.chunks, 6 if x.is_complex() else 3, channels, state)
    registers = None if x.element_size() >= 8 else tiling.registers  # numbers of 8 bytes spill if told a limit
    programs = batch * triton.cdiv(channels, tiling.block_n) * tiling.chunks
    launch(
        kernel, (programs,), x, *reals, *slots, *x.shape[:2],
        tiling.chunks, num_warps=tiling.segments, registers=registers, N=channels, ACC=ACCUMULATE[reals[0].dtype],
        BLOCK_T=tiling.block_t, SEGMENTS=tiling.segments, BLOCK_N=tiling.block_n, REACH=tiling.reach, **flags,
    )  # fmt: skip


def forward(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    a, b, h0 = (x.resolve_conj().contiguous() for x in (a, b, h0))
    h, constant = torch.empty_like(b), a.dim() == 1
    _start(
        KERNELS[b.is_complex()][0],
        b,
        pick_tiling(b.shape[0], b.shape[1], b.shape[2], b.element_size(), 1 if constant else 2),
        a,
        b,
        h0,
        h,
        CONSTANT=constant,
    )
    return h


def backward(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, h, h0, dh = (x.resolve_conj().contiguous() for x in (a, h, h0, dh))
    constant, tiling = a.dim() == 1, pick_tiling(h.shape[0], h.shape[1], h.shape[2], h.element_size(), 3)
    da = h0.new_empty(h.shape[0], tiling.chunks, h.shape[2]) if constant else torch.empty_like(h)
    db, dh0 = torch.empty_like(h), torch.empty_like(h0)
    _start(KERNELS[h.is_complex()][1], h, tiling, a, h, h0, dh, da, db, dh0, CONSTANT=constant)
    if constant:
        double = torch.complex128 if a.is_complex() else torch.float64
        da = da.sum((0, 1), dtype=double).to(a.dtype)
    return da, db, dh0
