"""One run, from config to record: build, train, choose by validation, test once, write."""

import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ModelCheckpoint

from lra_mru.engine import attempts, record
from lra_mru.engine.allocator import keep_freed_blocks
from lra_mru.engine.build import build
from lra_mru.engine.console import is_first_process, progress_callback, quiet_libraries, say
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.forecast import forecast
from lra_mru.engine.guards import NonFiniteGuard, SafeStop
from lra_mru.engine.meters import Speedometer
from lra_mru.engine.module import SequenceClassifier
from lra_mru.engine.optim import named_groups
from lra_mru.engine.summary import num_params, summarize
from lra_mru.model import SequenceModel
from lra_mru.tasks.base import SequenceTask


def run(cfg: DictConfig, *, model_name: str, task_name: str) -> Path | None:
    """Trains and tests what cfg says; returns the record's path, or None where a custom run keeps none.

    Raises: ConfigError before anything starts, RunError after
    """
    started = time.monotonic()
    quiet_libraries()
    keep_freed_blocks()
    check(cfg)
    identity = record.identify(cfg, model=model_name, task=task_name)
    path = record_path(cfg, identity)
    if path and path.exists():
        say(f"{identity} is finished already: {path}. Another seed: seed={cfg.seed + 1}")
        return path

    torch.manual_seed(cfg.seed)  # initialisation; every training step seeds itself
    task: SequenceTask = build(cfg.task, "task")
    model: SequenceModel = build(cfg.model, "model", spec=task.spec)
    prepare(task)
    tested = {s: n for s, n in task.test_sets.items() if model.max_length is None or n <= model.max_length}
    module = SequenceClassifier(
        model,
        optim=cfg.optim,
        seed=cfg.seed,
        group_names=task.group_names,
        test_suffixes=list(tested),
    )
    folder = attempts.open_attempt(Path(cfg.runs_dir) / identity.folder / f"seed{cfg.seed}", cfg.resume)
    best, meter = best_checkpoint(folder.path), Speedometer()
    trainer = make_trainer(cfg, folder, best, meter)
    say(f"{identity}   {describe(model, task)}")
    if path is None:
        say("custom budget: no record enters the suite's own results/; give results_dir=<dir> to keep one")
    if cfg.budget.name == "full" and trainer.strategy.root_device.type == "cpu":
        say(forecast(module, task, max_steps=trainer.max_steps, world_size=trainer.world_size))
    if cfg.compile:
        model.compile()

    trainer.fit(module, datamodule=task, ckpt_path=folder.checkpoint, weights_only=True)
    loaders = [task.test_dataloader_for(suffix) for suffix in tested]
    trainer.test(module, dataloaders=loaders, ckpt_path=best.best_model_path, weights_only=True, verbose=False)

    if not is_first_process():
        return None
    report_metrics(module.results)
    if path:
        content = summarize(cfg, identity, task, module, trainer, best, meter)
        record.write_record(path, content | {"wall_s": round(time.monotonic() - started, 1)})
    return path


def check(cfg: DictConfig) -> None:
    """What can be refused before anything is built."""
    if not isinstance(cfg.seed, int) or cfg.seed < 0:
        raise ConfigError(f"seed={cfg.seed} must be an integer of at least 0")
    steps, every = cfg.trainer.max_steps, cfg.budget.val_every_steps
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"trainer.max_steps={steps} must be an integer of at least 1")
    if not isinstance(every, int) or every < 1:
        raise ConfigError(f"budget.val_every_steps={every} must be an integer of at least 1")


def record_path(cfg: DictConfig, identity: record.Identity) -> Path | None:
    """Where the record goes; a custom budget never enters the suite's own results folder."""
    results = Path(cfg.results_dir)
    if identity.budget == "custom" and results.resolve() == Path("results").resolve():
        return None
    record.check_writable(results)
    return identity.record_path(results)


def prepare(task: SequenceTask) -> None:
    """Makes or checks the task's data, once, before any other process looks for it."""
    try:
        if is_first_process():
            task.prepare_data()
        task.setup("fit")
    except (ValueError, OSError) as error:
        raise ConfigError(f"task data: {error}") from error


def best_checkpoint(folder: Path) -> ModelCheckpoint:
    """Highest validation accuracy, ties by the lower validation loss; test data have no say."""
    return ModelCheckpoint(
        dirpath=folder, filename="best", monitor="val/choice", mode="min", enable_version_counter=False
    )


def make_trainer(cfg: DictConfig, folder: attempts.Attempt, best: ModelCheckpoint, meter: Speedometer) -> pl.Trainer:
    every = min(cfg.budget.val_every_steps, cfg.trainer.max_steps)
    last = ModelCheckpoint(
        dirpath=folder.path, filename="last", every_n_train_steps=every, save_top_k=1, enable_version_counter=False
    )
    bar = progress_callback()
    stop = SafeStop(folder.path / "last.ckpt", "the same command with resume=auto")
    return build(
        cfg.trainer,
        "trainer",
        callbacks=[best, last, meter, NonFiniteGuard(), stop, bar],
        logger=build(cfg.logger, "logger", save_dir=str(folder.path)) if cfg.get("logger") else False,
        val_check_interval=every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=isinstance(bar, pl.callbacks.ProgressBar),
        default_root_dir=str(folder.path),
    )


def describe(model: SequenceModel, task: SequenceTask) -> str:
    groups = named_groups(model)
    counts = ", ".join(f"{name} {sum(p.numel() for _, p in members):,}" for name, members in sorted(groups.items()))
    return f"{task.variant}   {num_params(model):,} parameters ({counts})"


def report_metrics(results: dict[str, float]) -> None:
    for name, value in results.items():
        if "/acc" in name:
            say(f"  {name:<20} {value:.4f}")
