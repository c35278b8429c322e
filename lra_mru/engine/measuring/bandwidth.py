"""How near a training step comes to the speed of a GPU's memory: what model FLOPs utilisation is to arithmetic."""

import time
from functools import cache

import torch
from torch import nn

COPY_BYTES = 1 << 27  # two of it are beyond every cache
COPY_ROUNDS = 20
PARAMETER_PASSES = 10  # forward and backward read it; the gradient is written; AdamW reads p, g, m, v, writes p, m, v


def least_step_bytes(model: nn.Module, *, activation_bytes: float) -> float:
    """Bytes that a training step must move at least: saved activations written and read once, and PARAMETER_PASSES
    for parameters, gradients and AdamW's two moments. A model that recomputes or re-reads moves more.

    activation_bytes: saved for the backward pass of one step, in bytes
    """
    return 2 * activation_bytes + PARAMETER_PASSES * sum(p.numel() * p.element_size() for p in model.parameters())


@cache  # a run's rehearsal measures it, when memory is free; after training no room is taken for it again
def copy_bytes_per_s(device: torch.device) -> float:
    """Bytes read plus bytes written per second by the device's own copy of a large tensor: the practical ceiling."""
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # warm-up
    _wait(device)
    start = time.perf_counter()
    for _ in range(COPY_ROUNDS):
        target.copy_(source)
    _wait(device)
    return 2 * COPY_BYTES * COPY_ROUNDS / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
