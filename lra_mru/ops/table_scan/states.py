"""States of finite machines as numbers and as one-hot rows. Number n, a row of NaN, is the state that is lost."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot


def states_of(h: Float[Tensor, "... n"]) -> Int[Tensor, "..."]:
    """Where h is largest, the first of equals; n, which means lost, where it holds a NaN."""
    return torch.where(h.isnan().any(-1), h.shape[-1], h.argmax(-1))


def one_hot_or_lost(states: Int[Tensor, "..."], num_states: int, dtype: torch.dtype) -> Float[Tensor, "... n"]:
    """One-hot rows; NaN where a state is lost."""
    rows = one_hot(states.long(), num_states + 1)[..., :num_states].to(dtype)
    return rows.masked_fill((states == num_states)[..., None], float("nan"))
