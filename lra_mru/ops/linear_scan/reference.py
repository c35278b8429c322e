"""Definition of linear_scan: a loop over time in plain torch."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype


def linear_scan(
    a: Float[Tensor, "B L N"] | Complex[Tensor, "B L N"] | Float[Tensor, " N"] | Complex[Tensor, " N"],
    b: Float[Tensor, "B L N"] | Complex[Tensor, "B L N"],
    h0: Float[Tensor, "B N"] | Complex[Tensor, "B N"] | None = None,
) -> Float[Tensor, "B L N"] | Complex[Tensor, "B L N"]:
    """First-order linear recurrence along time, one step at a time.

        h[t] = a[t] * h[t-1] + b[t],   h[-1] = h0

    Shapes:  a (B, L, N) or (N,); b (B, L, N); h0 (B, N) or None for zeros -> h (B, L, N)
    """
    dtype = accumulation_dtype(b.dtype)
    h = torch.zeros_like(b[:, 0], dtype=dtype) if h0 is None else h0.to(dtype)
    states = []
    for t in range(b.shape[1]):
        decay = a if a.dim() == 1 else a[:, t]
        h = decay.to(dtype) * h + b[:, t].to(dtype)
        states.append(h)
    return torch.stack(states, dim=1).to(b.dtype)
