"""What every mixer is to the model: a map over time that can also be taken step by step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn


class Mixer(nn.Module, ABC):
    """(B, L, D) -> (B, L, D). Constructors take d_model, train_length (longest training sequence) and more.

    causal:       y[t] depends on x[<= t] alone
    param_groups: own parameter's name -> group, for parameters that need another rate or decay than the rest
    max_length:   most steps of one sequence, or None without limit
    """

    causal: bool
    param_groups: ClassVar[Mapping[str, str]] = {}
    max_length: int | None = None

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None, state: Any = None
    ) -> tuple[Float[Tensor, "B L D"], Any]:
        """Whole sequences, from a carried state if one is given; also returns the state after the last real step."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """The state before the first step."""

    @abstractmethod
    def state_bytes(self, num_steps: int) -> int:
        """Bytes that carry one sequence on after num_steps."""

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Any]:
        """One step: equals forward on the same inputs."""
        y, state = self(x[:, None], state=state)
        return y[:, 0], state


def last_state(h: Shaped[Tensor, "B L N"], lengths: Int[Tensor, " B"] | None) -> Shaped[Tensor, "B N"]:
    """h at each row's last real step; the last step of all where no lengths are given."""
    if lengths is None:
        return h[:, -1]
    return h[torch.arange(len(h), device=h.device), lengths - 1]
