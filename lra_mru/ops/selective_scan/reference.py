"""Definition of selective_scan: a loop over time in plain torch."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import silu, softplus

from lra_mru.ops._checks import accumulation_dtype


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
    """Selective state space recurrence (Mamba, S6), one step at a time.

        dt[t] = softplus(delta[t] + delta_bias)
        h[t]  = a[t] h[t-1] + dt[t] u[t] B[t],   h[-1] = h0,   a[t] = exp(dt[t] A); signed: 2 exp(dt[t] A) - 1
        y[t]  = (C[t] . h[t] + D u[t]) silu(z[t])

    Shapes:  u, delta, z (B, L, D); A (D, N); B, C (B, L, N); D, delta_bias (D,); h0 (B, D, N)
             -> y (B, L, D), h[L-1] (B, D, N)
    """
    dtype = accumulation_dtype(u.dtype)
    dt = delta.to(dtype)
    if delta_bias is not None:
        dt = dt + delta_bias.to(dtype)
    if delta_softplus:
        dt = softplus(dt, threshold=1000.0)  # torch replaces softplus by x above its threshold
    h = u.new_zeros(u.shape[0], *A.shape, dtype=dtype) if h0 is None else h0.to(dtype)
    outputs = []
    for t in range(u.shape[1]):
        dt_t, u_t = dt[:, t, :, None], u[:, t, :, None].to(dtype)  # (B, D, 1)
        decay = torch.exp(dt_t * A.to(dtype))
        h = (2 * decay - 1 if signed else decay) * h + dt_t * u_t * B[:, t, None, :].to(dtype)  # (B, D, N)
        outputs.append((h * C[:, t, None, :].to(dtype)).sum(-1))
    y = torch.stack(outputs, dim=1)
    if D is not None:
        y = y + D.to(dtype) * u.to(dtype)
    if z is not None:
        y = y * silu(z.to(dtype))
    return y.to(u.dtype), h
