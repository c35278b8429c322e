"""Inputs on which every implementation of linear_scan must agree with the reference."""

from collections.abc import Callable

import torch
from torch import Tensor

from lra_mru.ops._checks import accumulation_dtype


def _decays(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Uniform in (-1, 1), or in the complex unit disc."""
    radius = torch.rand(shape, dtype=torch.float64, generator=generator)
    if dtype.is_complex:
        return torch.polar(radius, 2 * torch.pi * torch.rand(shape, dtype=torch.float64, generator=generator)).to(dtype)
    return (2 * radius - 1).to(dtype)


def varying(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Tensor]:
    """a per step, and a nonzero initial state."""
    b, h0 = (torch.randn(*shape, dtype=dtype, generator=generator) for shape in ((B, L, N), (B, N)))
    return {"a": _decays((B, L, N), dtype, generator), "b": b, "h0": h0}


def constant(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Tensor]:
    """a that does not depend on time; float32 where b has 16 bits."""
    inputs = varying(B, L, N, dtype, generator)
    parameter_dtype = accumulation_dtype(dtype)
    return inputs | {"a": _decays((N,), parameter_dtype, generator)}


def near_one(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Tensor]:
    """Hardly any forgetting, from no initial state."""
    inputs = varying(B, L, N, dtype, generator)
    return {"a": torch.full_like(inputs["a"], 1 - 1e-6), "b": inputs["b"]}


CASES: dict[str, Callable[[int, int, int, torch.dtype, torch.Generator], dict[str, Tensor]]] = {
    "varying": varying,
    "constant": constant,
    "near_one": near_one,
}
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64, torch.complex128)
