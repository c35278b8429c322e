"""Data: what a task's loader delivers by itself, beside the training step that it feeds (bmru, budget=quick).

The quick models are the smallest that the suite trains, so that this is where a slow loader would show first.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from lra_mru.engine.build import build
from lra_mru.engine.cli import CONF
from lra_mru.engine.compose import shipped_configs
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.engine.training.optim import make_optimizer
from lra_mru.model import SequenceModel
from lra_mru.spec import Batch
from lra_mru.tasks.base import SequenceTask

LOADED_BATCHES, TRAINED_BATCHES = 40, 5  # after one that warms up
AT_LEAST = 10.0  # loader / step: loading takes a tenth of a step's time at most


@dataclass(frozen=True, kw_only=True)
class Loading:
    """One task. Rates in batches per second."""

    task: str
    shape: tuple[int, ...]
    loader_per_s: float
    step_per_s: float

    @property
    def ratio(self) -> float:
        return self.loader_per_s / self.step_per_s

    @property
    def holds(self) -> bool:
        return self.ratio >= AT_LEAST

    def line(self) -> str:
        return (
            f"{self.task:<16} {self.shape!s:<16} loader {self.loader_per_s:9.1f} batches/s   bmru step "
            f"{self.step_per_s:7.2f} batches/s   ratio {self.ratio:8.1f}  bar >= {AT_LEAST:.0f} "
            f"{'holds' if self.holds else 'MISSED'}"
        )


def run() -> list[Loading]:
    """Every task of conf/task, printed as it comes; one whose source is missing with the reason."""
    found = []
    for cfg in _configs():
        task: SequenceTask = build(cfg.task, "task")
        try:
            task.prepare_data()
            task.setup("fit")
        except (ValueError, OSError) as error:
            print(f"{task.name:<16} not measured: {error}", flush=True)
            continue
        found.append(measure(cfg, task))
        print(found[-1].line(), flush=True)
    return found


def measure(cfg: DictConfig, task: SequenceTask) -> Loading:
    """Median rates of the loader, and of forward, backward and optimizer on the batches that it delivered."""
    batches, seconds = [], []
    start = time.perf_counter()
    for batch in task.train_loader(start_step=0, num_steps=1 + LOADED_BATCHES, rank=0, world_size=1):
        seconds.append(time.perf_counter() - start)
        batches.append(batch)
        start = time.perf_counter()
    model: SequenceModel = build(cfg.model, "model", spec=task.spec)
    return Loading(
        task=task.name,
        shape=tuple(batches[-1].inputs.shape),
        loader_per_s=1 / median(seconds[1:]),
        step_per_s=1 / _step_s(model, cfg, batches[: 1 + TRAINED_BATCHES]),
    )


def _step_s(model: SequenceModel, cfg: DictConfig, batches: list[Batch]) -> float:
    module = SequenceClassifier(model, optim=cfg.optim, seed=0)
    optimizer = make_optimizer(model, **{key: value for key, value in cfg.optim.items() if key != "warmup_fraction"})
    ends = []
    for batch in batches:
        optimizer.zero_grad()
        module.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), cfg.trainer.gradient_clip_val)
        optimizer.step()
        ends.append(time.perf_counter())
    return median(end - start for start, end in pairwise(ends))


def _configs() -> Iterator[DictConfig]:
    """What train.py would run: task=<each> model=bmru budget=quick."""
    with shipped_configs():
        for path in sorted((CONF / "task").glob("*.yaml")):
            cfg = compose("train", [f"task={path.stem}", "model=bmru", "budget=quick"], return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            with open_dict(cfg):
                del cfg["hydra"]
            yield cfg
