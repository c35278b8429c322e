"""The bistable memory recurrent unit: persistent memory by hysteresis, trained in parallel over time."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lra_mru.mixers.base import (
    Mixer,
    check_alpha,
    check_batch,
    count_states,
    last_state,
    opening_thresholds,
    real_steps,
    start_gates,
)
from lra_mru.ops.bmru_scan import bmru_scan


class BMRU(Mixer):
    """N bistable units: each holds -alpha or +alpha until an input crosses its threshold.

        c[t]    = W_c x[t] + b_c                              candidate
        beta[t] = | W_beta x[t] + b_beta |                    half-width of the hysteresis loop
        z[t]    = H(|c[t]| - beta[t])                         gate: 1 opens, 0 holds
        h[t]    = z[t] sgn(c[t]) alpha + (1 - z[t]) h[t-1]    h[-1] = 0: neither of the two states
        y[t]    = W_o h[t]

    Shapes:  x (B, L, D) -> y (B, L, D); state h (B, N), N = round(expand * D): each coordinate 0, -alpha or +alpha
    Starts:  W_c with rows of variance 1/D, so that c ~ N(0, 1) for a normalised x; W_beta = 0; b_beta by one rule
             for every task (opening_thresholds). As shipped, every unit opens its gate 0.02 times in a sequence of
             train_length steps: with beta = 0 half the gates would open at every step, and nothing outlive a few.
             With share_slowest below 1, other units open more often, at rates spread over every time scale.
             With learned_start, h[-1] = sgn(c_0) alpha, where c_0 (N,) is learned and starts as N(0, 1).
    Raises:  ValueError for sizes, rates or factors outside their range
    Source:  De Geeter et al., arXiv 2601.09495; we have not read its full text. The equations that its authors print
             for a sister unit (fq_bmru.py) have the same structure: candidate, thresholds, two values, else hold.
             Opening rates, carry_grad (see bmru_scan) and learned_start are ours.
    """

    causal = True
    param_groups: ClassVar[Mapping[str, str]] = {"alpha": "dynamics", "to_threshold.bias": "dynamics"}

    def __init__(
        self,
        *,
        d_model: int,
        train_length: int,
        expand: float,
        min_openings_per_sequence: float,
        max_openings_per_step: float,
        share_slowest: float,
        alpha: float,
        carry_grad: float,
        learned_start: bool,
    ) -> None:
        super().__init__()
        num_states = count_states(expand, d_model)
        check_alpha(alpha)
        if not 0 <= carry_grad <= 1:
            raise ValueError(f"carry_grad={carry_grad} must be in [0, 1]: a share of the state's gradient")
        thresholds = opening_thresholds(
            num_states,
            train_length=train_length,
            min_openings_per_sequence=min_openings_per_sequence,
            max_openings_per_step=max_openings_per_step,
            share_slowest=share_slowest,
        )
        self.to_candidate = nn.Linear(d_model, num_states)
        self.to_threshold = nn.Linear(d_model, num_states)
        self.alpha = nn.Parameter(torch.full((num_states,), float(alpha)))
        self.to_output = nn.Linear(num_states, d_model, bias=False)
        self.start = nn.Parameter(torch.randn(num_states)) if learned_start else None
        self.num_states, self.carry_grad = num_states, carry_grad
        start_gates(self.to_candidate, self.to_threshold, thresholds)

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
        candidate, threshold = self.to_candidate(x), self.to_threshold(x).abs()  # (B, L, N)
        h = bmru_scan(candidate, threshold, self.alpha, state, carry_grad=self.carry_grad)
        return self.to_output(h), last_state(h, lengths)

    def encode_state(self, state: Float[Tensor, "B N"]) -> Int[Tensor, "B N"]:
        """-1, 0 or +1 for a unit at -alpha, undecided or +alpha."""
        codes = torch.where(state == 0, 0, torch.where(state == self.alpha, 1, -1)).to(torch.int8)
        assert torch.equal(self.decode_state(codes), state)
        return codes

    def decode_state(self, codes: Int[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        return codes * self.alpha

    def margin(self, x: Float[Tensor, "B D"], state: Float[Tensor, "B N"]) -> Float[Tensor, " B"]:
        """The smallest | |c| - beta | of all units: a gate opens or stays shut whatever moves c and beta by less."""
        candidate, threshold = self.to_candidate(x), self.to_threshold(x).abs()  # (B, N)
        return (candidate.abs() - threshold).abs().amin(dim=-1)

    def gauges(self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None) -> dict[str, Tensor]:
        """open: share of open gates over the real steps; plus: share of +alpha among the states that are not 0."""
        candidate, threshold = self.to_candidate(x), self.to_threshold(x).abs()  # (B, L, N)
        real = real_steps(x, lengths)
        h = bmru_scan(candidate, threshold, self.alpha, self.initial_state(x.shape[0]))[real]
        return {
            "open": (candidate.abs() > threshold)[real].float().mean(),
            "plus": (h * self.alpha > 0).sum() / (h != 0).sum().clamp(min=1),
        }
