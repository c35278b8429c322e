"""A contact sheet: pictures side by side, a row for each class; anything else as strips, one for each sequence."""

import io
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from lra_mru.files import write_whole
from lra_mru.spec import NO_TARGET, Batch
from lra_mru.tasks.base import SequenceTask

COLUMNS = 10  # pictures of a class
CLASSES = 10  # that get a row of pictures
STRIPS = 8
STEPS = 320  # of a sequence that a strip shows
INCH = 0.75  # of a picture


def write_sheet(path: Path, task: SequenceTask) -> None:
    """Write a PNG of validation rows, labels beside them; small enough to be committed."""
    rows = task.val_set()
    batch = rows.__getitems__(list(range(min(len(rows), 400 if task.spec.max_length <= 4096 else 60))))
    side = _side(task, batch)
    figure = _pictures(batch, side, task.spec.num_classes) if side else _strips(batch)
    figure.suptitle(f"{task.name}: {task.variant}", fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, dpi=110)
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    small = io.BytesIO()
    Image.open(content).convert("RGB").quantize(48).save(small, format="png", optimize=True)
    write_whole(path, small.getvalue(), overwrite=True)


def _side(task: SequenceTask, batch: Batch) -> int | None:
    """Side of the square picture that every row of the batch is, None if rows are no such pictures."""
    spec = task.spec
    if spec.kind != "vectors" or spec.per_step or spec.tolerance is not None:
        return None
    if int(batch.lengths.min()) < spec.max_length:  # a picture of square size has no row of another length
        return None
    side = math.isqrt(spec.max_length * (spec.d_input or 0))
    return side if spec.d_input in (1, side) and side**2 == spec.max_length * spec.d_input else None


def _pictures(batch: Batch, side: int, num_classes: int) -> plt.Figure:
    classes = min(num_classes, CLASSES)
    figure, axes = plt.subplots(
        classes, COLUMNS, figsize=(COLUMNS * INCH, classes * INCH + 0.3), squeeze=False, layout="constrained"
    )
    for label in range(classes):
        found = np.flatnonzero(batch.targets.numpy() == label)[:COLUMNS]
        for axis, row in zip(axes[label], found, strict=False):
            axis.imshow(batch.inputs[row].numpy().reshape(side, side), cmap="gray", interpolation="nearest")
        for axis in axes[label]:
            _bare(axis)
        axes[label][0].set_ylabel(str(label), fontsize=8)
    return figure


def _strips(batch: Batch) -> plt.Figure:
    number = min(STRIPS, len(batch.targets))
    pairs = len(batch.inputs) // len(batch.targets)  # sequences of one target
    figure, axes = plt.subplots(number, 1, figsize=(7.5, 0.42 * number + 0.5), squeeze=False, layout="constrained")
    width = min(STEPS, int(batch.lengths[: pairs * number].max()))  # one time scale for every strip
    low, high = float(batch.inputs.min()), float(batch.inputs.max())  # one colour means the same in every strip
    for i, axis in enumerate(axes[:, 0]):
        lines = [_line(batch.inputs[pairs * i + k].numpy(), int(batch.lengths[pairs * i + k])) for k in range(pairs)]
        target = batch.targets[i].numpy()
        if target.ndim:  # a target at every step: a line of its own below
            asked = np.where(target == NO_TARGET, np.nan, target.astype(float))[:STEPS]
            lines.append(asked[None, :])
        filled = [np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=np.nan) for line in lines]
        picture = np.concatenate(filled)
        axis.imshow(picture, aspect="auto", cmap="viridis", interpolation="nearest", vmin=low, vmax=high)
        _bare(axis)
        axis.set_ylabel("" if target.ndim else f"{target:.3g}", fontsize=8, rotation=0, ha="right", va="center")
    figure.supxlabel(f"first {STEPS} steps; at the left the label, below a strip the target of each step", fontsize=6)
    return figure


def _line(sequence: NDArray[np.float32 | np.int64], length: int) -> NDArray[np.float64]:
    """The first steps of a sequence: (channels, steps)."""
    shown = sequence[: min(length, STEPS)].astype(float)
    return shown[None, :] if shown.ndim == 1 else shown.T


def _bare(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_frame_on(False)
