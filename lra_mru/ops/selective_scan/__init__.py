"""Selective state space scan (Mamba, S6): checks, op and autograd."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype, check_like, check_sequence, check_tensors, widened
from lra_mru.ops._derivatives import keep, refuse, register
from lra_mru.ops._register import define, register_check, register_fake

CHUNK = 32  # steps between two saved states: they take N / 32 of the memory of u
GPU_CHUNK = 8  # as many as registers hold: N / 8 of u, but nothing is read twice


def selective_scan(
    u: Float[Tensor, "B L D"],
    delta: Float[Tensor, "B L D"],
    A: Float[Tensor, "D N"],
    B: Float[Tensor, "B L N"],
    C: Float[Tensor, "B L N"],
    D: Float[Tensor, " D"] | None = None,
    z: Float[Tensor, "B L D"] | None = None,
    delta_bias: Float[Tensor, " D"] | None = None,
    delta_softplus: bool = False,
    h0: Float[Tensor, "B D N"] | None = None,
    signed: bool = False,
) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B D N"]]:
    """Selective state space recurrence: N states per channel, which every step decays and feeds as the input says.

        dt[t] = softplus(delta[t] + delta_bias)          the softplus only if delta_softplus
        h[t]  = a[t] h[t-1] + dt[t] u[t] B[t],           h[-1] = h0
        a[t]  = exp(dt[t] A), or 2 exp(dt[t] A) - 1 if signed: in (-1, 1] for A < 0
        y[t]  = (C[t] . h[t] + D u[t]) silu(z[t])        the gate only if z is given

    Shapes:  u, delta, z (B, L, D); A (D, N); B, C (B, L, N), shared by all channels; D, delta_bias (D,) or None for
             zeros; h0 (B, D, N) or None for zeros -> y (B, L, D) in u's dtype, h[L-1] (B, D, N) in accumulation dtype
    Units:   dt in steps, A per step (negative: decay). float16 and bfloat16 u, delta, B, C and z compute in float32, in
             which A, D, delta_bias and h0 may come
    Raises:  ValueError if shapes or devices differ or L == 0; TypeError for no tensor, for integer or mixed dtypes;
             NotImplementedError for second derivatives and forward mode
    Cost:    O(B L D N) work. Nothing of size B L D N is written: the state is kept once per chunk of steps, from which
             backward recomputes the others
    Source:  Gu and Dao, arXiv 2312.00752, section 3.3; signed: Grazzi et al., arXiv 2411.12537
    """
    check_sequence("u", u)
    check_tensors(A=A)
    if A.dim() != 2:
        raise ValueError(f"A has shape {tuple(A.shape)}, expected ({u.shape[2]}, states)")
    dtype = accumulation_dtype(u.dtype)
    D = u.new_zeros(u.shape[2], dtype=dtype) if D is None else D
    delta_bias = u.new_zeros(u.shape[2], dtype=dtype) if delta_bias is None else delta_bias
    h0 = u.new_zeros(u.shape[0], u.shape[2], A.shape[1], dtype=dtype) if h0 is None else h0
    check_tensors(delta=delta, B=B, C=C, D=D, z=u if z is None else z, delta_bias=delta_bias, h0=h0)
    A, D, delta_bias, h0 = (widened(x, u) for x in (A, D, delta_bias, h0))
    y, h_last, _ = _selective_scan(u, delta, A, B, C, D, z, delta_bias, h0, delta_softplus, signed)
    return y, h_last


# Forward: y, the last state, and the state at the start of every chunk of steps.
# Backward: the gradients of u, delta, A, B, C, skip, z (empty without z), bias and h0.
_INPUTS = "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor skip, Tensor? z, Tensor bias"
_selective_scan, _selective_scan_backward = define(
    "selective_scan",
    forward=f"({_INPUTS}, Tensor h0, bool softened, bool signed) -> (Tensor, Tensor, Tensor)",
    backward=f"({_INPUTS}, Tensor starts, Tensor dy, Tensor dh_last, bool softened, bool signed)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def _check_inputs(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor | None, delta_bias: Tensor
) -> tuple[int, int, int]:
    """Of the arguments that both passes share; the shape of the state."""
    check_sequence("u", u)
    batch, length, channels = u.shape
    if A.dim() != 2:
        raise ValueError(f"A has shape {tuple(A.shape)}, expected ({channels}, states)")
    num_states, dtype = A.shape[1], accumulation_dtype(u.dtype)
    check_like("delta", delta, "u", u, u.shape)
    if z is not None:
        check_like("z", z, "u", u, u.shape)
    check_like("B", B, "u", u, (batch, length, num_states))
    check_like("C", C, "u", u, (batch, length, num_states))
    check_like("A", A, "u", u, (channels, num_states), dtype)
    check_like("D", D, "u", u, (channels,), dtype)
    check_like("delta_bias", delta_bias, "u", u, (channels,), dtype)
    return batch, channels, num_states


@register_check(_selective_scan)
def _(u: Tensor, *arguments: Any) -> None:
    *inputs, h0, _, _ = arguments
    check_like("h0", h0, "u", u, _check_inputs(u, *inputs), accumulation_dtype(u.dtype))


@register_check(_selective_scan_backward)
def _(u: Tensor, *arguments: Any) -> None:
    *inputs, starts, dy, dh_last, _, _ = arguments
    state = _check_inputs(u, *inputs)
    check_like(
        "starts", starts, "u", u, starts.shape, accumulation_dtype(u.dtype)
    )  # its shape differs between devices, which check it
    check_like("dy", dy, "u", u, u.shape)
    check_like("dh_last", dh_last, "u", u, state, accumulation_dtype(u.dtype))


@register_fake(_selective_scan)
def _(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor, h0: Tensor,
    softened: bool, signed: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    batch, length, channels = u.shape
    chunks: Any = (length + (GPU_CHUNK if u.is_cuda else CHUNK) - 1) // (GPU_CHUNK if u.is_cuda else CHUNK)
    if torch.compiler.is_exporting() and not isinstance(length, int):
        chunks = torch.library.get_ctx().new_dynamic_size()  # else the example's length says whether there is just one
    starts = h0.new_empty(batch, chunks, A.shape[1], channels)
    return torch.empty_like(u, memory_format=torch.contiguous_format), h0.new_empty(h0.shape), starts


@register_fake(_selective_scan_backward)
def _(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor,
    starts: Tensor, dy: Tensor, dh_last: Tensor, softened: bool, signed: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    dz = u.new_empty(u.shape if z is not None else (0, *u.shape[1:]))
    du, ddelta, dA, dB, dC, dskip, dbias, dh0 = (x.new_empty(x.shape) for x in (u, delta, A, B, C, skip, bias, dh_last))
    return du, ddelta, dA, dB, dC, dskip, dz, dbias, dh0


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, _, ctx.softened, ctx.signed = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.set_materialize_grads(False)  # else torch would make zeros as large as all the states at chunks' starts
    keep(ctx, *tensors, output[2])


def _backward(ctx: Any, dy: Tensor | None, dh_last: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    *tensors, starts = ctx.saved_tensors  # once: under torch.utils.checkpoint a second reading is an error
    u, A, z = tensors[0], tensors[2], tensors[6]
    dy = torch.zeros_like(u) if dy is None else dy
    dh_last = A.new_zeros(u.shape[0], *A.shape) if dh_last is None else dh_last
    gradients: list[Tensor | None] = list(
        _selective_scan_backward(*tensors, starts, dy, dh_last, ctx.softened, ctx.signed)
    )
    if z is None:
        gradients[6] = None
    return *gradients, None, None


_no_more = refuse("selective_scan has first derivatives in reverse mode alone: no second, no forward-mode ones")
register(_selective_scan, save=_save, backward=_backward, jvp=_no_more)
register(_selective_scan_backward, save=lambda ctx, inputs, output: None, backward=_no_more, jvp=_no_more)
