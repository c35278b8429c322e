"""Callbacks that end a run early without losing it: a loss that is no number, Ctrl-C, SIGTERM, SIGUSR1."""

import signal
import threading
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from torch import Tensor

from lra_mru.engine.console import say
from lra_mru.engine.errors import Interrupted, RunError
from lra_mru.engine.training.module import SequenceClassifier

AGAIN = "go on with: the same command again"


class NonFiniteGuard(pl.Callback):
    """Stops a run whose loss is not finite, or whose last step before it is saved had such a gradient.

    On a CPU at once, before the loss reaches the weights. On a GPU up to MOST_BEHIND steps later, so that the GPU need
    not wait; but nothing is saved, validated or recorded before every loss so far was read, and the newest gradient: an
    older one that is no number shows in the losses after it. Under float16 a gradient may be infinite: the scaler skips
    such a step and lowers its factor. The loss is read before it is scaled.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._check(trainer, pl_module, wait=False)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._check(trainer, pl_module, wait=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._check(trainer, pl_module, wait=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._check(trainer, pl_module, wait=True)

    def _check(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, wait: bool) -> None:
        module = cast(SequenceClassifier, pl_module)
        module.losses.read(wait=wait)
        gradients, skips = module.gradients, getattr(trainer.precision_plugin, "scaler", None) is not None
        if module.losses.bad is not None:
            step, loss = module.losses.bad
            what = f"loss is {loss} at step {step}; largest gradient before it: {gradients.largest_before(step)}"
        elif wait and not skips and (bad := gradients.newest_bad()) is not None:
            what = f"gradient is not finite at step {bad}: {gradients.largest_before(bad + 1)}"
        else:
            return
        checkpoint = self.checkpoint if self.checkpoint.exists() else "none yet"
        raise RunError(f"{what}; last good checkpoint: {checkpoint}; lower optim.lr or raise optim.warmup_fraction")


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
        if threading.current_thread() is not threading.main_thread():
            return  # in W&B's agent, Jupyter or Ray: signals are the main thread's, and so is stopping
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
