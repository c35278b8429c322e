"""bmru_scan on a GPU: each program holds one chunk of a sequence in registers, as in linear_scan/gpu.py.

Forward is a latch. Of two steps the later one whose gate is open decides,

    h[t] = sgn(c[t]) alpha   if |c[t]| > beta[t],   else h[t-1]

so a chunk in which a gate opens has a last state that no earlier step can change, and looking back ends there.
A step, segment or chunk without an open gate is HOLD, as an integer beside the bits of a state.

Backward is linear: dh[t] is what the output at t asks for, and what comes from the next step through its gate,

    dh[t] += keep[t+1] dh[t+1],   keep[t] = carry_grad where the gate of t is open, else 1

Walked from the end, each step hands on keep[t] (what reaches it + dh[t]): c and beta are not read one row later again.
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disable-error-code=assignment
# ruff: noqa: RUF005  (Triton knows no starred tuples)

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lra_mru.ops._gpu.lookback import EMPTY, bits, new_slots, publish_bits, read, take_ticket, wait_for
from lra_mru.ops._gpu.tiles import ACCUMULATE, at_step, last_segment, last_step, launch, part, segment_before, tile_at
from lra_mru.ops._gpu.tiling import SEGMENTS, Tiling, pick_tiling
from lra_mru.ops.linear_scan.gpu import segment_states

HOLD = tl.constexpr(-2)  # like EMPTY a NaN that no result has
PI2 = tl.constexpr(9.869604401089358)


@triton.jit
def latch(left, right):
    """The later one that is a state."""
    return tl.where(right == HOLD, left, right)


@triton.jit
def hand_on(keep_left, p_left, g_left, keep_right, p_right, g_right):
    """g of a pair is that of its last step, before the gate of that step, whose keep goes along; p is the product of
    keep over the steps between. Of a single step p is 1, and the compiler drops it.
    """
    passed = p_right * keep_left
    return keep_right, passed * p_left, passed * g_left + g_right


@triton.jit
def gate(c_ptr, beta_ptr, mask, ACC: tl.constexpr):
    """c, u = |c| - beta and sgn(c); closed where masked. A NaN in u counts as open: NaN is then the state."""
    c = tl.load(c_ptr, mask=mask, other=0.0).to(ACC)
    beta = tl.load(beta_ptr, mask=mask, other=1.0).to(ACC)
    return c, tl.abs(c) - beta, tl.where(c > 0, 1.0, tl.where(c < 0, -1.0, c))


@triton.jit
def first_bits(slot, first, chunk, N: tl.constexpr, REACH: tl.constexpr):
    """Bits of the state in which a chunk starts: the nearest earlier chunk that is not HOLD has it. lookback.py says
    more; a slot may be filled twice here, with HOLD, and with the chunk's last state once that is known.
    """
    state, missing = first, tl.minimum(chunk, 1)
    while missing > 0:
        found = ()
        for i in tl.static_range(REACH):
            found = found + (read(slot - (REACH - i) * N),)
        state, known = first, tl.full(first.shape, 0, tl.int32) + (chunk <= REACH).to(tl.int32)
        for i in tl.static_range(REACH):
            there = (chunk >= REACH - i) & (found[i] != HOLD)
            known = tl.where(there, (found[i] != EMPTY).to(tl.int32), known)
            state = tl.where(there, found[i], state)
        missing = 1 - tl.min(known)
        if (missing > 0) & (chunk >= REACH):
            wait_for(slot - REACH * N, HOLD)
    return state


@triton.jit
def bmru_scan_fwd_kernel(
    c_ptr, beta_ptr, alpha_ptr, h0_ptr, h_ptr, slots_ptr, counter_ptr, batches, L, chunks, N: tl.constexpr,
    ACC: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr, BLOCK_N: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """c, beta (B, L, N), alpha (N,), h0 (B, N) -> h (B, L, N)."""
    chunk, batch, n, starts = part(take_ticket(counter_ptr), batches, L, N, BLOCK_T, SEGMENTS, BLOCK_N)
    at, rows = tile_at(batch, starts, n, L, N, BLOCK_T, False)
    inside = (tl.arange(0, BLOCK_T)[:, None, None] < (L - starts)[None, :, None]) & (n < N)[None, None, :]
    alpha = tl.load(alpha_ptr + n, mask=n < N, other=0.0).to(ACC)
    h0 = bits(tl.load(h0_ptr + batch * N + n, mask=n < N, other=0.0).to(ACC))
    _, u, sign = gate(c_ptr + at + rows, beta_ptr + at + rows, inside, ACC)
    states = bits(tl.where(u == u, sign * alpha[None, None, :], u))
    states = tl.associative_scan(tl.where((u > 0) | (u != u), states, HOLD), 0, latch)
    ends = tl.associative_scan(last_step(states, BLOCK_T), 0, latch)
    end, wanted = last_segment(ends, SEGMENTS), (n < N) & (chunk + 1 < chunks)
    slot = slots_ptr + (batch * (REACH + chunks) + REACH + chunk) * N + tl.minimum(n, N - 1)
    publish_bits(slot, end, wanted)
    state = first_bits(slot, h0, chunk, N, REACH)
    publish_bits(slot, state, wanted & (end == HOLD))
    first = latch(state[None, :], segment_before(ends, state, SEGMENTS))
    h = latch(first[None, :, :], states).to(ACC, bitcast=True)
    tl.store(h_ptr + at + rows, h, mask=inside)


@triton.jit
def bmru_scan_bwd_kernel(
    c_ptr, beta_ptr, h0_ptr, alpha_ptr, h_ptr, dh_ptr, dc_ptr, dbeta_ptr, dalpha_ptr, dh0_ptr, slots_ptr, counter_ptr,
    carry_grad, batches, L, chunks, N: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr,
    BLOCK_N: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """dc, dbeta (B, L, N), dh0 (B, N), and dalpha (B, chunks, N), what each chunk adds."""
    chunk, batch, n, starts = part(take_ticket(counter_ptr), batches, L, N, BLOCK_T, SEGMENTS, BLOCK_N)
    at, rows = tile_at(batch, starts, n, L, N, BLOCK_T, True)
    step, left = tl.arange(0, BLOCK_T)[:, None, None], (L - starts)[None, :, None]
    inside, row = (step < left) & (n < N)[None, None, :], batch * N + n
    c, u, sign = gate(c_ptr + at + rows, beta_ptr + at + rows, inside, ACC)
    dh = tl.load(dh_ptr + at + rows, mask=inside, other=0.0).to(ACC)
    alpha = tl.load(alpha_ptr + n, mask=n < N, other=0.0).to(ACC)[None, None, :]
    h0 = tl.load(h0_ptr + row, mask=n < N, other=0.0).to(ACC)
    past = (step < left - 1) & (n < N)[None, None, :]
    h_prev = tl.load(h_ptr - N + at + rows, mask=past, other=0.0).to(ACC)
    h_prev = tl.where(step == left - 1, h0[None, None, :], h_prev)
    keep = tl.where(u > 0, carry_grad, tl.where(u == u, 1.0, u)).to(ACC)
    carry = segment_states(
        keep, keep * dh, slots_ptr, tl.zeros_like(h0), chunk, chunks, batch, n, N, REACH, BLOCK_T, SEGMENTS, BLOCK_N,
        ACC,
    )  # fmt: skip
    g = tl.where(step == 0, dh + carry[None, :, :], dh)
    _, _, g = tl.associative_scan((keep, tl.full(g.shape, 1.0, ACC), g), 0, hand_on)
    du = g * (sign * alpha - h_prev) / (1.0 + PI2 * u * u)
    opened = tl.where(u > 0, g, tl.where(u == u, 0.0, u))
    tl.store(dbeta_ptr + at + rows, -du, mask=inside)
    tl.store(dc_ptr + at + rows, sign * du + 2.0 * opened * alpha / (1.0 + PI2 * c * c), mask=inside)
    tl.store(dalpha_ptr + (batch * chunks + chunk) * N + n, tl.sum(tl.sum(opened * sign, 0), 0), mask=n < N)
    if chunk + 1 == chunks:
        tl.store(dh0_ptr + row, at_step(keep * g, step, left - 1), mask=n < N)


def _start(kernel: Any, x: Tensor, tiling: Tiling, kinds: int, *arguments: Tensor, numbers: tuple[float, ...]) -> None:
    """Start kernel on the grid for x (B, L, N)."""
    # Told a limit, the compiler lets the forward pass load one row after the other.
    registers = None if kernel is bmru_scan_fwd_kernel else tiling.registers
    batch, length, channels = x.shape
    slots = new_slots(batch, tiling.reach + tiling.chunks, kinds, channels, arguments[3])
    launch(
        kernel, (batch * triton.cdiv(channels, tiling.block_n) * tiling.chunks,), x, *arguments, *slots, *numbers,
        batch, length, tiling.chunks, num_warps=tiling.segments, registers=registers, N=channels,
        ACC=ACCUMULATE[x.dtype], BLOCK_T=tiling.block_t, SEGMENTS=tiling.segments, BLOCK_N=tiling.block_n,
        REACH=tiling.reach,
    )  # fmt: skip


def forward(c: Tensor, beta: Tensor, alpha: Tensor, h0: Tensor, carry_grad: float) -> Tensor:
    """carry_grad says how backward goes; forward does not depend on it."""
    c, beta, alpha, h0 = (x.contiguous() for x in (c, beta, alpha, h0))
    h, tiling = torch.empty_like(c), pick_tiling(c.shape[0], c.shape[1], c.shape[2], c.element_size(), 2)
    if c.element_size() == 2 and tiling.segments > SEGMENTS:
        # 8 warps of 32 steps have too few registers for this
        tiling = pick_tiling(c.shape[0], c.shape[1], c.shape[2], c.element_size(), 4)
    _start(bmru_scan_fwd_kernel, c, tiling, 1, c, beta, alpha, h0, h, numbers=())
    return h


def backward(
    c: Tensor, beta: Tensor, alpha: Tensor, h: Tensor, h0: Tensor, dh: Tensor, carry_grad: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    c, beta, alpha, h, h0, dh = (x.contiguous() for x in (c, beta, alpha, h, h0, dh))
    tiling = pick_tiling(c.shape[0], c.shape[1], c.shape[2], c.element_size(), 4)
    dc, dbeta, dh0 = torch.empty_like(c), torch.empty_like(beta), torch.empty_like(h0)
    dalpha = h0.new_empty(c.shape[0], tiling.chunks, c.shape[2])
    pointers = (c, beta, h0, alpha, h, dh, dc, dbeta, dalpha, dh0)
    _start(bmru_scan_bwd_kernel, c, tiling, 3, *pointers, numbers=(carry_grad,))
    return dc, dbeta, dalpha.sum((0, 1), dtype=torch.float64).to(alpha.dtype), dh0
