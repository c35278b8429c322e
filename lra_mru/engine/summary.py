"""What a finished run is worth: the content of its record."""

from datetime import UTC, datetime
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ModelCheckpoint

from lra_mru.engine import record
from lra_mru.engine.meters import Speedometer, activation_bytes_per_token, peak_bytes
from lra_mru.engine.module import SequenceClassifier
from lra_mru.model import SequenceModel
from lra_mru.tasks.base import SequenceTask


def num_params(model: SequenceModel) -> int:
    return sum(p.numel() for p in model.parameters())


def summarize(
    cfg: DictConfig,
    identity: record.Identity,
    task: SequenceTask,
    module: SequenceClassifier,
    trainer: pl.Trainer,
    best: ModelCheckpoint,
    meter: Speedometer,
) -> dict[str, Any]:
    """Everything the leaderboard may show of this run, and everything needed to repeat it."""
    model, device = module.model, trainer.strategy.root_device
    limit = model.max_length
    checkpoint = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    peak = peak_bytes(device)  # before the batch below adds to it
    batch = next(iter(task.val_dataloader()))
    return {
        "schema": record.SCHEMA,
        "model": identity.model,
        "task": identity.task,
        "variant": task.variant,
        "budget": identity.budget,
        "seed": identity.seed,
        "config_hash": identity.config_hash,
        "config": identity.config,
        "git": record.code_version(),
        "num_params": num_params(model),
        "metrics": {"val/acc": checkpoint["val/acc"]} | module.results,
        "skipped": {
            f"test/acc{suffix}": f"{steps} steps exceed the model's declared maximum of {limit}"
            for suffix, steps in task.test_sets.items()
            if limit is not None and steps > limit
        },
        "floors": task.floors(),
        "throughput": {
            "train_tokens_per_s": meter.train_tokens_per_s(trainer.world_size),
            "eval_tokens_per_s": meter.eval_tokens_per_s(trainer.world_size),
            "step_ms": meter.step_ms(),
        },
        "memory": {
            "peak_bytes": peak,
            "activation_bytes_per_token": activation_bytes_per_token(model, module.loss, batch),
            "state_bytes": model.state_bytes(task.spec.max_length),
        },
        "steps": trainer.global_step,
        "best_step": checkpoint["global_step"],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "num_devices": trainer.world_size,
        "cores": torch.get_num_threads(),
        "precision": cfg.trainer.precision,
        "compile": cfg.compile,
        "versions": record.library_versions(),
        "bidirectional": model.bidirectional,
        "pooling": model.pooling,
        "checkpoint_choice": "highest val/acc, ties by lower val/loss; test read once, after training",
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
