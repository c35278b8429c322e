"""The gated recurrent unit, as torch computes it: step after step, the control that no scan can shorten."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from lra_mru.mixers.base import Mixer, check_batch, count_states, last_state


class GRU(Mixer):
    """torch.nn.GRU with N units and an output projection, y[t] = W_o h[t].

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
        state = self.initial_state(len(x)) if state is None else state
        check_batch(x, state)
        h, _ = self.recurrence(x, state[None].contiguous())  # (B, L, N)
        return self.to_output(h), last_state(h, lengths)
