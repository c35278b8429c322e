"""Callbacks that end a run early without losing it: a loss that is no number, Ctrl-C, SIGTERM, SIGUSR1."""

import signal
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from torch import Tensor

from lra_mru.engine.console import say
from lra_mru.engine.errors import Interrupted, RunError
from lra_mru.engine.training.module import SequenceClassifier

AGAIN = "go on with: the same command again"


class NonFiniteGuard(pl.Callback):
    """Stops a run whose loss is not finite.

    On a CPU at once, before the loss reaches the weights. On a GPU up to MOST_BEHIND steps later, so that the GPU need
    not wait; but nothing is saved, validated or recorded before every loss so far was read. A gradient may be
    infinite: under float16 the scaler skips such a step and lowers its factor. The loss is read before it is scaled.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._check(pl_module, wait=False)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._check(pl_module, wait=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._check(pl_module, wait=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._check(pl_module, wait=True)

    def _check(self, pl_module: pl.LightningModule, *, wait: bool) -> None:
        module = cast(SequenceClassifier, pl_module)
        module.losses.read(wait=wait)
        if module.losses.bad is None:
            return
        step, loss = module.losses.bad
        checkpoint = self.checkpoint if self.checkpoint.exists() else "none yet"
        raise RunError(
            f"loss is {loss} at step {step}; largest gradient before it: {module.gradients.largest_before(step)}; "
            f"last good checkpoint: {checkpoint}; lower optim.lr or raise optim.warmup_fraction"
        )


class SafeStop(pl.Callback):
    """Ctrl-C, SIGTERM and SIGUSR1 (SLURM before it kills) ask the run to stop: it ends the step, saves, and stops.

    A second signal stops at once. Between training and test nothing is caught: the run has just been saved.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def obey(self, trainer: pl.Trainer) -> None:
        """Called where all is saved. Every process of a data-parallel run stops if one of them was asked to."""
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            raise Interrupted(f"stopped after step {trainer.global_step}; {AGAIN}")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in self.SIGNALS:  # here and not before: Lightning has set its own, which do not save
            self._previous[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise Interrupted(f"stopped at once by a second signal; {AGAIN} (from the last checkpoint)")
        self.asked = True
        say(f"{signal.Signals(number).name}: stopping as soon as all is saved; once more stops at once")

    def on_test_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.asked:
            raise Interrupted(f"stopped during the test; {AGAIN}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_train_start(trainer, pl_module)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
