"""Bistable memory recurrent unit as one fused scan: checks, op and autograd."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype, check_like, check_sequence, check_tensors, widened
from lra_mru.ops._derivatives import keep, refuse, register
from lra_mru.ops._register import define, register_check, register_fake


def bmru_scan(
    c: Float[Tensor, "B L N"],
    beta: Float[Tensor, "B L N"],
    alpha: Float[Tensor, " N"],
    h0: Float[Tensor, "B N"] | None = None,
    carry_grad: float = 0.0,
) -> Float[Tensor, "B L N"]:
    """Two-state memory: an input that crosses its threshold sets the state to -alpha or +alpha, else it holds.

        z[t] = H(|c[t]| - beta[t]),   h[t] = z[t] * sgn(c[t]) * alpha + (1 - z[t]) * h[t-1],   h[-1] = h0

    The step H and the sign have no useful derivative; backward takes H'(u) ~ 1 / (1 + (pi u)^2) and sgn' = 2 H':

        dz = dh (sgn(c) alpha - h[t-1]),   du = dz H'(|c| - beta),   dbeta = -du
        dc = du sgn(c) + dh z alpha 2 H'(c),   dalpha = sum dh z sgn(c),   dh[t-1] += (1 - z (1 - carry_grad)) dh[t]

    Shapes:  c, beta (B, L, N); alpha (N,); h0 (B, N) or None for zeros (undecided)
             -> h (B, L, N), contiguous, in c's dtype. The next piece of a sequence starts from h[:, -1]
    Units:   beta and c in the same unit, beta >= 0; carry_grad in [0, 1] is the share of the state's gradient that
             passes an open gate (0: the exact factor 1 - z). float16 and bfloat16 compute in float32, in which
             alpha and h0 may come
    NaN:     where c or beta is NaN, h is NaN, and stays so until the next gate opens
    Raises:  ValueError if shapes or devices differ, L == 0, or carry_grad is outside [0, 1]; TypeError for no tensor
             or mixed dtypes; NotImplementedError for second derivatives and forward mode
    Cost:    O(B L N) work, each input read once and each output written once; saves c, beta and h for backward
    Source:  De Geeter et al., arXiv 2601.09495; carry_grad is ours
    """
    check_sequence("c", c)
    if h0 is None:
        h0 = c.new_zeros(c.shape[0], c.shape[2], dtype=accumulation_dtype(c.dtype))
    check_tensors(beta=beta, alpha=alpha, h0=h0)
    if isinstance(carry_grad, str) or carry_grad is None:
        raise TypeError(f"carry_grad={carry_grad!r} must be a number")
    return _bmru_scan(c, beta, widened(alpha, c), widened(h0, c), carry_grad)


_bmru_scan, _bmru_scan_backward = define(
    "bmru_scan",
    forward="(Tensor c, Tensor beta, Tensor alpha, Tensor h0, float carry_grad) -> Tensor",
    backward="(Tensor c, Tensor beta, Tensor alpha, Tensor h, Tensor h0, Tensor dh, float carry_grad)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)


@register_check(_bmru_scan)
def _check(c: Tensor, beta: Tensor, alpha: Tensor, h0: Tensor, carry_grad: float) -> None:
    check_sequence("c", c)
    batch, _, channels = c.shape
    dtype = accumulation_dtype(c.dtype)
    check_like("beta", beta, "c", c, c.shape)
    check_like("alpha", alpha, "c", c, (channels,), dtype)
    check_like("h0", h0, "c", c, (batch, channels), dtype)
    if not 0.0 <= carry_grad <= 1.0:
        raise ValueError(f"carry_grad={carry_grad} must lie in [0, 1], the share of the gradient that passes a gate")


@register_check(_bmru_scan_backward)
def _(c: Tensor, beta: Tensor, alpha: Tensor, h: Tensor, h0: Tensor, dh: Tensor, carry_grad: float) -> None:
    _check(c, beta, alpha, h0, carry_grad)
    check_like("h", h, "c", c, c.shape)
    check_like("dh", dh, "c", c, c.shape)


@register_fake(_bmru_scan)
def _(c: Tensor, beta: Tensor, alpha: Tensor, h0: Tensor, carry_grad: float) -> Tensor:
    return torch.empty_like(c, memory_format=torch.contiguous_format)


@register_fake(_bmru_scan_backward)
def _(
    c: Tensor, beta: Tensor, alpha: Tensor, h: Tensor, h0: Tensor, dh: Tensor, carry_grad: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dc, dbeta, dalpha, dh0 = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (c, beta, alpha, h0))
    return dc, dbeta, dalpha, dh0


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor, float], h: Tensor) -> None:
    c, beta, alpha, h0, ctx.carry_grad = inputs
    keep(ctx, c, beta, alpha, h, h0)


def _backward(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
    return *_bmru_scan_backward(*ctx.saved_tensors, dh, ctx.carry_grad), None


_no_more = refuse(
    "bmru_scan has first derivatives in reverse mode alone, by surrogates: no second, no forward-mode ones"
)
register(_bmru_scan, save=_save, backward=_backward, jvp=_no_more)
register(_bmru_scan_backward, save=lambda ctx, inputs, output: None, backward=_no_more, jvp=_no_more)
