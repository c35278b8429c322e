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
    float16:      whether it computes in float16; the scans refuse it, for their states need the range of float32
    """

    causal: bool
    param_groups: ClassVar[Mapping[str, str]] = {}
    max_length: int | None = None
    float16: bool = False

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None, state: Any = None
    ) -> tuple[Float[Tensor, "B L D"], Any]:
        """Whole sequences, from a carried state if one is given; also the state after each row's last real step.

        lengths: real steps of each row; None where no row is padded
        Raises:  ValueError if state is of another batch size than x
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """The state before the first step."""

    @abstractmethod
    def state_bytes(self, num_steps: int) -> int:
        """Bytes that carry one sequence on after num_steps."""

    def gauges(self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None) -> dict[str, Tensor]:
        """What the mixer can say of itself on these inputs, each a scalar for a logger; called in evaluation only."""
        return {}

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Any]:
        """One step: equals forward on the same inputs."""
        y, state = self(x[:, None], state=state)
        return y[:, 0], state


def count_states(expand: float, d_model: int) -> int:
    """N = round(expand * d_model). Raises ValueError if none is left."""
    num_states = round(expand * d_model)
    if num_states < 1:
        raise ValueError(f"expand={expand} leaves no state at d_model={d_model}: it must be at least 1 / d_model")
    return num_states


def check_batch(
    x: Shaped[Tensor, "B L D"], state: Shaped[Tensor, "B ..."], lengths: Int[Tensor, " B"] | None = None
) -> None:
    """Raises ValueError unless every row of x has its own row of the state, and a length in [1, L] if any has one.

    Lengths on a GPU are not read, for that would wait for it: a model has checked them before.
    """
    rows, num_steps = x.shape[:2]  # not len(x), which would fix the batch size of torch.export
    if state.shape[0] != rows:
        raise ValueError(f"state is of {state.shape[0]} rows, x of {rows}: start one for x with initial_state({rows})")
    if lengths is None or torch.compiler.is_compiling() or lengths.device.type != "cpu":
        return
    if lengths.shape != (rows,):
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}, expected ({rows},): one for every row of x")
    shortest, longest = lengths.min().item(), lengths.max().item()
    if shortest < 1 or longest > num_steps:
        raise ValueError(f"lengths reach from {shortest} to {longest}, but x has 1 to {num_steps} steps")


def last_state(h: Shaped[Tensor, "B L N"], lengths: Int[Tensor, " B"] | None) -> Shaped[Tensor, "B N"]:
    """h at each row's last real step; the last step of all where no lengths are given."""
    if lengths is None:
        return h[:, -1]
    return h[torch.arange(h.shape[0], device=h.device), lengths - 1]


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which states accumulate: float32 for bfloat16, float64 for float64."""
    return torch.promote_types(dtype, torch.float32)
