"""Accuracy and loss over an evaluation set, counted batch by batch."""

import math
from collections.abc import Callable, Sequence
from typing import Self, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss
from torchmetrics import MeanMetric, Metric, SumMetric

from lra_mru.spec import NO_TARGET, Batch, TaskSpec


def is_right(outputs: Tensor, targets: Tensor, spec: TaskSpec) -> Tensor:
    """Whether each output meets its target; outputs without a number meet none. (..., C), (...) -> (...), bool"""
    if spec.tolerance is None:
        return (outputs.argmax(dim=-1) == targets) & ~outputs.isnan().any(dim=-1)
    return (outputs[..., 0] - targets).abs() <= spec.tolerance


def _mean() -> MeanMetric:
    return MeanMetric(nan_strategy="disable")  # else a loss that is no number would be left out


class Scores(torch.nn.Module):
    """Accuracy, loss and number of targets over one evaluation set, and accuracy per group. Exact under DDP.

    Where steps have targets, also seq_acc: the share of sequences all of whose targets are met. A batch may be a piece
    of its rows: a row's one target is met, or not, by the outputs on its last piece.
    Counts and sums are in float64, whatever the precision of the run: float32 counts no further than 2^24.
    """

    def __init__(self, spec: TaskSpec, group_names: Sequence[str] = ()) -> None:
        super().__init__()
        self.spec = spec
        self.accuracy, self.loss, self.count = _mean(), _mean(), SumMetric()
        self.groups = torch.nn.ModuleDict({name: _mean() for name in group_names})
        self.metrics: dict[str, Metric] = {"acc": self.accuracy, "loss": self.loss, "num_examples": self.count}
        self.metrics |= {f"acc/{name}": cast(Metric, metric) for name, metric in self.groups.items()}
        if spec.per_step:
            self.sequence_accuracy = self.metrics["seq_acc"] = _mean()
        self._met = torch.empty(0)  # of the rows that are being read: whether all targets so far are met
        self._apply(lambda tensor: tensor)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What moves or converts a module: Lightning converts it to the precision of the run."""
        super()._apply(fn, recurse)
        for metric in self.metrics.values():
            metric.set_dtype(torch.float64)
        return self

    def update(self, outputs: Tensor, batch: Batch) -> None:
        """outputs (B, C) or (B, L, C) against batch.targets (B,) or (B, L)."""
        if not (self.spec.per_step or batch.last):
            return
        kept = batch.targets != NO_TARGET
        outputs, targets = outputs[kept].float(), batch.targets[kept]
        correct = is_right(outputs, targets, self.spec)
        if self.spec.tolerance is None:
            self.loss.update(cross_entropy(outputs, targets, reduction="none"))
        else:
            self.loss.update(mse_loss(outputs[:, 0], targets, reduction="none"))
        self.accuracy.update(correct)
        self.count.update(len(targets))
        if self.spec.per_step:
            met = (~kept).masked_scatter(kept, correct).all(dim=1)  # (B,)
            self._met = met if batch.first else self._met & met
            if batch.last:
                self.sequence_accuracy.update(self._met)
        if batch.groups is not None:
            group = batch.groups.reshape(-1, *[1] * (kept.ndim - 1)).expand_as(kept)[kept]
            for index, name in enumerate(self.groups):
                self.metrics[f"acc/{name}"].update(correct[group == index])

    def compute(self, prefix: str, suffix: str = "") -> dict[str, float]:
        """Named as in the record, e.g. test/acc@3000; a group without examples is left out. Resets itself."""
        values = {f"{prefix}/{name}{suffix}": metric.compute().item() for name, metric in self.metrics.items()}
        for metric in self.metrics.values():
            metric.reset()
        return {name: value for name, value in values.items() if not math.isnan(value) or name.endswith("loss")}
