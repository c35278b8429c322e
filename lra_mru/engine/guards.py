"""Callbacks that end a run early without losing it: a loss that is no number, Ctrl-C, SIGTERM."""

import math
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lra_mru.engine.errors import Interrupted, RunError


class NonFiniteGuard(pl.Callback):
    """Stops at the first loss that is not finite, before it reaches the weights."""

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        if torch.isfinite(loss):
            return
        checkpoint = getattr(trainer.checkpoint_callback, "best_model_path", "") or "none yet"
        raise RunError(
            f"loss is {loss.item()} at step {trainer.global_step}; largest gradient before it: {_largest(trainer)}; "
            f"last good checkpoint: {checkpoint}; lower optim.lr or raise optim.warmup_fraction"
        )


def _largest(trainer: pl.Trainer) -> str:
    """The optimizer's parameter group with the largest gradient norm; a norm that is no number is the largest."""
    norms = {}
    for group in trainer.optimizers[0].param_groups:
        grads = [p.grad.norm() for p in group["params"] if p.grad is not None]
        norms[group["name"]] = float(torch.stack(grads).norm()) if grads else 0.0
    name = max(norms, key=lambda group: math.inf if math.isnan(norms[group]) else norms[group])
    return f"group {name} with norm {norms[name]:.3g}"


class SafeStop(pl.Callback):
    """On Ctrl-C or SIGTERM: finish the step, save a checkpoint, and stop. A second signal stops at once."""

    def __init__(self, checkpoint: Path, resume_hint: str) -> None:
        self.checkpoint, self.resume_hint = checkpoint, resume_hint
        self.asked = False
        self.previous: dict[int, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.previous[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise Interrupted(f"stopped at once by a second signal; go on from the last validation: {self.resume_hint}")
        self.asked = True

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.asked:
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted(f"stopped after step {trainer.global_step}; go on with: {self.resume_hint}")

    def on_test_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.asked:
            raise Interrupted(f"stopped during the test; repeat it with: {self.resume_hint}")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_fit_start(trainer, pl_module)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}
