"""What Lightning trains: loss and metrics of one sequence model on one task."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss
from torchmetrics import MeanMetric, Metric, SumMetric

from lra_mru.engine.training.optim import cosine_with_warmup, make_optimizer
from lra_mru.model import SequenceModel
from lra_mru.spec import NO_TARGET, Batch, TaskSpec


class Scores(torch.nn.Module):
    """Accuracy, loss and number of targets over one evaluation set, and accuracy per group. Exact under DDP.

    Where steps have targets, also seq_acc: the share of sequences all of whose targets are met.
    """

    def __init__(self, spec: TaskSpec, group_names: Sequence[str] = ()) -> None:
        super().__init__()
        self.spec = spec
        self.accuracy, self.loss, self.count = MeanMetric(), MeanMetric(), SumMetric()
        self.groups = torch.nn.ModuleDict({name: MeanMetric() for name in group_names})
        self.metrics: dict[str, Metric] = {"acc": self.accuracy, "loss": self.loss, "num_examples": self.count}
        self.metrics |= {f"acc/{name}": cast(Metric, metric) for name, metric in self.groups.items()}
        if spec.per_step:
            self.sequence_accuracy = self.metrics["seq_acc"] = MeanMetric()

    def update(self, outputs: Tensor, batch: Batch) -> None:
        """outputs (B, C) or (B, L, C) against batch.targets (B,) or (B, L)."""
        kept = batch.targets != NO_TARGET
        outputs, targets = outputs[kept].float(), batch.targets[kept]
        if self.spec.tolerance is None:
            correct = outputs.argmax(dim=-1) == targets
            self.loss.update(cross_entropy(outputs, targets, reduction="none"))
        else:
            correct = (outputs[:, 0] - targets).abs() <= self.spec.tolerance
            self.loss.update(mse_loss(outputs[:, 0], targets, reduction="none"))
        self.accuracy.update(correct.float())
        self.count.update(len(targets))
        if self.spec.per_step:
            self.sequence_accuracy.update((~kept).masked_scatter(kept, correct).all(dim=1).float())
        if batch.groups is not None:
            group = batch.groups.reshape(-1, *[1] * (kept.ndim - 1)).expand_as(kept)[kept]
            for index, name in enumerate(self.groups):
                self.metrics[f"acc/{name}"].update(correct[group == index].float())

    def compute(self, prefix: str, suffix: str = "") -> dict[str, float]:
        """Named as in the record, e.g. test/acc@3000; a group without examples is left out. Resets itself."""
        values = {f"{prefix}/{name}{suffix}": metric.compute().item() for name, metric in self.metrics.items()}
        for metric in self.metrics.values():
            metric.reset()
        return {name: value for name, value in values.items() if not math.isnan(value) or name.endswith("loss")}


class SequenceClassifier(pl.LightningModule):
    """Cross-entropy on logits, or squared error where targets are numbers.

    Dropout and every other draw of a step are a pure function of (seed, step, rank).
    """

    def __init__(
        self,
        model: SequenceModel,
        *,
        optim: Mapping[str, Any],
        seed: int,
        group_names: Sequence[str] = (),
        test_suffixes: Sequence[str] = ("",),
    ) -> None:
        super().__init__()
        self.model = model
        self.optim, self.seed = dict(optim), seed
        self.val_scores = Scores(model.spec)
        self.test_suffixes = list(test_suffixes)
        self.test_scores = torch.nn.ModuleList([Scores(model.spec, group_names) for _ in test_suffixes])
        self.results: dict[str, float] = {}  # the record's metrics

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy, or mean squared error, over the batch's targets."""
        outputs = self.model(batch.inputs, batch.lengths).flatten(0, -2).float()
        if self.model.spec.tolerance is not None:
            return mse_loss(outputs[:, 0], batch.targets)
        return cross_entropy(outputs, batch.targets.flatten(), ignore_index=NO_TARGET)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        torch.manual_seed(hash((self.seed, self.global_step, self.global_rank)))  # ints: the same in every process
        loss = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.val_scores.update(self.model(batch.inputs, batch.lengths), batch)

    def on_validation_epoch_end(self) -> None:
        values = self.val_scores.compute("val")
        self.log("val/acc", values["val/acc"], prog_bar=True)
        self.log("val/loss", values["val/loss"])
        wrong = round((1 - values["val/acc"]) * values["val/num_examples"])
        self.log("val/choice", wrong + min(values["val/loss"], 99.0) / 100)  # fewest errors; ties by the lower loss

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.scores_of(dataloader_idx).update(self.model(batch.inputs, batch.lengths), batch)

    def scores_of(self, test_set: int) -> Scores:
        """The scores of one test set, by its place among test_suffixes."""
        return cast(Scores, self.test_scores[test_set])

    def on_test_epoch_end(self) -> None:
        for suffix, scores in zip(self.test_suffixes, self.test_scores, strict=True):
            self.results |= cast(Scores, scores).compute("test", suffix)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        settings = {key: value for key, value in self.optim.items() if key != "warmup_fraction"}
        optimizer = make_optimizer(self.model, **settings)
        schedule = cosine_with_warmup(
            optimizer, max_steps=self.trainer.max_steps, warmup_fraction=self.optim["warmup_fraction"]
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
