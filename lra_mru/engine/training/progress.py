"""Output while a run trains: a progress bar on a terminal, one line for each validation elsewhere."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme

from lra_mru.engine.console import say


def progress_callback() -> pl.Callback:
    """Rich bar with remaining time, tokens/s and val/acc on a terminal; ValidationLines elsewhere."""
    if sys.stdout is not None and sys.stdout.isatty():
        return Bar(leave=True, theme=RichProgressBarTheme(metrics_format=".4g"))
    return ValidationLines()


class Bar(RichProgressBar):
    """Lightning's bar without the version number that carries no news."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class ValidationLines(pl.Callback):
    """step 200/800   loss 0.5312   val/acc 0.8340   310k tokens/s   0:31 left"""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        step, metrics = trainer.global_step, trainer.callback_metrics
        pace = (time.monotonic() - self._start) / max(1, step - self._first_step)
        minutes, seconds = divmod(round(pace * (trainer.max_steps - step)), 60)
        parts = [f"step {step}/{trainer.max_steps}"]
        parts += [f"{label} {metrics[key]:.4f}" for key, label in SHOWN.items() if key in metrics]
        if "tokens/s" in metrics:
            parts.append(f"{metrics['tokens/s'] / 1e3:.0f}k tokens/s")
        say("   ".join([*parts, f"{minutes}:{seconds:02d} left"]))


SHOWN = {"train/loss": "loss", "val/acc": "val/acc"}
