"""Inputs on which every implementation of table_scan must agree with the reference."""

from collections.abc import Callable
from typing import Any

import torch


def _inputs(B: int, L: int, K: int, n: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    logits = torch.randn(B, L, n * K * n, dtype=dtype, generator=generator)
    h0 = torch.randn(B, K * n, dtype=dtype, generator=generator)
    return {"logits": logits, "num_states": n, "temperature": 0.5, "h0": h0}


def two_states(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """N heads of 2 states, from states that h0 chooses."""
    return _inputs(B, L, N, 2, dtype, generator)


def four_states(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Heads of the usual size, from state 0."""
    return _inputs(B, L, -(-N // 2), 4, dtype, generator) | {"h0": None}


def odd_size(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Heads of 7 states, and another temperature."""
    return _inputs(B, L, -(-N // 8), 7, dtype, generator) | {"temperature": 2.0}


def noisy(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Noise by keys of either sign."""
    keys = torch.randint(-(2**62), 2**62, (B, L, 1), generator=generator)
    return _inputs(B, L, -(-N // 3), 3, dtype, generator) | {"keys": keys}


def ties(B: int, L: int, N: int, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Any]:
    """Logits of which many are equal: the first wins. Some are infinite."""
    inputs = _inputs(B, L, -(-N // 3), 3, dtype, generator)
    logits = inputs["logits"].round()
    return inputs | {"logits": torch.where(logits < -1, -float("inf"), logits)}


CASES: dict[str, Callable[[int, int, int, torch.dtype, torch.Generator], dict[str, Any]]] = {
    "two_states": two_states,
    "four_states": four_states,
    "odd_size": odd_size,
    "noisy": noisy,
    "ties": ties,
}
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
