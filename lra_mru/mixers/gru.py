"""The gated recurrent unit, as torch computes it: step after step, the control that no scan can shorten."""

import functools

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.nn.functional import linear

from lra_mru.mixers.base import Mixer, check_batch, count_states, last_state


class GRU(Mixer):
    """torch.nn.GRU with N units and an output projection, y[t] = W_o h[t].

        r[t], z[t] = sigmoid(W_r x[t] + U_r h[t-1]), sigmoid(W_z x[t] + U_z h[t-1])     each with its biases
        n[t] = tanh(W_n x[t] + r[t] * (U_n h[t-1]))
        h[t] = (1 - z[t]) * n[t] + z[t] * h[t-1]

    torch.export unrolls nn.GRU over the length of its example. While a model is exported, the equations above are
    therefore written as a scan over time, which keeps the length free; the numbers are the same to rounding.

    Shapes:  x (B, L, D) -> y (B, L, D); state h (B, N), N = round(expand * D)
    Source:  Cho et al., arXiv 1406.1078, in the form of torch.nn.GRU
    """

    causal = True
    float16 = True

    def __init__(self, *, d_model: int, train_length: int, expand: float) -> None:
        super().__init__()
        self.num_states = count_states(expand, d_model)
        self.recurrence = nn.GRU(d_model, self.num_states, batch_first=True)
        self.to_output = nn.Linear(self.num_states, d_model, bias=False)

    def initial_state(self, batch_size: int) -> Float[Tensor, "B N"]:
        return self.to_output.weight.new_zeros(batch_size, self.num_states)

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of state for one sequence, whatever its length."""
        return self.to_output.weight.element_size() * self.num_states

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        lengths: Int[Tensor, " B"] | None = None,
        state: Float[Tensor, "B N"] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B N"]]:
        """Whole sequences; returns the outputs and the state after each row's last real step."""
        state = self.initial_state(x.shape[0]) if state is None else state
        check_batch(x, state, lengths)
        if torch.compiler.is_exporting():
            h = self._as_scan(x, state)
        else:
            h, _ = self.recurrence(x, state[None].contiguous())  # (B, L, N)
        return self.to_output(h), last_state(h, lengths)

    def _as_scan(self, x: Float[Tensor, "B L D"], state: Float[Tensor, "B N"]) -> Float[Tensor, "B L N"]:
        """What self.recurrence computes, of any length in one exported program."""
        parameters: dict[str, Tensor] = dict(self.recurrence.named_parameters())
        of_input, of_state = (
            functools.partial(linear, weight=parameters[f"weight_{part}_l0"], bias=parameters[f"bias_{part}_l0"])
            for part in ("ih", "hh")
        )
        drives = of_input(x).transpose(0, 1)  # (L, B, 3 N)

        def step(h: Tensor, drive: Tensor) -> tuple[Tensor, Tensor]:
            r, z, n = drive.chunk(3, dim=-1)
            of_r, of_z, of_n = of_state(h).chunk(3, dim=-1)
            z = torch.sigmoid(z + of_z)
            h = (1 - z) * torch.tanh(n + torch.sigmoid(r + of_r) * of_n) + z * h
            return h, h.clone()  # a scan may not return one tensor twice

        _, states = scan(step, state, drives, dim=0)
        return states.transpose(0, 1)
