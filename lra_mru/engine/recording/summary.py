"""What a finished run is worth: the content of its record."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from lra_mru.engine.console import say
from lra_mru.engine.measuring.bandwidth import copy_bytes_per_s, least_step_bytes
from lra_mru.engine.measuring.failing_length import failing_lengths
from lra_mru.engine.measuring.memory import activation_bytes_per_token
from lra_mru.engine.measuring.meters import Speedometer
from lra_mru.engine.recording import record
from lra_mru.engine.recording.provenance import code_version, library_versions
from lra_mru.engine.saving.checkpoint_files import load, weights_sha256
from lra_mru.engine.saving.checkpoints import Checkpoints
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.model import SequenceModel
from lra_mru.records.naming import RULE
from lra_mru.spec import Batch
from lra_mru.tasks.base import SequenceTask
from lra_mru.tasks.generated import GeneratedTask

CURVE_POINTS = 64


def num_params(model: SequenceModel) -> int:
    return sum(p.numel() for p in model.parameters())


def summarize(
    cfg: DictConfig,
    identity: record.Identity,
    task: SequenceTask,
    module: SequenceClassifier,
    trainer: pl.Trainer,
    checkpoints: Checkpoints,
    meter: Speedometer,
    overrides: Sequence[str] | None,
    floors: dict[str, float],
) -> dict[str, Any]:
    """Everything the leaderboard may show of this run, and everything needed to repeat it."""
    model, device, precision = module.model, trainer.strategy.root_device, trainer.precision_plugin
    limit = model.max_length
    rows = list(range(min(task.batch_size, len(task.val_set()))))  # as many as a training step has
    with precision.forward_context():
        activations = activation_bytes_per_token(model, module.loss, placed(task.val_set().__getitems__(rows), trainer))
    return {
        "schema": record.SCHEMA,
        "model": identity.model,
        "task": identity.task,
        "variant": task.variant,
        "budget": identity.budget,
        "seed": identity.seed,
        "trials": cfg.trials,
        "config_hash": identity.config_hash,
        "config": identity.config,
        "name_rule": RULE,
        "setup": setup_of(cfg, trainer),
        "command": record.command_for_others(overrides),
        "git": code_version(),
        "num_params": num_params(model),
        "metrics": {"val/acc": checkpoints.best["val/acc"]} | module.results,
        "skipped": {
            f"{kind}/acc{suffix}": f"{steps} steps exceed the model's declared maximum of {limit}"
            for kind, sets in (("val", task.val_sets), ("test", task.test_sets))
            for suffix, steps in sets.items()
            if limit is not None and steps > limit
        },
        "failing_length": failing(cfg, model, task, trainer),
        "floors": floors,
        "throughput": meter.throughput(trainer.world_size),
        "memory": meter.memory.figures()
        | {"activation_bytes_per_token": activations, "state_bytes": model.state_bytes(task.spec.max_length)},
        "energy": {"train_joules_per_device": meter.joules},
        "bandwidth": bandwidth(model, device, meter, activations),
        "steps": trainer.global_step,
        "best_step": checkpoints.best["step"],
        "curve": thinned(checkpoints.curve),
        "weights_sha256": weights_sha256(load(checkpoints.path)["state_dict"]),
        "best_weights_sha256": weights_sha256(checkpoints.best["state_dict"]),
        "resumes": checkpoints.resumes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "num_devices": trainer.world_size,
        "cores": torch.get_num_threads(),
        "precision": trainer.precision,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "activation_checkpointing": model.recompute,
        "compile": cfg.compile,
        "versions": library_versions(),
        "bidirectional": model.bidirectional,
        "pooling": model.pooling,
        "checkpoint_choice": "highest val/acc, ties by lower val/loss; test read once, after training",
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(checkpoints.seconds, 1),
    }


def thinned(curve: Sequence[tuple[int, float]]) -> list[list[float]]:
    """At most CURVE_POINTS of the pairs (step, val/acc), evenly taken, the last among them: a record stays small."""
    every = -(-len(curve) // CURVE_POINTS) or 1
    return [list(point) for point in curve[::-1][::every][::-1]]


def placed(batch: Batch, trainer: pl.Trainer) -> Batch:
    """The batch on the device, its numbers in the precision, in which the trainer computes."""
    converted: Batch = trainer.precision_plugin.convert_input(batch)
    return converted.to(trainer.strategy.root_device)


def failing(cfg: DictConfig, model: SequenceModel, task: SequenceTask, trainer: pl.Trainer) -> dict[str, Any] | None:
    """The failing lengths of the tested weights; before training, in the rehearsal, at the trained length alone. None
    where they are not asked for."""
    asked, trained = cfg.failing_length, trainer.global_step >= trainer.max_steps
    if asked.cap is None or not isinstance(task, GeneratedTask):
        return None
    if trained:
        say(
            f"  measuring the failing length up to {asked.cap:,}; if it never ends: resume=<last.ckpt> with a smaller "
            "failing_length.cap, or null, trains nothing again"
        )
    cap, rows = (asked.cap, asked.rows) if trained else (task.T, 1)
    with trainer.precision_plugin.forward_context():
        return failing_lengths(
            model, task, cap=cap, rows=rows, bars=list(asked.bars), place=lambda batch: placed(batch, trainer)
        )


def setup_of(cfg: DictConfig, trainer: pl.Trainer) -> dict[str, Any]:
    """What a run was computed with that changes no number, and is no part of its name."""
    task, asked = cfg.task, cfg.trainer
    return {
        "num_workers": task.get("num_workers"),
        "eval_batch_tokens": task.get("eval_batch_tokens"),
        "accelerator": trainer.strategy.root_device.type,
        "num_nodes": trainer.num_nodes,
        "strategy": type(trainer.strategy).__name__,
        "deterministic": bool(asked.get("deterministic")),
        "activation_checkpointing": bool(asked.get("activation_checkpointing")),
    }


def bandwidth(
    model: SequenceModel, device: torch.device, meter: Speedometer, activation_bytes_per_token: float
) -> dict[str, float] | None:
    """Bytes per second that a training step moves at least, over what a copy on the same GPU moves; None on a CPU."""
    seconds, tokens = meter.median(0), meter.median(3)
    if device.type != "cuda" or seconds is None or tokens is None:
        return None
    step = least_step_bytes(model, activation_bytes=activation_bytes_per_token * tokens) / seconds
    copy = copy_bytes_per_s(device)
    return {"step_bytes_per_s": step, "copy_bytes_per_s": copy, "share": step / copy}
