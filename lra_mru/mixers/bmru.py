"""The bistable memory recurrent unit: persistent memory by hysteresis, trained in parallel over time."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from lra_mru.mixers.base import Mixer, check_batch, count_states, last_state
from lra_mru.ops.bmru_scan import bmru_scan


class BMRU(Mixer):
    """N bistable units, each holding -alpha or +alpha until an input crosses its threshold.

        c[t]    = W_c x[t] + b_c                              candidate
        beta[t] = | W_beta x[t] + b_beta |                    half-width of the hysteresis loop
        z[t]    = H(|c[t]| - beta[t])                         gate: 1 opens, 0 holds
        h[t]    = z[t] sgn(c[t]) alpha + (1 - z[t]) h[t-1]    h[-1] = 0: undecided, or sgn(c_0) alpha: learned
        y[t]    = W_o h[t]

    Shapes:  x (B, L, D) -> y (B, L, D); state h (B, N), N = round(expand * D): each coordinate 0, -alpha or +alpha
    Starts:  W_c with rows of variance 1/D, so that c ~ N(0, 1) for a normalised x; W_beta = 0; every b_beta at
             beta_0 = Phi^-1(1 - p/2), p = openings_per_sequence / train_length: a gate opens about that often in one
             sequence. With beta_0 = 0 half the gates open at every step and nothing outlives a few steps.
             learned_start: c_0 (N,) ~ N(0, 1), a candidate before all others whose gate is open
    Raises:  ValueError for sizes, rates or widths outside their range
    Source:  De Geeter et al., arXiv 2601.09495; opening rate and carry_grad are ours (see bmru_scan).
    """

    causal = True
    param_groups: ClassVar[Mapping[str, str]] = {"alpha": "dynamics", "to_threshold.bias": "dynamics"}

    def __init__(
        self,
        *,
        d_model: int,
        train_length: int,
        expand: float,
        openings_per_sequence: float,
        alpha: float,
        surrogate_width: float,
        carry_grad: float,
        learned_start: bool,
    ) -> None:
        super().__init__()
        num_states = count_states(expand, d_model)
        if openings_per_sequence <= 0:
            raise ValueError(f"openings_per_sequence={openings_per_sequence} must be above 0: a shut gate never learns")
        if surrogate_width <= 0 or alpha <= 0:
            raise ValueError(f"surrogate_width={surrogate_width} and alpha={alpha} must both be above 0")
        self.to_candidate = nn.Linear(d_model, num_states)
        self.to_threshold = nn.Linear(d_model, num_states)
        self.alpha = nn.Parameter(torch.full((num_states,), alpha))
        self.to_output = nn.Linear(num_states, d_model, bias=False)
        self.start = nn.Parameter(torch.randn(num_states)) if learned_start else None
        self.num_states, self.carry_grad = num_states, carry_grad
        self.sharpness = 1 / surrogate_width  # c and beta grow alike: the gate stays, its surrogate H' narrows

        opening_rate = min(openings_per_sequence / train_length, 0.5)
        nn.init.normal_(self.to_candidate.weight, std=d_model**-0.5)
        nn.init.zeros_(self.to_candidate.bias)
        nn.init.zeros_(self.to_threshold.weight)
        nn.init.constant_(self.to_threshold.bias, NormalDist().inv_cdf(1 - opening_rate / 2))

    def initial_state(self, batch_size: int) -> Float[Tensor, "B N"]:
        if self.start is None:
            return self.alpha.new_zeros(batch_size, self.num_states)
        candidate = self.start[None, None]  # (1, 1, N)
        return bmru_scan(candidate, torch.zeros_like(candidate), self.alpha)[:, 0].expand(batch_size, -1)

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of state for one sequence, whatever its length."""
        return self.alpha.element_size() * self.num_states

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        lengths: Int[Tensor, " B"] | None = None,
        state: Float[Tensor, "B N"] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B N"]]:
        """Whole sequences; returns the outputs and the state after each row's last real step."""
        state = self.initial_state(x.shape[0]) if state is None else state
        check_batch(x, state, lengths)
        candidate = self._sharpened(self.to_candidate, x)  # (B, L, N)
        threshold = self._sharpened(self.to_threshold, x).abs()
        h = bmru_scan(candidate, threshold, self.alpha, state, carry_grad=self.carry_grad)
        return self.to_output(h), last_state(h, lengths)

    def gauges(self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None) -> dict[str, Tensor]:
        """open: share of gates that open, over the real steps; plus: share of decided states at +alpha."""
        candidate = self._sharpened(self.to_candidate, x)  # (B, L, N)
        threshold = self._sharpened(self.to_threshold, x).abs()
        h = bmru_scan(candidate, threshold, self.alpha, self.initial_state(x.shape[0]))
        real = torch.ones_like(x[..., 0], dtype=torch.bool)  # (B, L)
        if lengths is not None:
            real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        decided = h[real] != 0
        return {
            "open": (candidate.abs() > threshold)[real].float().mean(),
            "plus": (h[real] * self.alpha > 0).sum() / decided.sum().clamp(min=1),
        }

    def _sharpened(self, projection: nn.Linear, x: Tensor) -> Tensor:
        """projection(x) / surrogate_width, scaled on the small weights instead of the long sequence."""
        return linear(x, projection.weight * self.sharpness, projection.bias * self.sharpness)
