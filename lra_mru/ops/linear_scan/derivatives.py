"""Derivatives of linear_scan of any order: the derivative of a scan is a scan, forward and reversed in time.

    h[t] = a[t] h[t-1] + b[t]                 forward;   dh in reverse mode is the gradient of h
    g[t] = dh[t] + conj(a[t+1]) g[t+1]        backward:  da[t] = g[t] conj(h[t-1]), db = g, dh0 = conj(a[0]) g[0]

Names: x_dot is the tangent of x; grad_x, in the backward pass of backward, is the gradient of its input or output x.
"""

from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from lra_mru.ops import _derivatives
from lra_mru.ops._derivatives import keep, kept


def register_derivatives(scan: OpOverload, scan_backward: OpOverload) -> None:
    """Register them for both passes, each in terms of both."""

    def save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], h: Tensor) -> None:
        a, _, h0 = inputs
        keep(ctx, a, h, h0)

    def backward(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradients: tuple[Tensor, Tensor, Tensor] = scan_backward(*ctx.saved_tensors, dh)
        return gradients

    def jvp(ctx: Any, a_dot: Tensor | None, b_dot: Tensor | None, h0_dot: Tensor | None) -> Tensor:
        """h_dot[t] = a[t] h_dot[t-1] + a_dot[t] h[t-1] + b_dot[t]."""
        a, h, h0 = kept(ctx)
        drive = torch.zeros_like(h) if b_dot is None else b_dot
        if a_dot is not None:
            drive = (drive + a_dot * _step_before(h, h0)).to(h.dtype)
        h_dot: Tensor = scan(a, drive, torch.zeros_like(h0) if h0_dot is None else h0_dot)
        return h_dot

    def save_backward(
        ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        keep(ctx, *inputs, output[1])

    def backward_of_backward(
        ctx: Any, grad_da: Tensor, grad_db: Tensor, grad_dh0: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradient of g is a scan forward in time, s[t] = a[t] s[t-1] + grad_db[t] + grad_da[t] h[t-1]."""
        a, h, h0, dh, g = ctx.saved_tensors
        s = scan(a, (grad_db + grad_da * _step_before(h, h0)).to(h.dtype), grad_dh0)
        grad_a, _, _ = scan_backward(a, s, grad_dh0, dh)
        grad_h_before = grad_da.conj() * g
        return grad_a, _step_after(grad_h_before).to(h.dtype), grad_h_before[:, 0].to(h0.dtype), s

    def jvp_of_backward(
        ctx: Any, a_dot: Tensor | None, h_dot: Tensor | None, h0_dot: Tensor | None, dh_dot: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """g_dot[t] = dh_dot[t] + conj(a_dot[t+1]) g[t+1] + conj(a[t+1]) g_dot[t+1]; the rest by the product rule."""
        a, h, h0, _, g = kept(ctx)
        drive = torch.zeros_like(h) if dh_dot is None else dh_dot
        if a_dot is not None:
            drive = (drive + _step_after(a_dot.conj() * g)).to(h.dtype)
        da_dot, g_dot, dh0_dot = scan_backward(a, h, h0, drive)
        if a_dot is not None:
            dh0_dot = dh0_dot + (a_dot.conj() * g)[:, 0]
        if h_dot is not None or h0_dot is not None:
            h_dot = torch.zeros_like(h) if h_dot is None else h_dot
            h0_dot = torch.zeros_like(h0) if h0_dot is None else h0_dot
            change = g * _step_before(h_dot, h0_dot).conj()
            da_dot = da_dot + (change.sum((0, 1)) if a.dim() == 1 else change)
        return da_dot.to(a.dtype), g_dot, dh0_dot.to(h0.dtype)

    _derivatives.register(scan, save=save, backward=backward, jvp=jvp)
    _derivatives.register(scan_backward, save=save_backward, backward=backward_of_backward, jvp=jvp_of_backward)


def _step_before(h: Tensor, h0: Tensor) -> Tensor:
    """h[t-1] at every t, h0 at the first."""
    return torch.cat([h0[:, None].to(h.dtype), h[:, :-1]], dim=1)


def _step_after(x: Tensor) -> Tensor:
    """x[t+1] at every t, zero at the last."""
    return torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], dim=1)
