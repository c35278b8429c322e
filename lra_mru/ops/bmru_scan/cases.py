"""Inputs on which every implementation of bmru_scan must agree with the reference."""

from collections.abc import Callable
from typing import Any

import torch


def plain(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Gates that open about every other step, and an initial state between the two stable ones."""

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    return {"c": randn(B, L, N), "beta": randn(B, L, N).abs(), "alpha": 1 + 0.1 * randn(N), "h0": 0.5 * randn(B, N)}


def carried(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """The gradient passes the gates in part."""
    return plain(B, L, N, dtype, generator) | {"carry_grad": 0.75}


def rare(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Thresholds that a candidate crosses once in hundreds of steps, from no initial state; the gradient passes."""
    inputs = plain(B, L, N, dtype, generator)
    return {"c": inputs["c"], "beta": 2.5 + 0.2 * inputs["beta"], "alpha": inputs["alpha"], "carry_grad": 1.0}


def edges(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Candidates of exactly zero, on the threshold, and thresholds of zero and below."""
    inputs = plain(B, L, N, dtype, generator)
    kind = torch.randint(0, 5, (B, L, N), generator=generator)
    c = torch.where((kind == 0) | (kind == 3), 0, inputs["c"])
    beta = torch.where(kind == 1, c.abs(), torch.where(kind == 2, 0, torch.where(kind == 3, -1, inputs["beta"])))
    return inputs | {"c": c.to(dtype), "beta": beta.to(dtype)}


CASES: dict[str, Callable[[int, int, int, torch.dtype, torch.Generator], dict[str, Any]]] = {
    "plain": plain,
    "carried": carried,
    "rare": rare,
    "edges": edges,
}
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
