"""Definition of bmru_scan, forward and backward: a loop over time in plain torch, with surrogate derivatives.

The Heaviside step and the sign have no useful derivative: _Heaviside and _Sign give each its surrogate. _Carry gives,
by hand too, the share of the state's gradient that passes a gate. The rest is what autograd makes of the loop.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype


def _arctan_slope(u: Tensor) -> Tensor:
    """Derivative of arctan(pi u) / pi + 1/2, a smooth step from 0 to 1."""
    return 1 / (1 + (math.pi * u) ** 2)


class _Heaviside(torch.autograd.Function):
    """1 where u > 0, else 0; NaN where u is NaN. Backward: the slope of the smooth step."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return torch.where(u.isnan(), u, (u > 0).to(u.dtype))

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return dz * _arctan_slope(u)


class _Sign(torch.autograd.Function):
    """Sign of c. Backward: twice the slope, as sgn(c) = 2 H(c) - 1."""

    @staticmethod
    def forward(ctx: Any, c: Tensor) -> Tensor:
        ctx.save_for_backward(c)
        return torch.where(c.isnan(), c, c.sign())

    @staticmethod
    def backward(ctx: Any, ds: Tensor) -> Tensor:
        (c,) = ctx.saved_tensors
        return ds * 2 * _arctan_slope(c)


class _Carry(torch.autograd.Function):
    """The state as it reaches the next step: unchanged forward; backward, carry_grad of what a gate stops passes it."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, h: Tensor, candidate: Tensor, carry_grad: float) -> Tensor:
        ctx.save_for_backward(z, h, candidate)
        ctx.carry_grad = carry_grad
        return torch.where(z == 0, h, torch.where(z == 1, candidate, z))  # a selection: an update forgets even a NaN

    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        z, h, candidate = ctx.saved_tensors
        return dh * (candidate - h), dh * (1 - z * (1 - ctx.carry_grad)), dh * z, None


def bmru_scan(
    c: Float[Tensor, "B L N"],
    beta: Float[Tensor, "B L N"],
    alpha: Float[Tensor, " N"],
    h0: Float[Tensor, "B N"] | None = None,
    carry_grad: float = 0.0,
) -> Float[Tensor, "B L N"]:
    """Bistable memory recurrent unit along time, one step at a time.

        z[t] = H(|c[t]| - beta[t]),   h[t] = z[t] * sgn(c[t]) * alpha + (1 - z[t]) * h[t-1],   h[-1] = h0

    Shapes:  c, beta (B, L, N); alpha (N,); h0 (B, N) or None for zeros -> h (B, L, N)
    """
    dtype = accumulation_dtype(c.dtype)
    h = torch.zeros_like(c[:, 0], dtype=dtype) if h0 is None else h0.to(dtype)
    states = []
    for t in range(c.shape[1]):
        c_t, beta_t = c[:, t].to(dtype), beta[:, t].to(dtype)
        sign = _Sign.apply(c_t)
        z = _Heaviside.apply(c_t.abs() - beta_t)
        h = _Carry.apply(z, h, sign * alpha.to(dtype), carry_grad)
        states.append(h)
    return torch.stack(states, dim=1).to(c.dtype)
