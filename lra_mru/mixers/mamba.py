"""Mamba: a selective state space, whose step size, input and readout depend on the input."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from lra_mru.mixers.base import Mixer, check_batch, count_states, wide
from lra_mru.ops.selective_scan import selective_scan

MambaState = tuple[Tensor, Tensor]  # the last d_conv - 1 inputs of the convolution (B, d_conv - 1, E); h (B, E, N)
PADDING = -1e4  # a step size before its softplus that is 0 after it: the state stands still


class Mamba(Mixer):
    """E channels of N states each, E = round(expand * D), decaying as fast as the input asks for.

        u, g            = W_in x                          (B, L, E) each
        v[t]            = silu(b + sum_k w_k u[t - d_conv + 1 + k])          causal, per channel
        dt, B[t], C[t]  = split(W_x v)                    widths dt_rank, N, N
        delta[t]        = softplus(W_dt dt + b_dt)        > 0
        h[t]            = exp(delta[t] A) h[t-1] + delta[t] B[t] v[t],       A = -exp(A_log)
        y[t]            = W_out ((C[t] . h[t] + D v[t]) silu(g[t]))

    Shapes:  x (B, L, D) -> y (B, L, D)
    Starts:  A = -(1 .. N) in every channel, D = 1; softplus(b_dt) log-uniform in [dt_min, dt_max]
    Units:   h, A, D and b_dt stay float32 under mixed precision: exp(delta A) near 1 is lost in 8 bits
    Raises:  ValueError for sizes below 1 or an empty interval of step sizes
    Source:  Gu and Dao, arXiv 2312.00752, sections 3.4 to 3.6. Parameters bear the names of the published blocks
             (see load_public); dt_rank = ceil(D / 16) is theirs, too.
    """

    causal = True
    param_groups: ClassVar[Mapping[str, str]] = {"A_log": "dynamics", "dt_proj.bias": "dynamics"}
    signed: ClassVar[bool] = False

    def __init__(
        self, *, d_model: int, train_length: int, expand: float, d_state: int, d_conv: int, dt_min: float, dt_max: float
    ) -> None:
        super().__init__()
        if d_state < 1 or d_conv < 2:
            raise ValueError(f"d_state={d_state} must be at least 1 and d_conv={d_conv} at least 2")
        if not 0 < dt_min < dt_max:
            raise ValueError(f"dt_min={dt_min}, dt_max={dt_max}: step sizes need 0 < dt_min < dt_max")
        d_inner, dt_rank = count_states(expand, d_model), math.ceil(d_model / 16)
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner)
        self.x_proj = nn.Linear(d_inner, dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(dt_rank, d_inner)
        self.A_log = nn.Parameter(torch.arange(1, d_state + 1).log().repeat(d_inner, 1))
        self.D = nn.Parameter(torch.ones(d_inner))
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        self.sizes = (dt_rank, d_state, d_state)

        nn.init.uniform_(self.dt_proj.weight, -(dt_rank**-0.5), dt_rank**-0.5)
        dt = torch.exp(torch.empty(d_inner).uniform_(math.log(dt_min), math.log(dt_max)))
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # inverse of softplus

    def initial_state(self, batch_size: int) -> MambaState:
        d_inner, _, d_conv = self.conv1d.weight.shape
        window = self.conv1d.weight.new_zeros(batch_size, d_conv - 1, d_inner)
        return window, self.A_log.new_zeros(batch_size, *self.A_log.shape, dtype=wide(self.A_log.dtype))

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of state for one sequence, whatever its length."""
        d_inner, _, d_conv = self.conv1d.weight.shape
        window = (d_conv - 1) * d_inner * self.conv1d.weight.element_size()
        return window + self.A_log.numel() * wide(self.A_log.dtype).itemsize

    def forward(
        self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None, state: MambaState | None = None
    ) -> tuple[Float[Tensor, "B L D"], MambaState]:
        """Whole sequences; returns the outputs and the state after each row's last real step."""
        window, h0 = self.initial_state(x.shape[0]) if state is None else state
        check_batch(x, h0, lengths)
        u, gate = self.in_proj(x).chunk(2, dim=-1)  # (B, L, E)
        u = torch.cat((window.to(u.dtype), u), dim=1)  # (B, d_conv - 1 + L, E)
        v = silu(self._convolve(u))
        dt, B, C = self.x_proj(v).split(self.sizes, dim=-1)
        delta = linear(dt, self.dt_proj.weight)  # (B, L, E)
        if lengths is not None:
            delta = delta.masked_fill(
                (torch.arange(x.shape[1], device=x.device) >= lengths[:, None])[..., None], PADDING
            )
        A = -torch.exp(self.A_log.to(h0.dtype))
        y, h = selective_scan(
            v, delta, A, B, C, self.D, gate, self.dt_proj.bias, delta_softplus=True, h0=h0, signed=self.signed
        )
        return self.out_proj(y), (self._last_window(u, lengths), h)

    def _convolve(self, u: Tensor) -> Tensor:
        """Depthwise over time, (B, L, E), as shifted products: twice as fast as conv1d, which wants channels first."""
        weight, bias = self.conv1d.weight.to(u.dtype), self.conv1d.bias
        assert bias is not None
        d_conv = weight.shape[2]
        num_steps = u.shape[1] - d_conv + 1
        v = bias.to(u.dtype)
        for k in range(d_conv):
            v = v + u[:, k : k + num_steps] * weight[:, 0, k]
        return v

    def _last_window(self, u: Tensor, lengths: Tensor | None) -> Tensor:
        """The inputs that the convolution still needs after each row's last real step: (B, d_conv - 1, E)."""
        size = self.conv1d.weight.shape[2] - 1
        if lengths is None:
            return u[:, u.shape[1] - size :]
        step = lengths[:, None] + torch.arange(size, device=u.device)  # u starts with size steps of the old window
        return u[torch.arange(u.shape[0], device=u.device)[:, None], step]

    def load_public(self, state_dict: Mapping[str, Tensor], prefix: str = "") -> None:
        """Takes the weights of a published Mamba block, e.g. with prefix "backbone.layers.0.mixer.".

        Names:   A_log, D, in_proj.weight, conv1d.weight, conv1d.bias, x_proj.weight, dt_proj.weight, dt_proj.bias,
                 out_proj.weight, as in state-spaces/mamba (mamba_ssm.modules.mamba_simple) and in transformers
        Raises:  ValueError that names missing and foreign keys, or a shape that differs
        """
        found = {name.removeprefix(prefix): x for name, x in state_dict.items() if name.startswith(prefix)}
        own = self.state_dict()
        if found.keys() != own.keys():
            missing, foreign = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
            raise ValueError(
                f"state_dict with prefix={prefix!r} is no Mamba block: missing {missing}, foreign {foreign}"
            )
        for name, x in found.items():
            if x.shape != own[name].shape:
                raise ValueError(
                    f"{prefix}{name} has shape {tuple(x.shape)}, this block's has {tuple(own[name].shape)}: "
                    "build it with the same d_model, expand, d_state and d_conv"
                )
        self.load_state_dict(found)


class SignedMamba(Mamba):
    """Mamba whose states may also change their sign at a step: what it takes to count modulo two.

        h[t] = a[t] h[t-1] + delta[t] B[t] v[t],   a[t] = 2 exp(delta[t] A) - 1, in (-1, 1]

    All else, parameters and their names included, is Mamba's. A state flips where delta is large, and holds where it is
    0; at the start, as delta |A| is small, it decays twice as fast as Mamba's.
    Source:  Grazzi et al., "Unlocking state-tracking in linear RNNs through negative eigenvalues", arXiv 2411.12537
    """

    signed = True
