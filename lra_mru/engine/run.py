"""One run, from config to record: build, train, choose by validation, test once, write."""

import copy
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, open_dict
from pytorch_lightning.loggers import Logger

from lra_mru.engine.build import build
from lra_mru.engine.console import is_first_process, quiet_libraries, say, warn
from lra_mru.engine.devices import check_model_precision
from lra_mru.engine.errors import RunError, is_of_memory, one_line
from lra_mru.engine.measuring.failing_length import check_failing_length
from lra_mru.engine.measuring.forecast import forecast
from lra_mru.engine.measuring.meters import Speedometer
from lra_mru.engine.measuring.telemetry import Telemetry
from lra_mru.engine.preflight import (
    check,
    check_precision,
    check_ranks,
    finished_record,
    make_callbacks,
    prepare,
)
from lra_mru.engine.preflight.keys import check_groups
from lra_mru.engine.preflight.rehearsal import Rehearsal
from lra_mru.engine.recording import record
from lra_mru.engine.recording.provenance import code_version
from lra_mru.engine.recording.summary import num_params, summarize
from lra_mru.engine.recording.tracking import open_logger, publish
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.engine.saving.checkpoint_files import LAST, WholeFiles
from lra_mru.engine.saving.checkpoints import Checkpoints
from lra_mru.engine.saving.resume import begin
from lra_mru.engine.training.allocator import keep_freed_blocks
from lra_mru.engine.training.device import OWN_SETTINGS, check_own_settings, choose_accelerator, prepare_gpu
from lra_mru.engine.training.guards import NonFiniteGuard, SafeStop
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.engine.training.optim import named_groups
from lra_mru.engine.training.progress import progress_callback
from lra_mru.engine.training.replay import Replay, check_replay
from lra_mru.engine.training.sharded import copies, with_weights
from lra_mru.model import SequenceModel
from lra_mru.records.naming import precision_name
from lra_mru.tasks.base import SequenceTask

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(cfg: DictConfig, *, model_name: str, task_name: str, overrides: Sequence[str] | None = None) -> Path | None:
    """Trains and tests what cfg says; returns the record's path, or None where it enters no results.

    overrides: what was typed after train.py, for the record; None for a call from Python

    Raises: ConfigError before anything starts, RunError after
    """
    quiet_libraries()
    keep_freed_blocks()
    check(cfg, task_name)
    identity = record.identify(cfg, model=model_name, task=task_name)
    results, runs = Path(cfg.results_dir), Path(cfg.runs_dir)
    folder = runs / identity.folder / f"seed{cfg.seed}"
    private = identity.is_private(results)
    if not private:
        record.check_writable(results, Path("runs") / identity.folder)

    def finished() -> Path | None:
        return None if cfg.force else finished_record(identity, results, folder, private)

    if done := finished():
        return already(identity, done, private)

    for problem in identity.damaged(results):
        warn(f"{problem}. It stays as it is, and this run has its record beside it")
    torch.manual_seed(cfg.seed)  # initialisation; every training step seeds itself
    task: SequenceTask = build(cfg.task, "task")
    model: SequenceModel = build(cfg.model, "model", spec=task.spec)
    check_groups(cfg, named_groups(model))
    check_model_precision(cfg.trainer.get("precision"), model)
    check_failing_length(task, cfg.failing_length.cap, cfg.failing_length.bars)
    prepare(task)
    attempt = begin(
        folder,
        resume=cfg.resume,
        config=identity.config | {"seed": cfg.seed},
        shapes={f"model.{name}": tuple(weight.shape) for name, weight in model.state_dict().items()},
        results_dir=results,
        above=max(identity.records(results), default=0),
        facts={
            "run": str(identity),
            "command": record.command(overrides),
            "git": code_version(),
            "max_steps": cfg.trainer.max_steps,
        },
        finished=lambda: finished() is not None,
    )
    if attempt is None and (done := finished()):
        return already(identity, done, private)
    assert attempt is not None
    try:
        with open_logger(cfg, identity, attempt.path) as logger:
            content = train_and_test(cfg, identity, attempt, task, model, overrides, logger, private)
            if not is_first_process():
                return None
            if private:
                path = record.write_private_record(attempt, content)
                say(f"custom budget: no record enters the suite's own results/; {path}")
            else:
                path = record.write_record(results, identity, attempt, content)
            publish(logger, content)  # the record first: nothing that comes after it can take it back
        return None if private else path
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise RunError(f"{error.filename or runs}: {error.strerror}; {record.KEPT}") from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RunError) or not is_of_memory(error):
            raise
        raise RunError(
            f"no memory for this run ({one_line(error)[:120]}); what is saved is kept. For an evaluation lower "
            "task.eval_batch_tokens: the same run goes on. For training lower task.batch_size: it is another run"
        ) from error
    finally:
        attempt.close()


def already(identity: record.Identity, done: Path, private: bool) -> Path | None:
    say(f"{identity} is finished already: {done}. Another seed: seed={identity.seed + 1}; the same again: force=true")
    return None if private else done


def train_and_test(
    cfg: DictConfig,
    identity: record.Identity,
    attempt: Attempt,
    task: SequenceTask,
    model: SequenceModel,
    overrides: Sequence[str] | None,
    logger: Logger | None,
    private: bool,
) -> dict[str, Any]:
    """The record's content, in the first process; nothing in the others."""
    test_sets = {s: n for s, n in task.test_sets.items() if model.max_length is None or n <= model.max_length}
    val_sets = {s: n for s, n in task.val_sets.items() if model.max_length is None or n <= model.max_length}
    module = SequenceClassifier(
        model,
        optim=cfg.optim,
        seed=cfg.seed,
        group_names=task.group_names,
        test_suffixes=list(test_sets),
        val_suffixes=list(val_sets),
    )
    every, stop, meter = min(cfg.budget.val_every_steps, cfg.trainer.max_steps), SafeStop(), Speedometer()
    checkpoints = Checkpoints(
        attempt,
        stop,
        config=identity.config | {"seed": cfg.seed},
        every_steps=every,
        every_minutes=cfg.checkpoint_minutes,
    )
    floors = task.floors()

    def summary(trainer: pl.Trainer, checkpoints: Checkpoints, meter: Speedometer) -> dict[str, Any]:
        whole = with_weights(measured, trainer, checkpoints.best)
        return summarize(cfg, identity, task, whole, trainer, checkpoints, meter, overrides, floors)

    rehearsal = Rehearsal(
        task,
        identity,
        checkpoints,
        meter,
        summarise=summary,
        folder=attempt.path if private else Path(cfg.results_dir) / "runs" / identity.folder,
    )
    callbacks = [rehearsal, meter, stop, checkpoints, *([Telemetry()] if logger else []), *make_callbacks(cfg)]
    trainer = make_trainer(cfg, attempt, every, callbacks, logger)
    check_ranks(task, val_sets, test_sets, trainer.world_size)
    task.device, model.recompute = trainer.strategy.root_device, cfg.trainer.get("activation_checkpointing", False)
    if cfg.trainer.get("cuda_graphs", False):
        check_replay(trainer, model, compiled=cfg.compile)
        module.replay = Replay(model)
    tested, measured = copies(module, trainer)
    say(f"{identity}   {describe(model, task)}")
    if cfg.budget.name == "full" and trainer.strategy.root_device.type == "cpu":
        say(forecast(module, task, max_steps=trainer.max_steps, world_size=trainer.world_size))
    if cfg.compile:
        model.compile()

    trainer.fit(module, datamodule=task, ckpt_path=attempt.checkpoint, weights_only=True)
    streams = tells_how_long_rows_are_read(model, task, [*val_sets.values(), *test_sets.values()])
    loaders = [task.val_dataloader_for(suffix, in_pieces=streams) for suffix in val_sets]
    loaders += [task.test_dataloader_for(suffix, in_pieces=streams) for suffix in test_sets]
    best = checkpoints.write_best(trainer)
    trainer.test(tested, dataloaders=loaders, ckpt_path=best, weights_only=True, verbose=False)

    if not is_first_process():
        return {}
    report_metrics(tested.results)
    return summary(trainer, checkpoints, meter)


def make_trainer(
    cfg: DictConfig, attempt: Attempt, every: int, callbacks: list[pl.Callback], logger: Logger | None
) -> pl.Trainer:
    bar = progress_callback()
    settings = OWN_SETTINGS | {key: cfg.trainer[key] for key in OWN_SETTINGS if key in cfg.trainer}
    check_own_settings(settings)
    lightnings = copy.deepcopy(cfg)  # with its parents: max_steps is the budget's
    with open_dict(lightnings):
        for key in OWN_SETTINGS:
            lightnings.trainer.pop(key, None)
    trainer: pl.Trainer = build(
        lightnings.trainer,
        "trainer",
        accelerator=choose_accelerator(cfg.trainer.get("accelerator", "auto")),
        precision=precision_name(cfg.trainer.get("precision")),
        callbacks=[*callbacks, NonFiniteGuard(attempt.path / LAST), bar],
        plugins=[WholeFiles()],
        logger=logger or False,
        val_check_interval=every * cfg.trainer.get("accumulate_grad_batches", 1),  # Lightning counts batches
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=isinstance(bar, pl.callbacks.ProgressBar),
        default_root_dir=str(attempt.path),
    )
    prepare_gpu(trainer.strategy.root_device, float32_matmul_precision=settings["float32_matmul_precision"])
    check_precision(cfg, trainer)
    return trainer


def describe(model: SequenceModel, task: SequenceTask) -> str:
    groups = named_groups(model)
    counts = ", ".join(f"{name} {sum(p.numel() for _, p in members):,}" for name, members in sorted(groups.items()))
    return f"{task.variant}   {num_params(model):,} parameters ({counts})"


def tells_how_long_rows_are_read(model: SequenceModel, task: SequenceTask, lengths: list[int]) -> bool:
    """Whether rows longer than an evaluation batch come in pieces; says so where they cannot."""
    longest = max(lengths)
    if longest > task.eval_batch_tokens and not model.streams:
        why = "it reads both ways" if model.bidirectional else "its state grows with every step"
        say(f"  {longest:,} steps are read at once, in memory that grows with them: {why}")
    return model.streams


def report_metrics(results: dict[str, float]) -> None:
    for name, value in results.items():
        if "/acc" in name or "/seq_acc" in name:
            say(f"  {name:<20} {value:.4f}")
