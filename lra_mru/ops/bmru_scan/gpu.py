"""bmru_scan on a GPU: a warp walks through tiles of BLOCK_T steps by BLOCK_N channels, as in linear_scan/gpu.py.

Forward is a latch: of two steps, the later one that opened its gate decides. Backward is linear, the gate of step t
acting between dh[t] and dh[t-1]; so that c and beta need no second read one row later, the scan carries each step's
own gate beside the product of the earlier ones.
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
from lra_mru.ops.linear_scan import gpu as linear_scan_gpu

PI2 = tl.constexpr(9.869604401089358)


@triton.jit
def latch(open_left, value_left, open_right, value_right):
    """The later value whose gate is open."""
    return open_left | open_right, tl.where(open_right != 0, value_right, value_left)


@triton.jit
def compose_before_gate(k_left, p_left, g_left, k_right, p_right, g_right):
    """Each step adds its own g to what reaches it and hands on k times the sum: g of a pair is that sum, before k."""
    passed = p_right * k_left
    return k_right, passed * p_left, passed * g_left + g_right


@triton.jit
def gate(c_ptr, beta_ptr, at, mask, ACC: tl.constexpr):
    """c, beta, u = |c| - beta and sgn(c); closed where masked. NaN in u counts as open by itself: NaN is its value."""
    c = tl.load(c_ptr + at, mask=mask, other=0.0).to(ACC)
    beta = tl.load(beta_ptr + at, mask=mask, other=1.0).to(ACC)
    return c, beta, tl.abs(c) - beta, tl.where(c > 0, 1.0, tl.where(c < 0, -1.0, c))


@triton.jit
def bmru_scan_fwd_kernel(
    c_ptr, beta_ptr, alpha_ptr, h0_ptr, h_ptr, L, chunk, N: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr,
    BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """c, beta (B, L, N), alpha (N,), h0 (B, chunks, N) -> h (B, L, N)."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    alpha = tl.load(alpha_ptr + n, mask=n < N, other=0.0).to(ACC)
    h = tl.load(h0_ptr + (batch * tl.num_programs(2) + part) * N + n, mask=n < N, other=0.0).to(ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        base, at = tile_at(batch, start, steps, n, L, N, False)
        inside = (start + steps < L)[:, None] & (n < N)[None, :]
        _, _, u, sign = gate(c_ptr + base, beta_ptr + base, at, inside, ACC)
        open = ((u > 0) | (u != u)).to(tl.int32)
        value = tl.where(u == u, sign * alpha[None, :], u)
        value = tl.where((steps == 0)[:, None] & (open == 0), h[None, :], value)
        open = tl.where((steps == 0)[:, None], 1, open)
        _, tile = tl.associative_scan((open, value), 0, latch)
        tl.store(h_ptr + base + at, tile, mask=inside)
        h = row(tile, steps, BLOCK_T - 1)


@triton.jit
def bmru_scan_last_kernel(
    c_ptr, beta_ptr, last_c_ptr, last_beta_ptr, L, chunk, N: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr,
    BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """c and beta (B, chunks, N) of the last gate that opens in each chunk, a closed one where none does."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    last_c, last_beta = tl.zeros((BLOCK_N,), ACC), tl.full((BLOCK_N,), 1.0, ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        base, at = tile_at(batch, start, steps, n, L, N, False)
        inside = (start + steps < L)[:, None] & (n < N)[None, :]
        c, beta, u, _ = gate(c_ptr + base, beta_ptr + base, at, inside, ACC)
        opened = tl.where((u > 0) | (u != u), steps[:, None], -1)
        latest = tl.max(opened, 0)
        here = (opened == latest[None, :]) & (opened >= 0)
        found_c, found_beta = tl.sum(tl.where(here, c, 0.0), 0), tl.sum(tl.where(here, beta, 0.0), 0)
        last_c = tl.where(latest >= 0, found_c, last_c)
        last_beta = tl.where(latest >= 0, found_beta, last_beta)
    at = (batch * tl.num_programs(2) + part) * N + n
    tl.store(last_c_ptr + at, last_c, mask=n < N)
    tl.store(last_beta_ptr + at, last_beta, mask=n < N)


@triton.jit
def keep_share(u, carry_grad, inside):
    """Share of the state's gradient that passes each gate; all of it beyond the sequence."""
    share = tl.where(u > 0, carry_grad, tl.where(u == u, 1.0, u))
    return tl.where(inside, share, 1.0)


@triton.jit
def bmru_scan_bwd_kernel(
    c_ptr, beta_ptr, alpha_ptr, h_ptr, h0_ptr, dh_ptr, carry_ptr, dc_ptr, dbeta_ptr, dalpha_ptr, dh0_ptr, carry_grad,
    L, chunk, N: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """carry (B, chunks, N), what reaches each chunk from later ones -> dc, dbeta, dalpha (B, chunks, N), dh0 (B, N)."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    per_part = (batch * tl.num_programs(2) + part) * N + n
    alpha = tl.load(alpha_ptr + n, mask=n < N, other=0.0).to(ACC)[None, :]
    h0 = tl.load(h0_ptr + batch * N + n, mask=n < N, other=0.0).to(ACC)[None, :]
    carry = tl.load(carry_ptr + per_part, mask=n < N, other=0.0).to(ACC)
    dalpha = tl.zeros((BLOCK_N,), ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        t = L - 1 - start - steps
        base, at = tile_at(batch, start, steps, n, L, N, True)
        inside, past = (t >= 0)[:, None] & (n < N)[None, :], (t > 0)[:, None] & (n < N)[None, :]
        c, _, u, sign = gate(c_ptr + base, beta_ptr + base, at, inside, ACC)
        h_prev = tl.load(h_ptr + (base - N) + at, mask=past, other=0.0).to(ACC)
        h_prev = tl.where((t == 0)[:, None], h0, h_prev)
        dh = tl.load(dh_ptr + base + at, mask=inside, other=0.0).to(ACC)
        dh = tl.where((steps == 0)[:, None], dh + carry[None, :], dh)
        keep = keep_share(u, carry_grad, inside)
        _, _, g = tl.associative_scan((keep, tl.full((BLOCK_T, BLOCK_N), 1.0, ACC), dh), 0, compose_before_gate)
        du = g * (sign * alpha - h_prev) / (1.0 + PI2 * u * u)
        opened = tl.where(u > 0, g, tl.where(u == u, 0.0, u))
        tl.store(dbeta_ptr + base + at, -du, mask=inside)
        tl.store(dc_ptr + base + at, sign * du + 2.0 * opened * alpha / (1.0 + PI2 * c * c), mask=inside)
        dalpha += tl.sum(opened * sign, 0)
        carry = row(keep * g, steps, BLOCK_T - 1)
    tl.store(dalpha_ptr + per_part, dalpha, mask=n < N)
    if part + 1 == tl.num_programs(2):
        tl.store(dh0_ptr + batch * N + n, carry, mask=n < N)


@triton.jit
def bmru_scan_ends_kernel(
    c_ptr, beta_ptr, dh_ptr, decay_ptr, end_ptr, carry_grad, L, chunk, N: tl.constexpr, ACC: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """decay, end (B, chunks, N): backward, a chunk takes the gradient g that reaches it to decay g + end."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    decay, end = tl.full((BLOCK_N,), 1.0, ACC), tl.zeros((BLOCK_N,), ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        base, at = tile_at(batch, start, steps, n, L, N, True)
        inside = (start + steps < L)[:, None] & (n < N)[None, :]
        _, _, u, _ = gate(c_ptr + base, beta_ptr + base, at, inside, ACC)
        keep = keep_share(u, carry_grad, inside)
        dh = tl.load(dh_ptr + base + at, mask=inside, other=0.0).to(ACC)
        products, tile = tl.associative_scan((keep, keep * dh), 0, compose)
        decay, end = compose(decay, end, row(products, steps, BLOCK_T - 1), row(tile, steps, BLOCK_T - 1))
    at_part = (batch * tl.num_programs(2) + part) * N + n
    tl.store(decay_ptr + at_part, decay, mask=n < N)
    tl.store(end_ptr + at_part, end, mask=n < N)


def _start(kernel: Any, x: Tensor, *arguments: Tensor | float) -> None:
    """Start kernel on the grid for x (B, L, N)."""
    batch, length, channels = x.shape
    tiling = pick_tiling(batch, length, channels, x.element_size())
    grid = (batch, triton.cdiv(channels, tiling.block_n), tiling.num_chunks)
    launch(
        kernel, grid, x, *arguments, length, tiling.chunk, N=channels, ACC=ACCUMULATE[x.dtype], BLOCK_T=BLOCK_T,
        BLOCK_N=tiling.block_n, STAGES=tiling.num_stages,
    )  # fmt: skip


def _first_states(c: Tensor, beta: Tensor, alpha: Tensor, h0: Tensor, carry_grad: float) -> Tensor:
    """State with which each chunk starts, (B, chunks, N): the scan over the last open gate of each."""
    batch, length, channels = c.shape
    num_chunks = pick_tiling(batch, length, channels, c.element_size()).num_chunks
    if num_chunks == 1:
        return h0[:, None].contiguous()
    last_c, last_beta = (h0.new_empty(batch, num_chunks, channels) for _ in range(2))
    _start(bmru_scan_last_kernel, c, c, beta, last_c, last_beta)
    return torch.cat([h0[:, None], forward(last_c, last_beta, alpha, h0, carry_grad)[:, :-1]], dim=1)


def _first_gradients(c: Tensor, beta: Tensor, dh: Tensor, h0: Tensor, carry_grad: float) -> Tensor:
    """What reaches each chunk from later ones, (B, chunks, N), in the order of the backward walk."""
    batch, length, channels = c.shape
    num_chunks = pick_tiling(batch, length, channels, c.element_size()).num_chunks
    nothing = torch.zeros_like(h0)
    if num_chunks == 1:
        return nothing[:, None].contiguous()
    decay, end = (h0.new_empty(batch, num_chunks, channels) for _ in range(2))
    _start(bmru_scan_ends_kernel, c, c, beta, dh, decay, end, carry_grad)
    return torch.cat([nothing[:, None], linear_scan_gpu.forward(decay, end, nothing)[:, :-1]], dim=1)


def forward(c: Tensor, beta: Tensor, alpha: Tensor, h0: Tensor, carry_grad: float) -> Tensor:
    c, beta, alpha, h0 = (x.contiguous() for x in (c, beta, alpha, h0))
    starts, h = _first_states(c, beta, alpha, h0, carry_grad), torch.empty_like(c)
    _start(bmru_scan_fwd_kernel, c, c, beta, alpha, starts, h)
    return h


def backward(
    c: Tensor, beta: Tensor, alpha: Tensor, h: Tensor, h0: Tensor, dh: Tensor, carry_grad: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    c, beta, alpha, h, h0, dh = (x.contiguous() for x in (c, beta, alpha, h, h0, dh))
    carry = _first_gradients(c, beta, dh, h0, carry_grad)
    dc, dbeta, dalpha, dh0 = (torch.empty_like(x) for x in (c, beta, carry, h0))
    _start(bmru_scan_bwd_kernel, c, c, beta, alpha, h, h0, dh, carry, dc, dbeta, dalpha, dh0, carry_grad)
    return dc, dbeta, dalpha.sum((0, 1), dtype=torch.float64).to(alpha.dtype), dh0
