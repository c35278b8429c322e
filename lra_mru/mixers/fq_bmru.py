"""The first-quadrant bistable unit: states 0 and alpha, two thresholds of its own, nothing negative anywhere."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from lra_mru.mixers.base import (
    Mixer,
    check_alpha,
    check_batch,
    count_states,
    last_state,
    opening_thresholds,
    real_steps,
)
from lra_mru.ops.bmru_scan import bmru_scan


class FQBMRU(Mixer):
    """N bistable units: an input below the lower threshold sets 0, one above the upper sets alpha, else they hold.

        c[t]    = relu(W_c x[t] + b_c)                                        candidate
        z_lo[t] = H(beta_lo - c[t])                                           forget
        z_hi[t] = H(c[t] - beta_hi)                                           write
        h[t]    = z_hi[t] alpha + (1 - z_lo[t]) (1 - z_hi[t]) h[t-1]          h[-1] = 0
        y[t]    = W_o h[t]

    beta_lo = m - |w| and beta_hi = m + |w|: m (N,), w (N,) and alpha (N,) are learned and do not depend on the input.
    This is a BMRU around the midpoint m, and is computed as one:

        h[t] = alpha / 2 + s[t],   s = bmru_scan(c - m, |w|, alpha / 2, h0 = h[-1] - alpha / 2)

    for s is -alpha/2 where c - m < -|w|, alpha/2 where c - m > |w|, and else holds.

    Shapes:  x (B, L, D) -> y (B, L, D); state h (B, N), N = round(expand * D): each coordinate 0 or alpha
    Starts:  W_c with rows of variance 1/D, b_c = m: so that c - m ~ N(0, 1) for a normalised x, where relu does not
             cut; |w| as BMRU's beta (opening_thresholds); m = lower_threshold + |w|, so beta_lo = lower_threshold.
             It must be above 0: c is never below 0, and nothing would ever be forgotten.
    Raises:  ValueError for sizes, rates or thresholds outside their range
    Source:  the equations are those that the authors of the BMRU (arXiv 2601.09495) print for ICNCE 2026, on their
             public site; the midpoint form, backward and starts are ours (surrogates: see bmru_scan).
    """

    causal = True
    param_groups: ClassVar[Mapping[str, str]] = {"alpha": "dynamics", "midpoint": "dynamics", "half_width": "dynamics"}

    def __init__(
        self,
        *,
        d_model: int,
        train_length: int,
        expand: float,
        min_openings_per_sequence: float,
        max_openings_per_step: float,
        share_slowest: float,
        lower_threshold: float,
        alpha: float,
    ) -> None:
        super().__init__()
        num_states = count_states(expand, d_model)
        check_alpha(alpha)
        if not 0 < lower_threshold < math.inf:
            raise ValueError(f"lower_threshold={lower_threshold} must be a number above 0, else no unit ever forgets")
        half_width = opening_thresholds(
            num_states,
            train_length=train_length,
            min_openings_per_sequence=min_openings_per_sequence,
            max_openings_per_step=max_openings_per_step,
            share_slowest=share_slowest,
        )
        self.to_candidate = nn.Linear(d_model, num_states)
        self.half_width = nn.Parameter(half_width.to(torch.get_default_dtype()))
        self.midpoint = nn.Parameter(lower_threshold + self.half_width.detach())
        self.alpha = nn.Parameter(torch.full((num_states,), float(alpha)))
        self.to_output = nn.Linear(num_states, d_model, bias=False)
        self.num_states = num_states

        nn.init.normal_(self.to_candidate.weight, std=d_model**-0.5)
        with torch.no_grad():
            self.to_candidate.bias.copy_(self.midpoint)

    def initial_state(self, batch_size: int) -> Float[Tensor, "B N"]:
        return self.alpha.new_zeros(batch_size, self.num_states)

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
        h = self._states(self._distance(x), state)
        return self.to_output(h.to(x.dtype)), last_state(h, lengths)

    def encode_state(self, state: Float[Tensor, "B N"]) -> Int[Tensor, "B N"]:
        """0 or 1 for a unit at 0 or at alpha."""
        codes = (state != 0).to(torch.int8)
        assert torch.equal(self.decode_state(codes), state)
        return codes

    def decode_state(self, codes: Int[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        return codes * self.alpha

    def margin(self, x: Float[Tensor, "B D"], state: Float[Tensor, "B N"]) -> Float[Tensor, " B"]:
        """The smallest | |c - m| - |w| | of all units: no unit writes, forgets or holds otherwise within it."""
        return (self._distance(x).abs() - self.half_width.abs()).abs().amin(dim=-1)

    def gauges(self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None) -> dict[str, Tensor]:
        """open: share of steps at which a unit writes or forgets, over the real steps; plus: share of states alpha."""
        distance, real = self._distance(x), real_steps(x, lengths)
        h = self._states(distance, self.initial_state(x.shape[0]))
        return {
            "open": (distance.abs() > self.half_width.abs())[real].float().mean(),
            "plus": (h != 0)[real].float().mean(),
        }

    def _distance(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L N"]:
        """c - m = relu(W_c x + b_c) - m, with m inside: rounded at the size of the distance, not of the larger c."""
        raised = linear(x, self.to_candidate.weight, self.to_candidate.bias - self.midpoint)
        return torch.maximum(raised, -self.midpoint)

    def _states(self, distance: Float[Tensor, "B L N"], state: Float[Tensor, "B N"]) -> Float[Tensor, "B L N"]:
        """h, from the bistable state around alpha / 2."""
        half = self.alpha / 2
        return half + bmru_scan(distance, self.half_width.abs().expand_as(distance), half, state - half)
