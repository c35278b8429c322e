"""The linear recurrent unit: a complex diagonal recurrence, stable by its parametrisation."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, glu

from lra_mru.mixers.base import Mixer, check_batch, count_states, last_state, wide
from lra_mru.ops.linear_scan import linear_scan


class LRU(Mixer):
    """N complex exponentials that decay and turn, driven by a normalised projection of the input, and a gated readout.

        lambda = exp(-exp(log_nu) + i exp(log_theta))         |lambda| < 1 whatever the parameters
        h[t]   = lambda h[t-1] + exp(log_gamma) B x[t]        h[-1] = 0
        r[t]   = gelu(Re(C h[t]) + D x[t])
        y[t]   = (W_1 r[t] + b_1) sigmoid(W_2 r[t] + b_2)     GLU: the recurrence itself is linear

    Shapes:  x (B, L, D) -> y (B, L, D); state h (B, N) complex, N = round(expand * D)
    Starts:  lambda uniform on the ring r_min <= |lambda| <= r_max with phase in [0, max_phase];
             gamma = sqrt(1 - |lambda|^2) keeps the state's variance near 1 for white input.
    Raises:  ValueError for an empty ring or a phase outside (0, 2 pi]
    Source:  Orvieto et al., arXiv 2303.06349, section 3 and appendix A. train_length is part of every mixer's
             constructor; the ring alone sets this one's memory.
    """

    causal = True
    param_groups: ClassVar[Mapping[str, str]] = {
        "log_nu": "dynamics",
        "log_theta": "dynamics",
        "log_gamma": "dynamics",
    }

    def __init__(
        self, *, d_model: int, train_length: int, expand: float, r_min: float, r_max: float, max_phase: float
    ) -> None:
        super().__init__()
        num_states = count_states(expand, d_model)
        if not 0 <= r_min < r_max < 1:
            raise ValueError(f"r_min={r_min}, r_max={r_max}: the ring needs 0 <= r_min < r_max < 1")
        if torch.tensor(r_max**2, dtype=torch.float32) == 1:
            raise ValueError(f"r_max={r_max} is 1 in float32, where no state fades: it must be at most 0.9999999")
        if not 0 < max_phase <= 2 * math.pi:
            raise ValueError(f"max_phase={max_phase} must be in (0, 2 pi]")
        radius = (torch.rand(num_states) * (r_max**2 - r_min**2) + r_min**2).sqrt()
        self.log_nu = nn.Parameter((-radius.log()).log())
        self.log_theta = nn.Parameter((torch.rand(num_states) * max_phase).log())
        self.log_gamma = nn.Parameter((1 - radius**2).sqrt().log())
        self.to_drive = nn.Linear(d_model, 2 * num_states, bias=False)  # B, real and imaginary parts interleaved
        self.to_readout = nn.Linear(2 * num_states, d_model, bias=False)  # C: Re(C h) = [Re C, -Im C] [Re h, Im h]
        self.skip = nn.Parameter(torch.randn(d_model))  # D
        self.to_output = nn.Linear(d_model, 2 * d_model)  # W_1, W_2
        nn.init.normal_(self.to_drive.weight, std=(2 * d_model) ** -0.5)
        nn.init.normal_(self.to_readout.weight, std=num_states**-0.5)
        self.num_states = num_states

    def initial_state(self, batch_size: int) -> Complex[Tensor, "B N"]:
        dtype = torch.promote_types(self.log_nu.dtype, torch.complex64)
        return torch.zeros(batch_size, self.num_states, dtype=dtype, device=self.log_nu.device)

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of state for one sequence, whatever its length."""
        return 2 * wide(self.log_nu.dtype).itemsize * self.num_states

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        lengths: Int[Tensor, " B"] | None = None,
        state: Complex[Tensor, "B N"] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Complex[Tensor, "B N"]]:
        """Whole sequences; returns the outputs and the state after each row's last real step."""
        state = self.initial_state(len(x)) if state is None else state
        check_batch(x, state)
        log_nu, log_theta, log_gamma = (
            p.to(state.real.dtype) for p in (self.log_nu, self.log_theta, self.log_gamma)
        )  # complex numbers have no 16 bits
        decay = torch.exp(torch.complex(-log_nu.exp(), log_theta.exp()))  # (N,)
        drive = self.to_drive(x).to(log_nu.dtype).unflatten(-1, (self.num_states, 2)) * log_gamma.exp()[:, None]
        h = linear_scan(decay, torch.view_as_complex(drive), state)  # (B, L, N)
        read = self.to_readout(torch.view_as_real(h).flatten(-2).to(x.dtype)) + self.skip * x  # (B, L, D)
        return glu(self.to_output(gelu(read))), last_state(h, lengths)
