"""A cumulative memory unit: gates as the bistable unit's, but an open one adds to the state instead of setting it."""

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
    wide,
)
from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan


class CMRU(Mixer):
    """N counters: each adds -alpha or +alpha where an input crosses its threshold, else it holds.

        c[t]    = W_c x[t] + b_c                              candidate
        beta[t] = | W_beta x[t] + b_beta |                    threshold
        z[t]    = H(|c[t]| - beta[t])                         gate: 1 opens, 0 holds
        n[t]    = n[t-1] + z[t] sgn(c[t])                     n[-1] = 0, a whole number
        y[t]    = W_o h[t],   h[t] = alpha n[t]               so h[t] = h[t-1] + z[t] sgn(c[t]) alpha

    Backward takes bmru_scan's slopes for H and sgn. The state's gradient passes every gate unchanged.
    Gains:   it learns faster where a sequence must be digested: on smnist (300 steps of 25 pictures, one seed) 41.7 %
             where a bmru has 25.8 %.
    Loses:   it counts and does not hold, for no input brings a state back: on copy_first (symbols, 200 steps of 32
             rows, one seed) 100 % at the trained T = 300, but 77 % at 2,900 and 33 % at 29,000, where bmru holds.

    Shapes:  x (B, L, D) -> y (B, L, D); state n (B, N), N = round(expand * D)
    Units:   n is exact in float32 up to 2^24 = 16,777,216
    Starts:  gates as BMRU's; as shipped (share_slowest 0), their rates p are spread from 0.02 openings a sequence to
             one every other step. n[t] is then a random walk of variance p t: the factor of a unit is
             alpha / sqrt(1 + p train_length), so that no state has left the scale of alpha when a sequence ends
    Raises:  ValueError for sizes or rates outside their range
    Cost:    one step of bmru_scan from state 0 gives z[t] sgn(c[t]) with its gradients; linear_scan adds up
    Source:  a cumulative variant in the spirit of the CMRU (Brandoit, Fyon, Ernst, Drion, ICML 2026, arXiv 2605.11855),
             written from its abstract alone: the paper's equations may differ, and its figures say nothing of ours.
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
    ) -> None:
        super().__init__()
        num_states = count_states(expand, d_model)
        check_alpha(alpha)
        thresholds = opening_thresholds(
            num_states,
            train_length=train_length,
            min_openings_per_sequence=min_openings_per_sequence,
            max_openings_per_step=max_openings_per_step,
            share_slowest=share_slowest,
        )
        self.to_candidate = nn.Linear(d_model, num_states)
        self.to_threshold = nn.Linear(d_model, num_states)
        rates = 2 * torch.special.ndtr(-thresholds)  # P(|c| > beta)
        factors = alpha / (1 + train_length * rates).sqrt()
        self.alpha = nn.Parameter(factors.to(torch.get_default_dtype()))
        self.to_output = nn.Linear(num_states, d_model, bias=False)
        self.num_states = num_states
        start_gates(self.to_candidate, self.to_threshold, thresholds)

    def initial_state(self, batch_size: int) -> Float[Tensor, "B N"]:
        return self.alpha.new_zeros(batch_size, self.num_states, dtype=wide(self.alpha.dtype))

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of state for one sequence, whatever its length."""
        return wide(self.alpha.dtype).itemsize * self.num_states

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        lengths: Int[Tensor, " B"] | None = None,
        state: Float[Tensor, "B N"] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B N"]]:
        """Whole sequences; returns the outputs and the state after each row's last real step."""
        state = self.initial_state(x.shape[0]) if state is None else state
        check_batch(x, state, lengths)
        n = linear_scan(state.new_ones(self.num_states), self._pulses(x).to(state.dtype), state)  # (B, L, N)
        return self.to_output((self.alpha * n).to(x.dtype)), last_state(n, lengths)

    def gauges(self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None) -> dict[str, Tensor]:
        """open: share of open gates over the real steps; plus: share of states above 0 among those that are not 0."""
        real, pulses = real_steps(x, lengths), self._pulses(x)
        h = (self.alpha * pulses.long().cumsum(1))[real]  # whole numbers: a GPU adds those in any order, and exactly
        return {
            "open": (pulses != 0)[real].float().mean(),
            "plus": (h > 0).sum() / (h != 0).sum().clamp(min=1),
        }

    def _pulses(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L N"]:
        """z[t] sgn(c[t]): -1, 0 or +1. To bmru_scan, every step is a sequence of its own."""
        candidate, threshold = self.to_candidate(x), self.to_threshold(x).abs()  # (B, L, N)
        one = torch.ones_like(self.alpha)
        pulses = bmru_scan(candidate.flatten(0, 1)[:, None], threshold.flatten(0, 1)[:, None], one)
        return pulses.view_as(candidate)
