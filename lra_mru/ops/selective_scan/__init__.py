"""Selective state space scan (Mamba, S6): checks, op and autograd."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype, check_like, check_sequence
from lra_mru.ops._register import define

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
) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B D N"]]:
    """Selective state space recurrence: N states per channel, which every step decays and feeds as the input says.

        dt[t] = softplus(delta[t] + delta_bias)          the softplus only if delta_softplus
        h[t]  = exp(dt[t] A) h[t-1] + dt[t] u[t] B[t],   h[-1] = h0
        y[t]  = (C[t] . h[t] + D u[t]) silu(z[t])        the gate only if z is given

    Shapes:  u, delta, z (B, L, D); A (D, N); B, C (B, L, N), shared by all channels; D, delta_bias (D,) or None for
             zeros; h0 (B, D, N) or None for zeros -> y (B, L, D) in u's dtype, h[L-1] (B, D, N) in accumulation dtype
    Units:   dt in steps, A per step (negative: decay). bfloat16 u, delta, B, C and z compute in float32, in which
             A, D, delta_bias and h0 may come
    Raises:  ValueError if shapes or devices differ or L == 0; TypeError for integer or mixed dtypes
    Cost:    O(B L D N) work. Nothing of size B L D N is written: the state is kept once per chunk of steps, from which
             backward recomputes the others
    Source:  Gu and Dao, arXiv 2312.00752, section 3.3
    """
    check_sequence("u", u)
    batch, length, channels = u.shape
    if A.dim() != 2:
        raise ValueError(f"A has shape {tuple(A.shape)}, expected ({channels}, states)")
    num_states = A.shape[1]
    for name, x in (("delta", delta), ("z", z)):
        if x is not None:
            check_like(name, x, "u", u, (batch, length, channels))
    for name, x in (("B", B), ("C", C)):
        check_like(name, x, "u", u, (batch, length, num_states))
    D = u.new_zeros(channels) if D is None else D
    delta_bias = u.new_zeros(channels) if delta_bias is None else delta_bias
    h0 = u.new_zeros(batch, channels, num_states) if h0 is None else h0
    shapes = {"A": (A, (channels, num_states)), "D": (D, (channels,)), "delta_bias": (delta_bias, (channels,))}
    for name, (x, shape) in (shapes | {"h0": (h0, (batch, channels, num_states))}).items():
        check_like(name, x, "u", u, shape, small=True)
    A, D, delta_bias, h0 = (x.to(accumulation_dtype(u.dtype)) for x in (A, D, delta_bias, h0))
    y, h_last, _ = _selective_scan(u, delta, A, B, C, D, z, delta_bias, h0, delta_softplus)
    return y, h_last


# Forward: y, the last state, and the state at the start of every chunk of steps.
# Backward: the gradients of u, delta, A, B, C, skip, z (empty without z), bias and h0.
_INPUTS = "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor skip, Tensor? z, Tensor bias"
_selective_scan, _selective_scan_backward = define(
    "selective_scan",
    forward=f"({_INPUTS}, Tensor h0, bool softened) -> (Tensor, Tensor, Tensor)",
    backward=f"({_INPUTS}, Tensor starts, Tensor dy, Tensor dh_last, bool softened)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)


@torch.library.register_fake("lra_mru::selective_scan")
def _(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor | None, delta_bias: Tensor,
    h0: Tensor, delta_softplus: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    batch, length, channels = u.shape
    if u.is_cuda:
        starts = h0.new_empty(batch, (length + GPU_CHUNK - 1) // GPU_CHUNK, channels, A.shape[1])
    else:
        starts = h0.new_empty(batch, (length + CHUNK - 1) // CHUNK, A.shape[1], channels)
    return torch.empty_like(u, memory_format=torch.contiguous_format), h0.new_empty(h0.shape), starts


@torch.library.register_fake("lra_mru::selective_scan_backward")
def _(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor | None, delta_bias: Tensor,
    starts: Tensor, dy: Tensor, dh_last: Tensor, delta_softplus: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    dz = u.new_empty(u.shape if z is not None else (0, *u.shape[1:]))
    du, ddelta, dA, dB, dC, dD, dbias, dh0 = (x.new_empty(x.shape) for x in (u, delta, A, B, C, D, delta_bias, dh_last))
    return du, ddelta, dA, dB, dC, dD, dz, dbias, dh0


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    u, delta, A, B, C, D, z, delta_bias, _, ctx.delta_softplus = inputs
    ctx.save_for_backward(u, delta, A, B, C, D, z, delta_bias, output[2])


def _autograd(ctx: Any, dy: Tensor, dh_last: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors  # once: under torch.utils.checkpoint a second reading is an error
    gradients: list[Tensor | None] = list(_selective_scan_backward(*saved, dy, dh_last, ctx.delta_softplus))
    if saved[6] is None:
        gradients[6] = None
    return *gradients, None


torch.library.register_autograd("lra_mru::selective_scan", _autograd, setup_context=_setup_context)
