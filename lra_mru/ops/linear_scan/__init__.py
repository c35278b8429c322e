"""First-order linear recurrence h[t] = a[t] * h[t-1] + b[t], real or complex: checks, op and autograd."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype, check_like, check_sequence, check_tensors, widened
from lra_mru.ops._register import define, register_check, register_fake
from lra_mru.ops.linear_scan.derivatives import register_derivatives


def linear_scan(
    a: Float[Tensor, "B L N"] | Complex[Tensor, "B L N"] | Float[Tensor, " N"] | Complex[Tensor, " N"],
    b: Float[Tensor, "B L N"] | Complex[Tensor, "B L N"],
    h0: Float[Tensor, "B N"] | Complex[Tensor, "B N"] | None = None,
) -> Float[Tensor, "B L N"] | Complex[Tensor, "B L N"]:
    """First-order linear recurrence along time.

        h[t] = a[t] * h[t-1] + b[t],   h[-1] = h0

    Shapes:  a (B, L, N), or (N,) if it does not depend on time; b (B, L, N); h0 (B, N) or None for zeros
             -> h (B, L, N), contiguous, in b's dtype. The next piece of a sequence starts from h[:, -1]
    Units:   a is a factor per step; float16 and bfloat16 accumulate in float32, other dtypes in their own. With such b,
             a constant a and h0 may be float32: rounded to 8 bits, 0.999 would become 1
    Raises:  ValueError if shapes or devices differ or L == 0; TypeError for no tensor, for integer or mixed dtypes
    Cost:    O(B L N) work, each input read once and each output written once; saves a and h for backward.
             Derivatives of any order, reverse and forward mode, are scans as well
    Source:  the recurrence of LRU (arXiv 2303.06349, eq. 1) with constant complex a, of gated RNNs with a per step
    """
    check_sequence("b", b, allow_complex=True)
    if h0 is None:
        h0 = b.new_zeros(b.shape[0], b.shape[2], dtype=accumulation_dtype(b.dtype))
    check_tensors(a=a, h0=h0)
    return _linear_scan(widened(a, b) if a.dim() == 1 else a, b, widened(h0, b))


_linear_scan, _linear_scan_backward = define(
    "linear_scan",
    forward="(Tensor a, Tensor b, Tensor h0) -> Tensor",
    backward="(Tensor a, Tensor h, Tensor h0, Tensor dh) -> (Tensor, Tensor, Tensor)",
)


def _check_like_sequence(a: Tensor, name: str, x: Tensor, h0: Tensor) -> None:
    """a and h0 must go with the sequence x; those without a time axis come in its accumulation dtype."""
    check_sequence(name, x, allow_complex=True)
    batch, _, channels = x.shape
    dtype = accumulation_dtype(x.dtype)
    if a.dim() == 1:
        check_like("a", a, name, x, (channels,), dtype)
    else:
        check_like("a", a, name, x, x.shape)
    check_like("h0", h0, name, x, (batch, channels), dtype)


@register_check(_linear_scan)
def _(a: Tensor, b: Tensor, h0: Tensor) -> None:
    _check_like_sequence(a, "b", b, h0)


@register_check(_linear_scan_backward)
def _(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> None:
    _check_like_sequence(a, "h", h, h0)
    check_like("dh", dh, "h", h, h.shape)


@register_fake(_linear_scan)
def _(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    return torch.empty_like(b, memory_format=torch.contiguous_format)


@register_fake(_linear_scan_backward)
def _(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    da, db, dh0 = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (a, h, h0))
    return da, db, dh0


register_derivatives(_linear_scan, _linear_scan_backward)
