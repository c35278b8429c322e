"""What the Triton kernels share: composition of steps, accumulation dtype, and the launch."""
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
def tile_at(batch, start, steps, n, L, N: tl.constexpr, REVERSED: tl.constexpr):
    """Where a tile of a (B, L, N) tensor lies: its first row in 64 bits, and offsets in it, the same for all tiles.

    REVERSED: step s is at t = L - 1 - s
    """
    base = (batch * L + (L - 1 - start if REVERSED else start)) * N
    rows = -steps if REVERSED else steps
    return base, rows[:, None] * N + n[None, :]


@triton.jit
def row(x, steps, wanted):
    """The row of a tile x (BLOCK_T, BLOCK_N) whose step is wanted; zeros if it has none."""
    return tl.sum(tl.where((steps == wanted)[:, None], x, 0.0), 0)


def launch(
    kernel: Any, grid: tuple[int, ...], device_of: Tensor, *args: object, num_warps: int = 1, **constants: object
) -> None:  # fmt: skip
    """Start kernel on the device that holds device_of; nothing where the grid is empty, as that of no rows or channels.

    One warp has no barriers to wait at.
    """
    if 0 in grid:
        return
    with torch.cuda.device_of(device_of):
        kernel[grid](*args, **constants, num_warps=num_warps, **OPTIONS)
