"""Pooling over real steps: one vector for a whole sequence, whatever its padding; and the check of its lengths."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


def checked_lengths(lengths: Int[Tensor, " B"] | None, inputs: Shaped[Tensor, "B L ..."]) -> Int[Tensor, " B"] | None:
    """lengths on the device of inputs; None where no row is padded, so that mixers need no masks.

    Inside torch.compile: lengths as they are, which must lie on the device of inputs.

    Raises: ValueError if there is not one length for every row, each in [1, L]
    """
    if lengths is None or torch.compiler.is_compiling():  # a graph cannot branch on values
        return lengths
    batch, num_steps = inputs.shape[:2]
    if lengths.shape != (batch,):
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}, expected ({batch},): one for every row of inputs")
    if lengths.device.type == "cpu":  # as a Batch keeps them: a GPU need not be waited for
        shortest, longest = int(lengths.numpy().min()), int(lengths.numpy().max())
    else:
        shortest, longest = torch.stack(lengths.aminmax()).tolist()
    if shortest < 1 or longest > num_steps:
        raise ValueError(f"lengths reach from {shortest} to {longest}, but inputs have 1 to {num_steps} steps")
    return None if shortest == num_steps else lengths.to(inputs.device, non_blocking=True)


def last_real(x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B D"]:
    """x at each row's last real step."""
    return x[:, -1] if lengths is None else x[torch.arange(len(x), device=x.device), lengths - 1]


def mean_real(x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B D"]:
    """Mean of x over each row's real steps."""
    if lengths is None:
        return x.mean(dim=1)
    real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]  # (B, L)
    return torch.where(real[..., None], x, 0).sum(dim=1) / lengths[:, None]  # where, not *: padding may hold inf
