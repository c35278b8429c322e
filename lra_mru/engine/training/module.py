"""What Lightning trains: loss and metrics of one sequence model on one task."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from pytorch_lightning.plugins.precision import MixedPrecision
from pytorch_lightning.strategies import FSDPStrategy
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim import Optimizer

from lra_mru.engine.training.gradients import Gradients
from lra_mru.engine.training.late import LateLosses
from lra_mru.engine.training.optim import cosine_with_warmup, make_optimizer, names_of_groups
from lra_mru.engine.training.replay import Replay
from lra_mru.engine.training.scores import Scores
from lra_mru.engine.training.seeding import draw_seed, seed_draws
from lra_mru.model import ModelState, SequenceModel
from lra_mru.spec import NO_TARGET, Batch


def cross_entropy_until_errors(
    outputs: Float[Tensor, "B L C"], targets: Int[Tensor, "B L"], error_decay: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Weighted mean cross-entropy over all targets, and the sum of the weights: a step d steps after the first error of
    its row weighs exp(-error_decay d).

    Source: Brandoit et al., "Length-independent state tracking under a parallel scan" (2026)
    """
    losses = cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET, reduction="none")
    asked = targets != NO_TARGET
    wrong = (outputs.detach().argmax(-1) != targets) & asked
    late = ((wrong.cumsum(1) > 0).cumsum(1) - 1).clamp(min=0)  # steps since the first error
    weights = asked * torch.exp(-error_decay * late)
    return (weights.flatten() * losses).sum() / weights.sum(), weights.sum()


class SequenceClassifier(pl.LightningModule):
    """Cross-entropy on logits, or squared error where targets are numbers.

    Dropout and every other draw are a pure function of (seed, micro-batch, rank): see seeding.draw_seed.

    val_suffixes, test_suffixes: the sets that are scored after training, in the order of their loaders: further
                                 validation sets first
    """

    def __init__(
        self,
        model: SequenceModel,
        *,
        optim: Mapping[str, Any],
        seed: int,
        group_names: Sequence[str] = (),
        test_suffixes: Sequence[str] = ("",),
        val_suffixes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.optim, self.seed = dict(optim), seed
        self.members = names_of_groups(model)
        self.val_scores = Scores(model.spec)
        self.final_sets = [("val", s) for s in val_suffixes] + [("test", s) for s in test_suffixes]
        self.final_scores = torch.nn.ModuleList([Scores(model.spec, group_names) for _ in self.final_sets])
        self._state: ModelState | None = None  # of the rows that are being read in pieces
        self.choice = (math.inf, math.inf)  # wrong answers and loss of the last validation: the least is the best
        self.results: dict[str, float] = {}  # the record's metrics
        self.losses, self.gradients = LateLosses(), Gradients()
        self.replay: Replay | None = None  # set by the engine for trainer.cuda_graphs=true

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy, or mean squared error, over the batch's targets."""
        return self._loss_and_weight(batch)[0]

    def _loss_and_weight(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean, and what it is a mean over: targets, or weights of targets."""
        outputs = self.model(batch.inputs) if self.replay else self.model(batch.inputs, batch.lengths)
        if self.training and self.model.spec.error_decay:
            return cross_entropy_until_errors(outputs.float(), batch.targets, self.model.spec.error_decay)
        outputs, targets = outputs.flatten(0, -2).float(), batch.targets.flatten()
        if self.model.spec.tolerance is None:
            return cross_entropy(outputs, targets, ignore_index=NO_TARGET), (targets != NO_TARGET).sum()
        kept = targets != NO_TARGET  # steps without a target add 0: to pick the others out, a GPU would be waited for
        if not self.model.spec.per_step:
            return mse_loss(outputs[:, 0], targets), kept.sum()
        return torch.where(kept, (outputs[:, 0] - targets).square(), 0).sum() / kept.sum(), kept.sum()

    def _loss_of_all(self, batch: Batch) -> Tensor:
        """The loss whose gradient, averaged over all processes, is that of one process with all of their rows."""
        if not torch.distributed.is_initialized():
            return self.loss(batch)
        loss, weight = self._loss_and_weight(batch)
        total = weight.float().clone()
        torch.distributed.all_reduce(total)
        return loss * (weight * torch.distributed.get_world_size() / total)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.replay is not None:
            self.replay.prepare(batch)
        seed_draws(draw_seed(self.seed, batch_idx, self.global_rank), self.device)
        loss, cost = self._loss_of_all(batch), self.model.auxiliary_loss()
        loss = loss if cost is None else loss + cost
        self.losses.put(self.global_step, loss)
        self.losses.read(wait=False)
        if self.losses.newest:  # on a GPU that of an earlier step, which has come to an end
            self.log("train/loss", torch.tensor(self.losses.newest[1]), prog_bar=True)
        return loss

    def on_train_end(self) -> None:
        if self.replay is not None:
            self.replay.end()
            self.replay = None

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by the joint norm of all gradients, without asking the device for it; else as Lightning does."""
        if gradient_clip_algorithm not in (None, "norm"):
            self.gradients.clip(optimizer, step=self.global_step, max_norm=None)
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif isinstance(strategy := self.trainer.strategy, FSDPStrategy):  # a rank holds parts of every gradient
            if gradient_clip_val is not None:
                norm = cast(FullyShardedDataParallel, strategy.model).clip_grad_norm_(gradient_clip_val)
                self.gradients.put(self.global_step, ["of all"], norm.reshape(1))
        else:
            self.gradients.clip(optimizer, step=self.global_step, max_norm=gradient_clip_val)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.val_scores.update(self.model(batch.inputs, batch.lengths), batch)

    def on_validation_epoch_end(self) -> None:
        values = self.val_scores.compute("val")
        self.log("val/acc", values["val/acc"], prog_bar=True)
        self.log("val/loss", values["val/loss"])
        wrong = round((1 - values["val/acc"]) * values["val/num_examples"])
        self.choice = (wrong, math.inf if math.isnan(values["val/loss"]) else values["val/loss"])

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        cast(Scores, self.final_scores[dataloader_idx]).update(self._read(batch), batch)

    def on_test_epoch_end(self) -> None:
        for (kind, suffix), scores in zip(self.final_sets, self.final_scores, strict=True):
            self.results |= cast(Scores, scores).compute(kind, suffix)

    def _read(self, batch: Batch) -> Tensor:
        """The model's outputs on whole rows; on a piece, those of all that was read of its rows so far."""
        if batch.first and batch.last:
            return self.model(batch.inputs, batch.lengths)
        state = self.model.initial_state(len(batch.inputs)) if batch.first else self._state
        assert state is not None  # the first piece comes first
        outputs, state = self.model.advance(batch.inputs, state, batch.lengths)
        self._state = None if batch.last else state
        return outputs

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        settings = {key: value for key, value in self.optim.items() if key != "warmup_fraction"}
        scaled = isinstance(plugin := self.trainer.precision_plugin, MixedPrecision) and plugin.scaler is not None
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        optimizer = make_optimizer(self.model, **settings, members=self.members, fused=on_gpu and not scaled)
        schedule = cosine_with_warmup(
            optimizer, max_steps=self.trainer.max_steps, warmup_fraction=self.optim["warmup_fraction"]
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
