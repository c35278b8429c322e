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
        """What the last forward in training adds to the loss, or None; asked for once, then forgotten.

        To be asked for before the backward pass: blocks that are computed again in it forget what they asked for.
        """
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
    num_units: int,
    *,
    train_length: int,
    min_openings_per_sequence: float,
    max_openings_per_step: float,
    share_slowest: float,
) -> Float[Tensor, " N"]:
    """Thresholds of N gates, each of which opens where |c[t]| is above its own: from rare openings to frequent ones.

        p_min = min_openings_per_sequence / train_length,   p_max = max_openings_per_step      chances, per step
        p[i]  = p_min                                           for the first S = round(share_slowest N) units
        p[i]  = p_min (p_max / p_min)^((i - S + 1/2) / (N - S))     for i = S .. N - 1: log-uniform
        beta[i] = Phi^-1(1 - p[i] / 2)                          P(|c| > beta) = 2 (1 - Phi(beta)) for c ~ N(0, 1)

    A share of 1 gives all units one rate, a share of 0 none of them the same; conf/model/bmru.yaml says what was
    measured. With 0.02, 0.5 and a share of 0.5 at 300 steps, of 64 units 32 have p = 6.7e-5 and beta = 3.99; those of
    the other 32 go from there to p = 0.5 and beta = 0.67, nearly four factors of ten, 8 units to each. Where a
    sequence is so short that p_min is above p_max, all units have p_max.

    Shapes:  -> (N,) float64
    Raises:  ValueError for a rate that is no number above 0, more than one opening per step, a share outside [0, 1],
             or no step at all
    """
    if train_length < 1:
        raise ValueError(f"train_length={train_length} must be at least 1 step")
    if not 0 < min_openings_per_sequence < math.inf:
        raise ValueError(
            f"min_openings_per_sequence={min_openings_per_sequence} must be a number above 0: a shut gate never learns"
        )
    if not 0 < max_openings_per_step <= 1:
        raise ValueError(f"max_openings_per_step={max_openings_per_step} must be a chance, above 0 and at most 1")
    if not 0 <= share_slowest <= 1:
        raise ValueError(f"share_slowest={share_slowest} must be in [0, 1]: a share of the units")
    p_min = min(min_openings_per_sequence / train_length, max_openings_per_step)
    num_spread = num_units - round(share_slowest * num_units)
    place = torch.zeros(num_units, dtype=torch.float64)
    place[num_units - num_spread :] = (torch.arange(num_spread, dtype=torch.float64) + 0.5) / max(num_spread, 1)
    return -torch.special.ndtri(p_min * (max_openings_per_step / p_min) ** place / 2)


def check_alpha(alpha: float) -> None:
    """Raises ValueError unless alpha, what a state is a multiple of, is a number above 0."""
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha={alpha} must be a number above 0")


def start_gates(to_candidate: nn.Linear, to_threshold: nn.Linear, thresholds: Float[Tensor, " N"]) -> None:
    """c ~ N(0, 1) for a normalised x, and beta = thresholds for any x."""
    nn.init.normal_(to_candidate.weight, std=to_candidate.in_features**-0.5)
    nn.init.zeros_(to_candidate.bias)
    nn.init.zeros_(to_threshold.weight)
    with torch.no_grad():
        to_threshold.bias.copy_(thresholds)


def check_batch(
    x: Shaped[Tensor, "B L D"], state: Shaped[Tensor, "B ..."], lengths: Int[Tensor, " B"] | None = None
) -> None:
    """Raises ValueError unless every row of x has its own row of the state, and lengths pass check_lengths."""
    rows, _ = x.shape[:2]  # not x.shape[0], which would fix the batch size of torch.export
    if state.shape[0] != rows:
        raise ValueError(f"state is of {state.shape[0]} rows, x of {rows}: start one for x with initial_state({rows})")
    check_lengths(x, lengths)


def check_lengths(x: Shaped[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None) -> None:
    """Raises ValueError unless every row of x has a length in [1, L], if any has one.

    Lengths on a GPU are not read, for that would wait for it: a model has checked them before.
    """
    if lengths is None or torch.compiler.is_compiling() or lengths.device.type != "cpu":
        return
    rows, num_steps = x.shape[:2]
    if lengths.shape != (rows,):
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}, expected ({rows},): one for every row of x")
    shortest, longest = lengths.min().item(), lengths.max().item()
    if shortest < 1 or longest > num_steps:
        raise ValueError(f"lengths reach from {shortest} to {longest}, but x has 1 to {num_steps} steps")


def real_steps(x: Shaped[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None) -> Bool[Tensor, "B L"]:
    """True at the steps that are not padding."""
    if lengths is None:
        return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return torch.arange(x.shape[1], device=x.device) < lengths[:, None]


def last_state(h: Shaped[Tensor, "B L N"], lengths: Int[Tensor, " B"] | None) -> Shaped[Tensor, "B N"]:
    """h at each row's last real step; the last step of all where no lengths are given."""
    if lengths is None:
        return h[:, -1]
    return h[torch.arange(h.shape[0], device=h.device), lengths - 1]


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which states accumulate: float32 for bfloat16, float64 for float64."""
    return torch.promote_types(dtype, torch.float32)
