"""What every mixer is to the model: a map over time that can also be taken step by step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

MAX_EXPAND = 1024  # beyond any use; a larger one is a typing mistake that would fill the memory


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

    def auxiliary_loss(self) -> Float[Tensor, ""] | None:
        """What the last forward in training adds to the loss, or None; asked for once, then forgotten."""
        return None

    def gauges(self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None) -> dict[str, Tensor]:
        """What the mixer can say of itself on these inputs, each a scalar for a logger; called in evaluation only."""
        return {}

    def encode_state(self, state: Any) -> Int[Tensor, "B K"]:
        """The state as K whole numbers of 8 bits, for a mixer each of whose states is one of finitely many.

        Raises:  ValueError for a mixer whose states are real numbers
        """
        raise ValueError(f"{type(self).__name__} holds real numbers: its states are not finitely many")

    def decode_state(self, codes: Int[Tensor, "B K"]) -> Any:
        """The state that encode_state gave these codes, bit for bit. Raises ValueError as encode_state."""
        raise ValueError(f"{type(self).__name__} holds real numbers: its states are not finitely many")

    def margin(self, x: Float[Tensor, "B D"], state: Any) -> Float[Tensor, " B"]:
        """How far the input x of one step is from changing any decision of the step otherwise than it does.

        Raises:  ValueError as encode_state
        """
        raise ValueError(f"{type(self).__name__} decides nothing: its states are real numbers")

    def step(self, x: Float[Tensor, "B D"], state: Any) -> tuple[Float[Tensor, "B D"], Any]:
        """One step: equals forward on the same inputs."""
        y, state = self(x[:, None], state=state)
        return y[:, 0], state


def count_states(expand: float, d_model: int) -> int:
    """N = round(expand * d_model). Raises ValueError if none is left, or if expand is no size."""
    if not 0 <= expand <= MAX_EXPAND:
        raise ValueError(f"expand={expand} must be at least 1 / d_model and at most {MAX_EXPAND}")
    num_states = round(expand * d_model)
    if num_states < 1:
        raise ValueError(f"expand={expand} leaves no state at d_model={d_model}: it must be at least 1 / d_model")
    return num_states


def opening_thresholds(
    num_units: int, *, train_length: int, min_openings_per_sequence: float, max_openings_per_step: float
) -> Float[Tensor, " N"]:
    """Thresholds for N gates that open where |c[t]| is above them: from one of the rarest openings to one of the most.

        p_min = min_openings_per_sequence / train_length,   p_max = max_openings_per_step      chances, per step
        p[i]  = p_min (p_max / p_min)^((i + 1/2) / N),   i = 0 .. N - 1                        log-uniform
        beta[i] = Phi^-1(1 - p[i] / 2)                          P(|c| > beta) = 2 (1 - Phi(beta)) for c ~ N(0, 1)

    Every factor of ten between p_min and p_max gets as many units as any other. With 0.02 and 0.5 at 300 steps p goes
    from 6.7e-5 to 0.5, nearly four factors of ten, and beta from 3.99 to 0.67: of 64 units, 16 or 17 hold for 10 to
    100 steps, as many for 100 to 1,000. Where a sequence is so short that p_min is above p_max, all units have p_max.

    Shapes:  -> (N,) float64
    Raises:  ValueError for a rate that is no number above 0, more than one opening per step, or no step at all
    """
    if train_length < 1:
        raise ValueError(f"train_length={train_length} must be at least 1 step")
    if not 0 < min_openings_per_sequence < math.inf:
        raise ValueError(
            f"min_openings_per_sequence={min_openings_per_sequence} must be a number above 0: a shut gate never learns"
        )
    if not 0 < max_openings_per_step <= 1:
        raise ValueError(f"max_openings_per_step={max_openings_per_step} must be a chance, above 0 and at most 1")
    p_min = min(min_openings_per_sequence / train_length, max_openings_per_step)
    place = (torch.arange(num_units, dtype=torch.float64) + 0.5) / num_units
    return -torch.special.ndtri(p_min * (max_openings_per_step / p_min) ** place / 2)


def check_batch(x: Shaped[Tensor, "B L D"], state: Shaped[Tensor, "B ..."]) -> None:
    """Raises ValueError unless every row of x has its own row of the state."""
    if len(state) != len(x):
        raise ValueError(f"state is of {len(state)} rows, x of {len(x)}: start one for x with initial_state({len(x)})")


def real_steps(x: Shaped[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None) -> Bool[Tensor, "B L"]:
    """True at the steps that are not padding."""
    if lengths is None:
        return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return torch.arange(x.shape[1], device=x.device) < lengths[:, None]


def last_state(h: Shaped[Tensor, "B L N"], lengths: Int[Tensor, " B"] | None) -> Shaped[Tensor, "B N"]:
    """h at each row's last real step; the last step of all where no lengths are given."""
    if lengths is None:
        return h[:, -1]
    return h[torch.arange(len(h), device=h.device), lengths - 1]


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which states accumulate: float32 for bfloat16, float64 for float64."""
    return torch.promote_types(dtype, torch.float32)
