"""The protocol itself: validation chooses, test is read once, and the chosen weights are the tested ones."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch
from support import TINY_COPY, TOKENS

from lra_mru.engine.build import build
from lra_mru.engine.measuring.forecast import forecast
from lra_mru.engine.recording.summary import thinned
from lra_mru.engine.run import run
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.engine.training.scores import Scores
from lra_mru.spec import Batch
from lra_mru.tasks.copy_first import CopyFirst


def places(tmp_path):
    return [f"{key}_dir={tmp_path / key}" for key in ("results", "data", "runs")]


def test_test_sets_are_read_once_each_and_only_after_the_last_validation(composed, tmp_path, monkeypatch):
    events = []
    test_set, validate = CopyFirst.test_set, SequenceClassifier.on_validation_epoch_end
    monkeypatch.setattr(CopyFirst, "test_set", lambda self, s: (events.append("test" + s), test_set(self, s))[1])
    monkeypatch.setattr(
        SequenceClassifier, "on_validation_epoch_end", lambda self: (events.append("val"), validate(self))[1]
    )
    run(composed("model=bmru", *TINY_COPY, *places(tmp_path)), model_name="bmru", task_name="copy_first")
    assert events == ["val"] * 4 + ["test", "test@16", "test@30"]


def test_the_checkpoint_with_the_best_validation_is_the_one_tested(composed, tmp_path, monkeypatch):
    weights = {}

    def score(self):
        step = self.global_step
        weights[step] = {name: p.clone() for name, p in self.model.named_parameters()}
        for name, value in (("val/acc", 0.9 if step == 10 else 0.5), ("val/loss", 1.0)):
            self.log(name, value)
        self.choice = (100_000, 0.5 if step == 10 else 0.51)

    def compare(self):
        tested = dict(self.model.named_parameters())
        same = [step for step, kept in weights.items() if all(torch.equal(kept[n], tested[n]) for n in kept)]
        assert same == [10]

    monkeypatch.setattr(SequenceClassifier, "on_validation_epoch_end", score)
    monkeypatch.setattr(SequenceClassifier, "on_test_start", compare)
    path = run(composed("model=bmru", *TINY_COPY, *places(tmp_path)), model_name="bmru", task_name="copy_first")
    record = json.loads(path.read_text())
    assert record["best_step"] == 10
    assert abs(record["metrics"]["val/acc"] - 0.9) < 1e-6
    assert record["curve"] == [[step, pytest.approx(0.9 if step == 10 else 0.5)] for step in weights]


@pytest.mark.parametrize(("validations", "kept"), [(0, 0), (1, 1), (64, 64), (65, 33), (1000, 63)])
def test_a_long_curve_is_thinned_and_keeps_its_end(validations, kept):
    curve = [(step, 0.5) for step in range(validations)]
    found = thinned(curve)
    assert len(found) == kept
    assert found[-1:] == [list(point) for point in curve[-1:]]
    assert len({b[0] - a[0] for a, b in pairwise(found)}) <= 1


def test_scores_count_every_target_once_and_ignore_steps_without_one():
    scores = Scores(replace(TOKENS, per_step=True), ["even", "odd"])
    logits = torch.tensor([[[9.0, 0], [0, 9]], [[9, 0], [9, 0]], [[0, 9], [9, 0]]])
    targets = torch.tensor([[0, 1], [1, -100], [-100, 0]])
    scores.update(logits, Batch(inputs=logits, lengths=torch.ones(3), targets=targets, groups=torch.tensor([0, 1, 0])))
    values = scores.compute("test", "@7")
    assert values["test/num_examples@7"] == 4
    assert values["test/acc@7"] == 0.75
    assert values["test/seq_acc@7"] == pytest.approx(2 / 3)  # the second row misses its only target
    assert (values["test/acc/even@7"], values["test/acc/odd@7"]) == (1.0, 0.0)
    scores.update(logits[:1], Batch(inputs=logits, lengths=torch.ones(1), targets=targets[:1]))
    assert scores.compute("test")["test/num_examples"] == 2  # the first set is forgotten


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_target_of_millions_counts(dtype):
    """In whatever precision a run computes: 2 wrong ones of 26.2 million."""
    scores = Scores(TOKENS).to(dtype)
    for wrong in [1, 0, 0, 1]:
        targets = torch.zeros(6_550_000, dtype=torch.long)
        logits = torch.tensor([[1.0, 0]]).expand(len(targets), 2)
        targets[:wrong] = 1
        scores.update(logits, Batch(inputs=logits, lengths=targets, targets=targets))
    values = scores.compute("test")
    assert values["test/num_examples"] == 26_200_000
    assert round((1 - values["test/acc"]) * 26_200_000, 3) == 2


@pytest.mark.parametrize("changes", [{}, {"num_classes": 1, "tolerance": 9.0}])
def test_outputs_that_are_no_numbers_are_wrong_and_show_in_the_loss(changes):
    spec = replace(TOKENS, **changes)
    outputs = torch.tensor([[torch.nan] * spec.num_classes, [1.0] + [0.0] * (spec.num_classes - 1)])
    targets = torch.tensor([0, 0], dtype=torch.float32 if changes else torch.long)
    scores = Scores(spec)
    scores.update(outputs, Batch(inputs=outputs, lengths=torch.ones(2), targets=targets))
    values = scores.compute("test")
    assert values["test/acc"] == 0.5
    assert math.isnan(values["test/loss"])


def test_numbers_are_right_within_the_tolerance():
    scores = Scores(replace(TOKENS, num_classes=1, tolerance=0.1))
    outputs, targets = torch.tensor([[0.5], [1.0], [2.0]]), torch.tensor([0.55, 1.5, 2.0])
    scores.update(outputs, Batch(inputs=outputs, lengths=torch.ones(3), targets=targets))
    values = scores.compute("val")
    assert values["val/acc"] == pytest.approx(2 / 3)
    assert values["val/loss"] == pytest.approx((0.05**2 + 0.5**2) / 3)
    assert "val/seq_acc" not in values


def test_dropout_is_off_in_evaluation_and_on_in_training(composed):
    cfg = composed("model=bmru", *TINY_COPY, "model.dropout=0.5")
    task = build(cfg.task, "task")
    module = SequenceClassifier(build(cfg.model, "model", spec=task.spec), optim=cfg.optim, seed=0)
    seen = {}

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, *_):
            seen["train"] = {m.training for m in pl_module.model.modules()}

        def on_validation_batch_start(self, trainer, pl_module, *_):
            seen["val"] = {m.training for m in pl_module.model.modules()}

    trainer = pl.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        callbacks=[Watch()],
        val_check_interval=1,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=task)
    assert seen == {"train": {True}, "val": {False}}


def test_forecast_scales_a_measured_step_to_the_whole_run_and_leaves_nothing_behind(composed):
    cfg = composed("model=bmru", *TINY_COPY)
    task = build(cfg.task, "task")
    module = SequenceClassifier(build(cfg.model, "model", spec=task.spec), optim=cfg.optim, seed=0)
    line = forecast(module, task, max_steps=3_600_000, world_size=1)
    hours = float(line.split("about ")[1].split(" hours")[0].replace(",", ""))
    speed = float(line.split("GPU: ")[1].split(" tokens/s")[0].replace(",", ""))
    assert line.startswith("no GPU: ")
    assert "budget=quick" in line
    assert hours * 3600 * speed > 0.3 * 3_600_000 * 8 * 9  # tokens of the run, up to the spread of four tiny steps
    assert all(p.grad is None for p in module.parameters())
