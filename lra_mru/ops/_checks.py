"""What every op asks of its arguments before a kernel sees them: one clear line, or nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor

_ACCUMULATE = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Dtype in which a scan keeps its state: float32 for float16 and bfloat16, otherwise the input's own."""
    return _ACCUMULATE[dtype]


def widened(x: Tensor, like: Tensor) -> Tensor:
    """x in the accumulation dtype of `like`, if it has the dtype of `like`; unchanged if it has any other."""
    return x.to(_ACCUMULATE[x.dtype]) if x.dtype == like.dtype else x


def check_tensors(**arguments: object) -> None:
    """Each argument must be a tensor.

    Raises:  TypeError for anything else, such as None or a NumPy array
    """
    for name, x in arguments.items():
        if not isinstance(x, Tensor):
            kind = "None" if x is None else f"a {type(x).__module__}.{type(x).__name__}"
            raise TypeError(f"{name} is {kind}, expected a torch.Tensor")


def check_sequence(name: str, x: Tensor, *, allow_complex: bool = False) -> None:
    """x must be a (B, L, channels) tensor of a supported dtype with L >= 1.

    Raises:  ValueError for a wrong number of dimensions or L == 0; TypeError for no tensor or an unsupported dtype
    """
    check_tensors(**{name: x})
    if x.dim() != 3:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected 3 dimensions (batch, length, channels)")
    if x.shape[1] == 0:
        raise ValueError(f"{name} has length 0 (shape {tuple(x.shape)}), expected at least one step")
    if x.dtype not in _ACCUMULATE or (x.is_complex() and not allow_complex):
        allowed = "float16, bfloat16, float32, float64" + (", complex64 or complex128" if allow_complex else "")
        raise TypeError(f"{name} has dtype {x.dtype}, expected one of {allowed}")


def check_like(
    name: str, x: Tensor, like_name: str, like: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None
) -> None:
    """x must have the given shape, the device of `like`, and the given dtype, by default that of `like`.

    Raises:  ValueError for a wrong shape or device; TypeError for a wrong dtype
    """
    if x.shape != shape:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected {tuple(shape)} to go with {like_name} {tuple(like.shape)}"
        )
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}, expected {like.device} as {like_name} is")
    if x.dtype != (dtype or like.dtype):
        raise TypeError(
            f"{name} has dtype {x.dtype}, expected {dtype or like.dtype} to go with {like_name} in {like.dtype}"
        )
