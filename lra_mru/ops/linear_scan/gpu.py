"""linear_scan on a GPU, real numbers: a warp walks through tiles of BLOCK_T steps by BLOCK_N channels.

The state enters a tile through its first row, so the products of decays that a scan also makes are never used, and
the compiler drops them. Programs count steps s in the order of their walk; the backward pass walks t = L - 1 - s, by
address, and takes one step more: at t = -1 it finds the gradient of h0. Where channels are few, a sequence is cut into
chunks: `ends` maps each to (decay, end) from a state of zero, a scan over chunks gives their first states, and
the same kernels then walk all chunks at once.
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lra_mru.ops._gpu.tiles import ACCUMULATE, compose, launch, row, tile_at
from lra_mru.ops._gpu.tiling import BLOCK_T, pick_tiling
from lra_mru.ops.linear_scan.gpu_complex import (
    linear_scan_complex_bwd_kernel,
    linear_scan_complex_ends_kernel,
    linear_scan_complex_fwd_kernel,
)


@triton.jit
def load_step(
    a_ptr, b_ptr, batch, start, steps, n, L, N: tl.constexpr, REVERSED: tl.constexpr, CONSTANT: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """Decay and drive of the tile at start. Reversed: h[t] gets a[t+1] of what h[t+1] has, so a comes one row later."""
    s = start + steps
    base, at = tile_at(batch, start, steps, n, L, N, REVERSED)
    inside_b = (s < L)[:, None] & (n < N)[None, :]
    inside_a = ((s > 0) & (s <= L))[:, None] & (n < N)[None, :] if REVERSED else inside_b
    b = tl.load(b_ptr + base + at, mask=inside_b, other=0.0).to(ACC)
    if CONSTANT:
        a = tl.load(a_ptr + n, mask=n < N, other=0.0).to(ACC)
        a = tl.where(inside_a, a[None, :], 1.0)
    else:
        a_base = base + N if REVERSED else base
        a = tl.load(a_ptr + a_base + at, mask=inside_a, other=1.0).to(ACC)
    return a, b


@triton.jit
def linear_scan_fwd_kernel(
    a_ptr, b_ptr, h0_ptr, h_ptr, L, chunk, N: tl.constexpr, CONSTANT: tl.constexpr, ACC: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """a (B, L, N) or (N,), b (B, L, N), h0 (B, chunks, N) -> h (B, L, N)."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    h = tl.load(h0_ptr + (batch * tl.num_programs(2) + part) * N + n, mask=n < N, other=0.0).to(ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        a, b = load_step(a_ptr, b_ptr, batch, start, steps, n, L, N, False, CONSTANT, ACC)
        b = tl.where((steps == 0)[:, None], a * h[None, :] + b, b)
        _, tile = tl.associative_scan((a, b), 0, compose)
        base, at = tile_at(batch, start, steps, n, L, N, False)
        tl.store(h_ptr + base + at, tile, mask=(start + steps < L)[:, None] & (n < N)[None, :])
        h = row(tile, steps, BLOCK_T - 1)


@triton.jit
def linear_scan_bwd_kernel(
    a_ptr, h_ptr, h0_ptr, dh_ptr, carry_ptr, da_ptr, db_ptr, dh0_ptr, L, chunk, N: tl.constexpr,
    CONSTANT: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """carry (B, chunks, N), the gradient that reaches each chunk -> da, db, dh0; da (B, chunks, N) for a constant a."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    per_part = (batch * tl.num_programs(2) + part) * N + n
    carry = tl.load(carry_ptr + per_part, mask=n < N, other=0.0).to(ACC)
    h0 = tl.load(h0_ptr + batch * N + n, mask=n < N, other=0.0).to(ACC)
    da_sum = tl.zeros((BLOCK_N,), ACC)
    stop = tl.where(part + 1 == tl.num_programs(2), L + 1, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        t = L - 1 - start - steps
        base, at = tile_at(batch, start, steps, n, L, N, True)
        inside = (t >= 0)[:, None] & (n < N)[None, :]
        h_prev = tl.load(h_ptr + (base - N) + at, mask=(t > 0)[:, None] & (n < N)[None, :], other=0.0).to(ACC)
        h_prev = tl.where((t == 0)[:, None], h0[None, :], h_prev)
        a, b = load_step(a_ptr, dh_ptr, batch, start, steps, n, L, N, True, CONSTANT, ACC)
        b = tl.where((steps == 0)[:, None], a * carry[None, :] + b, b)
        _, g = tl.associative_scan((a, b), 0, compose)
        tl.store(db_ptr + base + at, g, mask=inside)
        if CONSTANT:
            da_sum += tl.sum(tl.where(inside, g * h_prev, 0.0), 0)
        else:
            tl.store(da_ptr + base + at, g * h_prev, mask=inside)
        carry = row(g, steps, BLOCK_T - 1)
    if CONSTANT:
        tl.store(da_ptr + per_part, da_sum, mask=n < N)
    if part + 1 == tl.num_programs(2):  # steps beyond t = -1 have decay 1 and drive 0
        tl.store(dh0_ptr + batch * N + n, carry, mask=n < N)


@triton.jit
def linear_scan_ends_kernel(
    a_ptr, b_ptr, decay_ptr, end_ptr, L, chunk, N: tl.constexpr, REVERSED: tl.constexpr, CONSTANT: tl.constexpr,
    ACC: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """decay, end (B, chunks, N): a chunk takes state h to decay h + end. The last chunk is nobody's past."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    decay, end = tl.full((BLOCK_N,), 1.0, ACC), tl.zeros((BLOCK_N,), ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        a, b = load_step(a_ptr, b_ptr, batch, start, steps, n, L, N, REVERSED, CONSTANT, ACC)
        products, tile = tl.associative_scan((a, b), 0, compose)
        decay, end = compose(decay, end, row(products, steps, BLOCK_T - 1), row(tile, steps, BLOCK_T - 1))
    at = (batch * tl.num_programs(2) + part) * N + n
    tl.store(decay_ptr + at, decay, mask=n < N)
    tl.store(end_ptr + at, end, mask=n < N)


KERNELS = {  # by whether the numbers are complex
    False: (linear_scan_fwd_kernel, linear_scan_bwd_kernel, linear_scan_ends_kernel),
    True: (linear_scan_complex_fwd_kernel, linear_scan_complex_bwd_kernel, linear_scan_complex_ends_kernel),
}


def _start(kernel: Any, x: Tensor, *pointers: Tensor, **flags: bool) -> None:
    """Start kernel on the grid for x (B, L, N)."""
    batch, length, channels = x.shape
    tiling = pick_tiling(batch, length, channels, x.element_size())
    grid = (batch, triton.cdiv(channels, tiling.block_n), tiling.num_chunks)
    reals = [torch.view_as_real(p) if p.is_complex() else p for p in pointers]
    launch(
        kernel, grid, x, *reals, length, tiling.chunk, N=channels, ACC=ACCUMULATE[reals[0].dtype], BLOCK_T=BLOCK_T,
        BLOCK_N=tiling.block_n, STAGES=tiling.num_stages, **flags,
    )  # fmt: skip


def first_states(a: Tensor, b: Tensor, h0: Tensor, *, reverse: bool) -> Tensor:
    """State with which each chunk starts, (B, chunks, N); h0 alone where there is one chunk."""
    batch, length, channels = b.shape
    num_chunks = pick_tiling(batch, length, channels, b.element_size()).num_chunks
    if num_chunks == 1:
        return h0[:, None].contiguous()
    decay, end = (h0.new_empty(batch, num_chunks, channels) for _ in range(2))
    _start(KERNELS[b.is_complex()][2], b, a, b, decay, end, REVERSED=reverse, CONSTANT=a.dim() == 1)
    return torch.cat([h0[:, None], forward(decay, end, h0)[:, :-1]], dim=1)


def forward(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    a, b, h0 = (x.resolve_conj().contiguous() for x in (a, b, h0))
    starts, h = first_states(a, b, h0, reverse=False), torch.empty_like(b)
    _start(KERNELS[b.is_complex()][0], b, a, b, starts, h, CONSTANT=a.dim() == 1)
    return h


def backward(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, h, h0, dh = (x.resolve_conj().contiguous() for x in (a, h, h0, dh))
    carry = first_states(a, dh, torch.zeros_like(h0), reverse=True)
    constant = a.dim() == 1
    da, db, dh0 = torch.empty_like(carry if constant else h), torch.empty_like(h), torch.empty_like(h0)
    _start(KERNELS[h.is_complex()][1], h, a, h, h0, dh, carry, da, db, dh0, CONSTANT=constant)
    if constant:
        double = torch.complex128 if a.is_complex() else torch.float64
        da = da.sum((0, 1), dtype=double).to(a.dtype)
    return da, db, dh0
