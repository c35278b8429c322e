"""Finite machines that the input steers: checks, op and autograd."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype, check_like, check_sequence, check_tensors, widened
from lra_mru.ops._derivatives import keep, refuse, register
from lra_mru.ops._register import define, register_check, register_fake

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
    Units:   logits in nats; noise and softmax are computed in float32 for 16 bits. The noise of an entry is a pure
             function of its step's key and its place in the step, the same however a sequence is cut
    NaN:     where the column in use has one, the state is lost: h is NaN from there on, in that head
    Raises:  ValueError if shapes or devices differ, L == 0, num_states is not in [2, 64], or temperature is not above
             0; TypeError for dtypes
    Cost:    O(B L K n^2) work. logits are read once; backward writes as much, zeros for the most part. Saves logits and
             tau, one byte for each of its entries
    Source:  the neural finite-state machine of Brandoit et al., "Length-independent state tracking under a parallel
             scan" (2026); keys and the lost state are ours
    """
    _check_sizes(logits, num_states, temperature)
    batch, _, width = logits.shape
    channels = width // num_states
    if h0 is None:
        start = torch.arange(channels, device=logits.device) % num_states == 0
        h0 = start.to(accumulation_dtype(logits.dtype)).expand(batch, channels)
    check_tensors(h0=h0, keys=logits if keys is None else keys)
    if keys is not None:
        if keys.is_floating_point() or keys.is_complex() or keys.dtype == torch.bool:
            raise TypeError(f"keys have dtype {keys.dtype}, expected integers")
        keys = keys.to(torch.int64)
    return _table_scan(logits, widened(h0, logits), keys, num_states, temperature)[0]


# Forward: h, the tables tau (B, L, K n), and the states before each step and after the last (B, L + 1, K); n is lost.
# Backward: the gradients of logits and h0.
_table_scan, _table_scan_backward = define(
    "table_scan",
    forward="(Tensor logits, Tensor h0, Tensor? keys, int num_states, float temperature) -> (Tensor, Tensor, Tensor)",
    backward="(Tensor logits, Tensor tau, Tensor states, Tensor? keys, Tensor dh, int num_states, float temperature)"
    " -> (Tensor, Tensor)",
)


def _check_sizes(logits: Tensor, num_states: int, temperature: float) -> None:
    """Of what both passes share."""
    check_sequence("logits", logits)
    width = logits.shape[2]
    if not 2 <= num_states <= MAX_STATES:
        raise ValueError(f"num_states={num_states} must be from 2 to {MAX_STATES}")
    if width == 0 or width % num_states**2:
        raise ValueError(f"logits have {width} channels, expected heads x num_states^2 = heads x {num_states**2}")
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} must be above 0")


@register_check(_table_scan)
def _(logits: Tensor, h0: Tensor, keys: Tensor | None, num_states: int, temperature: float) -> None:
    _check_sizes(logits, num_states, temperature)
    batch, length, width = logits.shape
    check_like("h0", h0, "logits", logits, (batch, width // num_states), accumulation_dtype(logits.dtype))
    if keys is not None:
        check_like("keys", keys, "logits", logits, (batch, length, 1), torch.int64)


@register_check(_table_scan_backward)
def _(
    logits: Tensor, tau: Tensor, states: Tensor, keys: Tensor | None, dh: Tensor, num_states: int, temperature: float
) -> None:
    _check_sizes(logits, num_states, temperature)
    batch, length, width = logits.shape
    channels = width // num_states
    check_like("tau", tau, "logits", logits, (batch, length, channels), torch.uint8)
    check_like("states", states, "logits", logits, (batch, length + 1, channels // num_states), torch.uint8)
    if keys is not None:
        check_like("keys", keys, "logits", logits, (batch, length, 1), torch.int64)
    check_like("dh", dh, "logits", logits, (batch, length, channels))


@register_fake(_table_scan)
def _(
    logits: Tensor, h0: Tensor, keys: Tensor | None, num_states: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, _ = logits.shape
    channels = h0.shape[1]
    tau = logits.new_empty(batch, length, channels, dtype=torch.uint8)
    states = logits.new_empty(batch, length + 1, channels // num_states, dtype=torch.uint8)
    return logits.new_empty(batch, length, channels), tau, states


@register_fake(_table_scan_backward)
def _(
    logits: Tensor, tau: Tensor, states: Tensor, keys: Tensor | None, dh: Tensor, num_states: int, temperature: float
) -> tuple[Tensor, Tensor]:
    dh0 = logits.new_empty(tau.shape[0], tau.shape[2], dtype=accumulation_dtype(logits.dtype))
    return logits.new_empty(logits.shape), dh0


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, _, keys, ctx.num_states, ctx.temperature = inputs
    _, tau, states = output
    ctx.mark_non_differentiable(tau, states)
    ctx.set_materialize_grads(False)  # else torch would make zeros for tau and states
    keep(ctx, logits, tau, states, keys)


def _backward(ctx: Any, dh: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if dh is None:
        return None, None, None, None, None
    return *_table_scan_backward(*ctx.saved_tensors, dh, ctx.num_states, ctx.temperature), None, None, None


_no_more = refuse(
    "table_scan has first derivatives in reverse mode alone, straight through: no second, no forward-mode ones"
)
register(_table_scan, save=_save, backward=_backward, jvp=_no_more)
register(_table_scan_backward, save=lambda ctx, inputs, output: None, backward=_no_more, jvp=_no_more)
