"""What recurrent mixers share: reading the state after the last real step of a padded sequence."""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


def last_state(h: Shaped[Tensor, "B L N"], lengths: Int[Tensor, " B"] | None) -> Shaped[Tensor, "B N"]:
    """h at each row's last real step; the last step of all where no lengths are given."""
    if lengths is None:
        return h[:, -1]
    return h[torch.arange(len(h), device=h.device), lengths - 1]
