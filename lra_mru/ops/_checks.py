"""What every op asks of its arguments before a kernel sees them: one clear line, or nothing."""

import torch
from torch import Tensor

_ACCUMULATE = {
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Dtype in which a scan keeps its state: float32 for bfloat16, otherwise the input's own."""
    return _ACCUMULATE[dtype]


def check_sequence(name: str, x: Tensor, *, allow_complex: bool = False) -> None:
    """x must be a (B, L, channels) tensor of a supported dtype with L >= 1.

    Raises:  ValueError for a wrong number of dimensions or L == 0; TypeError for an unsupported dtype
    """
    if x.dim() != 3:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected 3 dimensions (batch, length, channels)")
    if x.shape[1] == 0:
        raise ValueError(f"{name} has length 0 (shape {tuple(x.shape)}), expected at least one step")
    if x.dtype not in _ACCUMULATE or (x.is_complex() and not allow_complex):
        allowed = "bfloat16, float32, float64" + (", complex64 or complex128" if allow_complex else "")
        raise TypeError(f"{name} has dtype {x.dtype}, expected one of {allowed}")


def check_like(
    name: str, x: Tensor, like_name: str, like: Tensor, shape: tuple[int, ...], *, small: bool = False
) -> None:
    """x must have the given shape, and the device and dtype of `like`.

    small: x is a parameter or a state without a time axis, so its accumulation dtype is welcome as well
    Raises:  ValueError for a wrong shape or device; TypeError for a wrong dtype
    """
    if tuple(x.shape) != tuple(shape):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected {tuple(shape)} to go with {like_name} {tuple(like.shape)}"
        )
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}, expected {like.device} as {like_name} is")
    if x.dtype != like.dtype and not (small and x.dtype == accumulation_dtype(like.dtype)):
        raise TypeError(f"{name} has dtype {x.dtype}, expected {like.dtype} as {like_name} has")
