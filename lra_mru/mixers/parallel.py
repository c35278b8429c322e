"""Two mixers side by side in one block."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_mru.mixers.base import Mixer


class Parallel(Mixer):
    """The sum of two mixers that read the same input: one block with, say, persistent and fading memory.

        y = first(x) + second(x)

    Shapes:  x (B, L, D) -> y (B, L, D); state (state of the first, state of the second)
    Source:  the hybrid heads of Hymba (Dong et al., arXiv 2411.13676), summed without norms of their own
    """

    def __init__(self, first: Mixer, second: Mixer) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.causal = first.causal and second.causal
        self.float16 = first.float16 and second.float16
        self.max_length = min((m.max_length for m in (first, second) if m.max_length is not None), default=None)

    def initial_state(self, batch_size: int) -> tuple[Any, Any]:
        return self.first.initial_state(batch_size), self.second.initial_state(batch_size)

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of both states for one sequence of num_steps."""
        return self.first.state_bytes(num_steps) + self.second.state_bytes(num_steps)

    def encode_state(self, state: tuple[Any, Any]) -> Int[Tensor, "B K"]:
        return torch.cat((self.first.encode_state(state[0]), self.second.encode_state(state[1])), dim=1)

    def decode_state(self, codes: Int[Tensor, "B K"]) -> tuple[Any, Any]:
        num_first = self.first.encode_state(self.first.initial_state(1)).shape[1]
        return self.first.decode_state(codes[:, :num_first]), self.second.decode_state(codes[:, num_first:])

    def margin(self, x: Float[Tensor, "B D"], state: tuple[Any, Any]) -> Float[Tensor, " B"]:
        return torch.minimum(self.first.margin(x, state[0]), self.second.margin(x, state[1]))

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        lengths: Int[Tensor, " B"] | None = None,
        state: tuple[Any, Any] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], tuple[Any, Any]]:
        """Whole sequences; returns the outputs and both states after each row's last real step."""
        first_state, second_state = (None, None) if state is None else state
        y_first, first_state = self.first(x, lengths, first_state)
        y_second, second_state = self.second(x, lengths, second_state)
        return y_first + y_second, (first_state, second_state)
