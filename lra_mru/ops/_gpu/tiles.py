"""What the Triton kernels share: a tile of time and channels, composition of steps, and the launch.

A tile is (BLOCK_T, SEGMENTS, BLOCK_N). Every warp has a segment of BLOCK_T steps to itself, and every lane of it a
channel, so the steps of a segment lie in one lane's registers: a scan along them is one multiplication and addition a
step, and no lane or warp waits for another until the SEGMENTS ends are put together, once for a tile.
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ACCUMULATE = {
    torch.float16: tl.float32,
    torch.bfloat16: tl.float32,
    torch.float32: tl.float32,
    torch.float64: tl.float64,
}
OPTIONS = {"enable_fp_fusion": True}  # a * h + b as one instruction


@triton.jit
def compose(a_left, b_left, a_right, b_right):
    """h -> a h + b, first left and then right."""
    return a_left * a_right, a_right * b_left + b_right


@triton.jit
def compose_complex(ar_l, ai_l, br_l, bi_l, ar_r, ai_r, br_r, bi_r):
    """The same in complex numbers, as real and imaginary parts."""
    return (
        ar_l * ar_r - ai_l * ai_r,
        ar_l * ai_r + ai_l * ar_r,
        ar_r * br_l - ai_r * bi_l + br_r,
        ar_r * bi_l + ai_r * br_l + bi_r,
    )


@triton.jit
def part(ticket, batches, L, N: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr, BLOCK_N: tl.constexpr):
    """Chunk, batch and channels of a ticket, and the step of its walk at which each segment starts (SEGMENTS,).

    Tickets of one chunk are neighbours, as their channels are in memory.
    """
    blocks: tl.constexpr = (N + BLOCK_N - 1) // BLOCK_N
    chunk, sequence = ticket // (batches * blocks), ticket % (batches * blocks)
    n = sequence % blocks * BLOCK_N + tl.max_contiguous(tl.arange(0, BLOCK_N), [BLOCK_N // 32 if BLOCK_N > 32 else 1])
    starts = chunk * (SEGMENTS * BLOCK_T) + tl.arange(0, SEGMENTS) * BLOCK_T
    return chunk, (sequence // blocks).to(tl.int64), n, starts


@triton.jit
def tile_at(batch, starts, n, L, N: tl.constexpr, BLOCK_T: tl.constexpr, REVERSED: tl.constexpr):
    """Where a tile lies in a (B, L, N) tensor: first rows (1, SEGMENTS, BLOCK_N) in 64 bits, and the rows after them.

    REVERSED: step s is at t = L - 1 - s
    """
    first = batch * L + (L - 1 - starts if REVERSED else starts)
    rows = tl.arange(0, BLOCK_T)[:, None, None] * (-N if REVERSED else N)
    return (first * N)[None, :, None] + n[None, None, :], rows


@triton.jit
def last_step(x, BLOCK_T: tl.constexpr):
    """x at the last step of each segment, (SEGMENTS, BLOCK_N): a register, for steps lie in one lane."""
    return tl.sum(tl.where(tl.arange(0, BLOCK_T)[:, None, None] == BLOCK_T - 1, x, tl.zeros_like(x)), 0)


@triton.jit
def last_segment(x, SEGMENTS: tl.constexpr):
    """The last row of x (SEGMENTS, BLOCK_N)."""
    return tl.sum(tl.where((tl.arange(0, SEGMENTS) == SEGMENTS - 1)[:, None], x, tl.zeros_like(x)), 0)


@triton.jit
def segment_before(x, first, SEGMENTS: tl.constexpr):
    """x (SEGMENTS, BLOCK_N) one row later; first (BLOCK_N,) comes in."""
    segments = tl.arange(0, SEGMENTS)[:, None]
    before = tl.gather(x, tl.broadcast_to(tl.maximum(segments - 1, 0), x.shape), 0)
    return tl.where(segments == 0, first[None, :], before)


@triton.jit
def at_step(x, steps, wanted):
    """x (BLOCK_T, SEGMENTS, BLOCK_N) at one step of the walk, (BLOCK_N,); zeros if the tile does not have it."""
    return tl.sum(tl.sum(tl.where(steps == wanted, x, 0.0), 0), 0)


def launch(
    kernel: Any, grid: tuple[int, ...], device_of: Tensor, *args: object, num_warps: int = 1,
    registers: int | None = None, **constants: object,
) -> None:  # fmt: skip
    """Start kernel on the device that holds device_of. registers: at most, of a lane; for NVIDIA's compiler."""
    limit = {} if registers is None or torch.version.hip else {"maxnreg": registers}
    with torch.cuda.device_of(device_of):
        kernel[grid](*args, **constants, num_warps=num_warps, **limit, **OPTIONS)
