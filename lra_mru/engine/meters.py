"""Throughput and memory of a run, measured while it trains and tests."""

import resource
import sys
import time
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lra_mru.spec import Batch

WARMUP_STEPS = 10  # left out of every median: first calls compile kernels and fill caches


class Speedometer(pl.Callback):
    """Times each training step (forward, backward, optimizer) and each test batch; counts steps without padding."""

    def __init__(self) -> None:
        self.train_steps: list[tuple[float, int]] = []  # seconds, tokens of this rank
        self.test_batches: list[tuple[float, int]] = []
        self._start = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._start = _now(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self.train_steps.append((_now(trainer) - self._start, batch.num_tokens))
        if len(self.train_steps) > WARMUP_STEPS:
            pl_module.log("tokens/s", self.train_tokens_per_s(trainer.world_size, recent=50), prog_bar=True)

    def on_test_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._start = _now(trainer)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        self.test_batches.append((_now(trainer) - self._start, batch.num_tokens))

    def train_tokens_per_s(self, world_size: int = 1, recent: int = 0) -> float:
        """Median over steps after warm-up, or over the `recent` last ones; all ranks together."""
        return world_size * median(tokens / s for s, tokens in _after_warmup(self.train_steps)[-recent:])

    def eval_tokens_per_s(self, world_size: int = 1) -> float:
        """All tokens of the test sets over all of their time; all ranks together."""
        return world_size * sum(tokens for _, tokens in self.test_batches) / sum(s for s, _ in self.test_batches)

    def step_ms(self) -> float:
        """Median milliseconds of a training step after warm-up."""
        return 1e3 * median(s for s, _ in _after_warmup(self.train_steps))


def _after_warmup(steps: list[tuple[float, int]]) -> list[tuple[float, int]]:
    return steps[WARMUP_STEPS:] or steps  # a run shorter than the warm-up still reports something


def _now(trainer: pl.Trainer) -> float:
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def activation_bytes_per_token(module: nn.Module, loss_of: Any, batch: Batch) -> float:
    """Bytes that autograd keeps for the backward pass, per step of the padded batch; the same on every machine.

    Counts each storage that is saved once, parameters and the batch itself left out.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in module.parameters()}
    known |= {tensor.untyped_storage().data_ptr() for tensor in (batch.inputs, batch.lengths, batch.targets)}
    saved: dict[int, Tensor] = {}  # keeps them alive, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        if (address := tensor.untyped_storage().data_ptr()) not in known:
            saved[address] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss_of(batch)
    total = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    return total / (batch.inputs.shape[0] * batch.inputs.shape[1])


def peak_bytes(device: torch.device) -> int:
    """Most memory in use so far: allocated on the GPU, or resident for this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
