"""The minimal gated recurrent unit: a gate that sees the input alone, so that time runs as a scan."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lra_mru.mixers.base import Mixer, check_batch, count_states, last_state, wide
from lra_mru.ops.linear_scan import linear_scan


class MinGRU(Mixer):
    """N gated averages of projected inputs; a GRU without the state in its gate and candidate.

        z[t] = sigmoid(W_z x[t] + b_z)
        h[t] = (1 - z[t]) h[t-1] + z[t] (W_h x[t] + b_h)      h[-1] = 0
        y[t] = W_o h[t]

    Shapes:  x (B, L, D) -> y (B, L, D); state h (B, N), N = round(expand * D)
    Source:  Feng et al., "Were RNNs all we needed?", arXiv 2410.01201, section 3.1. The scan runs on h itself, where
             the paper's runs on log h: it needs no positive candidate.
    """

    causal = True

    def __init__(self, *, d_model: int, train_length: int, expand: float) -> None:
        super().__init__()
        self.num_states = count_states(expand, d_model)
        self.to_gate = nn.Linear(d_model, self.num_states)
        self.to_candidate = nn.Linear(d_model, self.num_states)
        self.to_output = nn.Linear(self.num_states, d_model, bias=False)

    def initial_state(self, batch_size: int) -> Float[Tensor, "B N"]:
        weight = self.to_gate.weight
        return weight.new_zeros(batch_size, self.num_states, dtype=wide(weight.dtype))

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of state for one sequence, whatever its length."""
        return wide(self.to_gate.weight.dtype).itemsize * self.num_states

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        lengths: Int[Tensor, " B"] | None = None,
        state: Float[Tensor, "B N"] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B N"]]:
        """Whole sequences; returns the outputs and the state after each row's last real step."""
        state = self.initial_state(x.shape[0]) if state is None else state
        check_batch(x, state, lengths)
        gate, candidate = self.to_gate(x).to(state.dtype), self.to_candidate(x).to(state.dtype)  # (B, L, N)
        h = linear_scan(torch.sigmoid(-gate), torch.sigmoid(gate) * candidate, state)
        return self.to_output(h.to(x.dtype)), last_state(h, lengths)
