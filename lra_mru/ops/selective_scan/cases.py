"""Inputs on which every implementation of selective_scan must agree with the reference. N channels, 5 states each."""

from collections.abc import Callable
from typing import Any

import torch

from lra_mru.ops._checks import accumulation_dtype

NUM_STATES = 5


def bare(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """delta as it is, no skip, no gate, no initial state."""

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    parameter_dtype = accumulation_dtype(dtype)
    return {
        "u": randn(B, L, N),
        "delta": 0.2 * randn(B, L, N).abs(),
        "A": -randn(N, NUM_STATES).abs().to(parameter_dtype) - 0.1,
        "B": randn(B, L, NUM_STATES),
        "C": randn(B, L, NUM_STATES),
    }


def full(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Everything on: softplus with bias, skip, gate, and an initial state."""
    inputs = bare(B, L, N, dtype, generator)
    parameter_dtype = inputs["A"].dtype

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=parameter_dtype, generator=generator)

    return inputs | {
        "delta": (2 * randn(B, L, N) - 1).to(dtype),
        "D": randn(N),
        "z": randn(B, L, N).to(dtype),
        "delta_bias": 0.1 * randn(N),
        "delta_softplus": True,
        "h0": randn(B, N, NUM_STATES),
    }


def signed(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Decays of either sign, some -1 and some 1 but for rounding."""
    inputs = full(B, L, N, dtype, generator)
    return inputs | {"delta": 3 * inputs["delta"], "signed": True}


CASES: dict[str, Callable[[int, int, int, torch.dtype, torch.Generator], dict[str, Any]]] = {
    "bare": bare,
    "full": full,
    "signed": signed,
}
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
