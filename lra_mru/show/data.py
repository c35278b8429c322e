"""A task's data, and the figures that would give a mistake in them away."""

from collections.abc import Sequence

import numpy as np

from lra_mru.engine.build import build
from lra_mru.engine.compose import shipped_configs
from lra_mru.engine.preflight import prepare
from lra_mru.engine.sweep.overrides import compose_one
from lra_mru.spec import NO_TARGET, Batch
from lra_mru.tasks.base import SequenceSet, SequenceTask

MOST_ROWS = 2000  # of a split that figures are made from
MOST_STEPS = 4_000_000  # and of these rows together


def load(overrides: Sequence[str]) -> SequenceTask:
    """The task that train.py would train on, its data made and mapped. Raises ConfigError in one line."""
    with shipped_configs():
        cfg = compose_one(list(overrides))
    task: SequenceTask = build(cfg.task, "task")
    prepare(task)
    return task


def figures(task: SequenceTask) -> list[str]:
    """Lines of text: rows, lengths, labels and inputs of every split, rows that two splits share, floors."""
    splits = {"train": task.train_set(), "val": task.val_set(), "test": task.test_set("")}
    lines = [f"{task.name}: {task.variant}"]
    seen: dict[str, set[bytes]] = {}
    for name, rows in splits.items():
        batch = some_rows(rows)
        number = "made on demand" if len(rows) > 2**40 else f"{len(rows):,} rows"
        lines.append(f"  {name:<6} {number}, looked at {num_rows(batch):,}; {lengths(batch)}; {inputs(batch)}")
        lines.append(f"         {labels(batch)}")
        seen[name] = {row.numpy().tobytes() for row in batch.inputs}
    shared = [
        f"{a} and {b} {len(seen[a] & seen[b])}" for a, b in (("train", "val"), ("train", "test"), ("val", "test"))
    ]
    lines.append(f"  rows in two splits, among these: {', '.join(shared)}")
    floors = [f"{name} {100 * value:.2f} %" for name, value in task.floors().items()]
    return [*lines, f"  without memory: {', '.join(floors)}"]


def some_rows(rows: SequenceSet) -> Batch:
    """The first rows of a split, not so many that they fill the memory."""
    longest = int(rows.__getitems__([0]).inputs.shape[1])
    size = 2**62 if len(rows) > 2**40 else len(rows)
    return rows.__getitems__(list(range(max(1, min(size, MOST_ROWS, MOST_STEPS // longest)))))


def num_rows(batch: Batch) -> int:
    return len(batch.targets)


def lengths(batch: Batch) -> str:
    low, high, mean = int(batch.lengths.min()), int(batch.lengths.max()), float(batch.lengths.float().mean())
    return f"length {low:,}" if low == high else f"length {low:,} to {high:,}, mean {mean:,.0f}"


def inputs(batch: Batch) -> str:
    if batch.inputs.dtype.is_floating_point:
        x = batch.inputs
        return f"inputs {x.min():.3g} to {x.max():.3g}, mean {x.mean():.4f}, sd {x.std():.4f}"
    real = np.concatenate([row[:n].numpy() for row, n in zip(batch.inputs, batch.lengths.tolist(), strict=True)])
    return f"tokens {real.min()} to {real.max()}, {len(np.unique(real))} different"


def labels(batch: Batch) -> str:
    targets = batch.targets.numpy()
    asked = targets[targets != NO_TARGET]
    if targets.dtype.kind == "f":
        return f"targets {asked.min():.3f} to {asked.max():.3f}, mean {asked.mean():.3f}"
    values, counts = np.unique(asked, return_counts=True)
    shares = " ".join(f"{value}: {100 * count / len(asked):.1f} %" for value, count in zip(values, counts, strict=True))
    return f"labels {shares}"
