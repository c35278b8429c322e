"""First-order linear recurrence h[t] = a[t] * h[t-1] + b[t], real or complex: checks, op and autograd."""

from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from lra_mru.ops._checks import accumulation_dtype, check_like, check_sequence
from lra_mru.ops._register import define


def linear_scan(
    a: Float[Tensor, "B L N"] | Complex[Tensor, "B L N"] | Float[Tensor, " N"] | Complex[Tensor, " N"],
    b: Float[Tensor, "B L N"] | Complex[Tensor, "B L N"],
    h0: Float[Tensor, "B N"] | Complex[Tensor, "B N"] | None = None,
) -> Float[Tensor, "B L N"] | Complex[Tensor, "B L N"]:
    """First-order linear recurrence along time.

        h[t] = a[t] * h[t-1] + b[t],   h[-1] = h0

    Shapes:  a (B, L, N), or (N,) if it does not depend on time; b (B, L, N); h0 (B, N) or None for zeros
             -> h (B, L, N), contiguous, in b's dtype. The next piece of a sequence starts from h[:, -1]
    Units:   a is a factor per step; bfloat16 accumulates in float32, other dtypes in their own. With bfloat16 b, a
             constant a and h0 may be float32: rounded to 8 bits, 0.999 would become 1
    Raises:  ValueError if shapes or devices differ or L == 0; TypeError for integer or mixed dtypes
    Cost:    O(B L N) work, each input read once and each output written once; saves a and h for backward
    Source:  the recurrence of LRU (arXiv 2303.06349, eq. 1) with constant complex a, of gated RNNs with a per step
    """
    check_sequence("b", b, allow_complex=True)
    batch, _, channels = b.shape
    if a.dim() == 1:
        check_like("a", a, "b", b, (channels,), small=True)
        a = a.to(accumulation_dtype(b.dtype))
    else:
        check_like("a", a, "b", b, tuple(b.shape))
    if h0 is None:
        h0 = b.new_zeros(batch, channels)
    check_like("h0", h0, "b", b, (batch, channels), small=True)
    return _linear_scan(a, b, h0.to(accumulation_dtype(b.dtype)))


_linear_scan, _linear_scan_backward = define(
    "linear_scan",
    forward="(Tensor a, Tensor b, Tensor h0) -> Tensor",
    backward="(Tensor a, Tensor h, Tensor h0, Tensor dh) -> (Tensor, Tensor, Tensor)",
)


@torch.library.register_fake("lra_mru::linear_scan")
def _(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    return torch.empty_like(b, memory_format=torch.contiguous_format)


@torch.library.register_fake("lra_mru::linear_scan_backward")
def _(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    da, db, dh0 = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (a, h, h0))
    return da, db, dh0


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    a, _, h0 = inputs
    ctx.save_for_backward(a, output, h0)


@once_differentiable
def _autograd(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _linear_scan_backward(*ctx.saved_tensors, dh)


torch.library.register_autograd("lra_mru::linear_scan", _autograd, setup_context=_setup_context)
