"""Finite machines that the input steers: checks, op and autograd."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from lra_mru.ops._checks import accumulation_dtype, check_like, check_sequence
from lra_mru.ops._register import define

MAX_STATES = 64


def table_scan(
    logits: Float[Tensor, "B L nKn"],
    num_states: int,
    temperature: float,
    h0: Float[Tensor, "B Kn"] | None = None,
    keys: Int[Tensor, "B L 1"] | None = None,
) -> Float[Tensor, "B L Kn"]:
    """K finite machines of n states each: at every step a table, made from the input, sends each state to its next.

        theta[t]  = logits[t] + gumbel(keys[t])                   without keys: no noise
        tau[t](j) = argmax_l theta[t, l, k, j]                    the first of equals; one table a head k
        s[t]      = tau[t](s[t-1]),   h[t] = one-hot of s[t]      s[-1]: where h0 is largest, or 0

    An argmax has no useful derivative. Backward is straight-through: the table's one-hot entries take the derivative of
    a softmax, and only the column that was used gets any, j = s[t-1]:

        lambda[t, s]         = dh[t, s] + lambda[t+1, tau[t+1](s)]      for every s, also those the machine was not in
        dlogits[t, :, k, j]  = sigma (lambda[t] - <sigma, lambda[t]>) / temperature
        sigma                = softmax(theta[t, :, k, j] / temperature)
        dh0[s]               = lambda[0, tau[0](s)]

    Shapes:  logits (B, L, n K n), of which entry (l K + k) n + j sends state j of head k to state l;
             h0 (B, K n) or None; keys (B, L, 1), any integers, or None
             -> h (B, L, K n), contiguous, in logits' dtype. The next piece of a sequence starts from h[:, -1]
    Units:   logits in nats; noise and softmax are computed in float32 for bfloat16. The noise of an entry is a pure
             function of its step's key and its place in the step, the same however a sequence is cut
    NaN:     where the column in use has one, the state is lost: h is NaN from there on, in that head
    Raises:  ValueError if shapes or devices differ, L == 0, num_states is not in [2, 64], or temperature is not above
             0; TypeError for dtypes
    Cost:    O(B L K n^2) work. logits are read once; backward writes as much, zeros for the most part. Saves logits and
             tau, one byte for each of its entries
    Source:  the neural finite-state machine of Brandoit et al., "Length-independent state tracking under a parallel
             scan" (2026); keys and the lost state are ours
    """
    check_sequence("logits", logits)
    batch, length, width = logits.shape
    if not 2 <= num_states <= MAX_STATES:
        raise ValueError(f"num_states={num_states} must be from 2 to {MAX_STATES}")
    if width == 0 or width % num_states**2:
        raise ValueError(f"logits have {width} channels, expected heads x num_states^2 = heads x {num_states**2}")
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} must be above 0")
    channels = width // num_states
    if h0 is None:
        h0 = (torch.arange(channels, device=logits.device) % num_states == 0).to(logits.dtype).expand(batch, channels)
    check_like("h0", h0, "logits", logits, (batch, channels), small=True)
    if keys is not None:
        if tuple(keys.shape) != (batch, length, 1) or keys.device != logits.device:
            raise ValueError(
                f"keys have shape {tuple(keys.shape)} on {keys.device}, expected {(batch, length, 1)} on {logits.device}"
            )
        if keys.is_floating_point() or keys.is_complex() or keys.dtype == torch.bool:
            raise TypeError(f"keys have dtype {keys.dtype}, expected integers")
        keys = keys.to(torch.int64)
    h0 = h0.to(accumulation_dtype(logits.dtype))
    return _table_scan(logits, h0, keys, num_states, temperature)[0]


# Forward: h, the tables tau (B, L, K n), and the states before each step and after the last (B, L + 1, K); n is lost.
# Backward: the gradients of logits and h0.
_table_scan, _table_scan_backward = define(
    "table_scan",
    forward="(Tensor logits, Tensor h0, Tensor? keys, int num_states, float temperature) -> (Tensor, Tensor, Tensor)",
    backward="(Tensor logits, Tensor tau, Tensor states, Tensor? keys, Tensor dh, int num_states, float temperature)"
    " -> (Tensor, Tensor)",
)


@torch.library.register_fake("lra_mru::table_scan")
def _(
    logits: Tensor, h0: Tensor, keys: Tensor | None, num_states: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, _ = logits.shape
    channels = h0.shape[1]
    tau = logits.new_empty(batch, length, channels, dtype=torch.uint8)
    states = logits.new_empty(batch, length + 1, channels // num_states, dtype=torch.uint8)
    return logits.new_empty(batch, length, channels), tau, states


@torch.library.register_fake("lra_mru::table_scan_backward")
def _(
    logits: Tensor, tau: Tensor, states: Tensor, keys: Tensor | None, dh: Tensor, num_states: int, temperature: float
) -> tuple[Tensor, Tensor]:
    dh0 = logits.new_empty(tau.shape[0], tau.shape[2], dtype=accumulation_dtype(logits.dtype))
    return logits.new_empty(logits.shape), dh0


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, _, keys, ctx.num_states, ctx.temperature = inputs
    _, tau, states = output
    ctx.mark_non_differentiable(tau, states)
    ctx.save_for_backward(logits, tau, states, keys)


@once_differentiable
def _autograd(ctx: Any, dh: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    gradients = _table_scan_backward(*ctx.saved_tensors, dh, ctx.num_states, ctx.temperature)
    return *gradients, None, None, None


torch.library.register_autograd("lra_mru::table_scan", _autograd, setup_context=_setup_context)
