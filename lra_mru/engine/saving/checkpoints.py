"""When a run is saved, what of it, and which of its weights are tested."""

import math
import random
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lra_mru.engine.saving import checkpoint_files
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.engine.training.guards import SafeStop
from lra_mru.engine.training.module import SequenceClassifier


class Checkpoints(pl.callbacks.Checkpoint):
    """Saves the whole run after every validation, every so many minutes between them, and when it is asked to stop.

    One file holds all that the run needs to end as if it had never been interrupted: weights, optimizer, schedule,
    position in the data (the step: batches are a function of it), random states, and the best weights so far. It is
    never written between the last step before a validation and that validation: Lightning would skip it on resuming.

    Best is the highest validation accuracy, ties by the lower validation loss; test data have no say.
    """

    name = checkpoint_files.LAST

    def __init__(
        self, attempt: Attempt, stop: SafeStop, *, config: dict[str, Any], every_steps: int, every_minutes: float
    ) -> None:
        self.attempt, self.stop, self.config = attempt, stop, config
        self.every_steps, self.every_minutes = every_steps, every_minutes
        self.best: dict[str, Any] = {}  # step, score: SequenceClassifier.choice, val/acc, state_dict
        self.curve: list[tuple[int, float]] = []  # step and val/acc of every validation
        self.resumes = 0
        self._began = self._saved = time.monotonic()
        self._saved_step = -1

    @property
    def path(self) -> Path:
        return self.attempt.path / self.name

    @property
    def seconds(self) -> float:
        """Of all lives of the run that led here: what a killed life did after its last checkpoint does not count."""
        return time.monotonic() - self._began

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches or trainer.global_step % self.every_steps == 0:
            return  # between two halves of a step; or a validation comes now, and saves
        due = self.stop.asked or time.monotonic() - self._saved >= 60 * self.every_minutes
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            self.save(trainer)
            self.stop.obey(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics, score = trainer.callback_metrics, cast(SequenceClassifier, pl_module).choice
        self.curve.append((trainer.global_step, metrics["val/acc"].item()))
        if not self.best or score < self.best["score"]:
            state_dict = trainer.strategy.lightning_module_state_dict()
            self.best = {
                "step": trainer.global_step,
                "score": score,
                "val/acc": metrics["val/acc"].item(),
                "state_dict": {name: tensor.detach().cpu().clone() for name, tensor in state_dict.items()},
            }
        self.save(trainer)
        self.stop.obey(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step != self._saved_step:
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved, self._saved_step = time.monotonic(), trainer.global_step
        if trainer.is_global_zero:
            self.attempt.note(step=trainer.global_step)

    def write_best(self, trainer: pl.Trainer) -> Path:
        """The weights to test, as a file that every strategy can load."""
        path = self.attempt.path / checkpoint_files.BEST
        if trainer.is_global_zero:
            content = {key: self.best[key] for key in ("step", "val/acc", "state_dict")}
            version = {"pytorch-lightning_version": pl.__version__}
            checkpoint_files.save(content | version | {"config": self.config}, path)
        trainer.strategy.barrier("best.ckpt")
        return path

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = self.config

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "curve": self.curve,
            "random": random_states(),
            "seconds": self.seconds,
            "resumes": self.resumes,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.resumes = state_dict["best"], state_dict["resumes"] + 1
        self.curve = list(state_dict.get("curve", []))  # older checkpoints hold none
        if self.best and not isinstance(score := self.best["score"], tuple):  # and one number: wrong + loss / 100
            self.best = self.best | {"score": (score // 1, score % 1 * 100) if score < math.inf else (score, score)}
        self._began -= state_dict["seconds"]
        set_random_states(state_dict["random"])


def random_states() -> dict[str, Any]:
    """Of Python, NumPy, torch and every GPU, as plain values and tensors. Training needs none of them, because every
    step seeds itself; a mixer or task that someone adds may."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Back to what random_states returned; states of GPUs that are not here are left out."""
    random.setstate(states["python"])
    keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    cuda: list[Tensor] = states["cuda"]
    if len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(cuda)
