"""Definition of table_scan, forward and backward: a loop over time in plain torch, with a straight-through derivative."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from lra_mru.ops._checks import accumulation_dtype
from lra_mru.ops.table_scan.states import one_hot_or_lost, states_of

GOLDEN, FIRST_FACTOR, SECOND_FACTOR = 0x9E3779B9, 0x7FEB352D, 0x846CA68B  # odd numbers whose products mix well
LOW_32 = 0xFFFFFFFF


def gumbel_noise(keys: Int[Tensor, "B L 1"], num_entries: int, dtype: torch.dtype) -> Float[Tensor, "B L num_entries"]:
    """Gumbel noise -log(-log u), whose u is a hash of the step's key and the entry's place: the same on every device.

    u = (top 23 bits of the hash + 1/2) / 2^23, which float32 holds exactly: the noise lies between -2.8 and 16.7
    """
    x = (keys + torch.arange(num_entries, device=keys.device) * GOLDEN) & LOW_32
    x = ((x ^ (x >> 16)) * FIRST_FACTOR) & LOW_32
    x = ((x ^ (x >> 15)) * SECOND_FACTOR) & LOW_32
    x = x ^ (x >> 16)
    u = ((x >> 9).to(dtype) + 0.5) * 2.0**-23
    return -(-u.log()).log()


class _Follow(torch.autograd.Function):
    """One step from h (B, K, n) by the tables theta (B, n, K, n). Backward: see lra_mru.ops.table_scan."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, h: Tensor, temperature: float) -> Tensor:
        num_states = h.shape[-1]
        before, tau = states_of(h), states_of(theta.movedim(1, -1))  # (B, K), (B, K, n)
        ctx.save_for_backward(theta, before, tau)
        ctx.temperature = temperature
        lost = torch.full_like(tau[..., :1], num_states)  # nothing leads out of it
        after = torch.cat((tau, lost), dim=-1).gather(-1, before[..., None])[..., 0]
        return one_hot_or_lost(after, num_states, h.dtype)

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> tuple[Tensor, Tensor, None]:
        theta, before, tau = ctx.saved_tensors
        num_states = adjoint.shape[-1]
        dh = torch.cat((adjoint, torch.full_like(adjoint[..., :1], float("nan"))), dim=-1).gather(-1, tau)
        used = one_hot(before, num_states + 1)[..., :num_states].bool()  # (B, K, n): the column; none if lost
        column = torch.where(used[:, None], theta, 0).sum(-1)  # (B, n, K)
        sigma, adjoint = (column / ctx.temperature).softmax(1), adjoint.mT
        dcolumn = sigma * (adjoint - (sigma * adjoint).sum(1, keepdim=True)) / ctx.temperature
        return torch.where(used[:, None], dcolumn[..., None], 0), dh, None


def table_scan(
    logits: Float[Tensor, "B L nKn"],
    num_states: int,
    temperature: float,
    h0: Float[Tensor, "B Kn"] | None = None,
    keys: Int[Tensor, "B L 1"] | None = None,
) -> Float[Tensor, "B L Kn"]:
    """K finite machines whose tables come with the input, one step at a time.

        tau[t](j) = argmax_l (logits[t, l, k, j] + noise),   s[t] = tau[t](s[t-1]),   h[t] = one-hot of s[t]

    Shapes:  logits (B, L, n K n); h0 (B, K n) or None for state 0; keys (B, L, 1) or None -> h (B, L, K n)
    """
    dtype, batch = accumulation_dtype(logits.dtype), len(logits)
    theta = logits.to(dtype)
    if keys is not None:
        theta = theta + gumbel_noise(keys, logits.shape[2], dtype)
    theta = theta.unflatten(2, (num_states, -1, num_states))  # (B, L, n, K, n)
    num_heads = theta.shape[3]
    if h0 is None:
        h = one_hot_or_lost(torch.zeros(batch, num_heads, dtype=torch.int64, device=logits.device), num_states, dtype)
    else:
        h = h0.to(dtype).unflatten(1, (num_heads, num_states))
    outputs = []
    for t in range(logits.shape[1]):
        h = _Follow.apply(theta[:, t], h, temperature)
        outputs.append(h.flatten(1))
    return torch.stack(outputs, dim=1).to(logits.dtype)
