"""Parameter groups and the schedule, read from the optimizer that really steps."""

import math
import re

import pytest
import pytorch_lightning as pl
import torch
from support import MODELS, TINY_COPY

from lra_mru.engine.build import build
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.engine.training.optim import make_optimizer

MAX_STEPS = 20
DYNAMICS = {  # what each mixer declares; those left out declare nothing
    "bmru": {"alpha", "to_threshold.bias"},
    "cmru": {"alpha", "to_threshold.bias"},
    "fq_bmru": {"alpha", "midpoint", "half_width"},
    "lru": {"log_nu", "log_theta", "log_gamma"},
    "mamba": {"A_log", "dt_proj.bias"},
}


def classifier(composed, name, *overrides):
    cfg = composed(f"model={name}", *TINY_COPY, *overrides)
    task = build(cfg.task, "task")
    return SequenceClassifier(build(cfg.model, "model", spec=task.spec), optim=cfg.optim, seed=0), task


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_stands_in_exactly_one_group_with_its_own_rate_and_decay(composed, name):
    module, _ = classifier(composed, name)
    settings = {key: value for key, value in module.optim.items() if key != "warmup_fraction"}
    optimizer = make_optimizer(module.model, **settings)
    seen = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(seen) == len(set(seen)) == len(list(module.model.parameters()))
    by_name = {group["name"]: group for group in optimizer.param_groups}
    lr, decay = module.optim["lr"], module.optim["weight_decay"]
    assert decay > 0
    assert by_name["decay"]["lr"] == by_name["no_decay"]["lr"] == lr
    assert (by_name["decay"]["weight_decay"], by_name["no_decay"]["weight_decay"]) == (decay, 0.0)
    group_of = {id(p): group["name"] for group in optimizer.param_groups for p in group["params"]}
    groups = {n: group_of[id(p)] for n, p in module.model.named_parameters()}
    assert all(groups[n] == "no_decay" for n in groups if "norm" in n or n == "head.bias")
    dynamics = {re.split(r"mixer\.(?:first\.|second\.)?", n)[1] for n in groups if groups[n] == "dynamics"}
    mixers = {part for entry in module.model.settings["pattern"] for part in entry.split("+")}
    assert dynamics == set().union(*(DYNAMICS.get(mixer, set()) for mixer in mixers))
    if dynamics:
        assert by_name["dynamics"]["lr"] == 0.5 * lr
        assert by_name["dynamics"]["weight_decay"] == 0.0


class RateLog(pl.Callback):
    """The rate of each group at the moment of each optimizer step."""

    def __init__(self):
        self.rates = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append({group["name"]: group["lr"] for group in optimizer.param_groups})


def test_rates_move_as_the_schedule_says_in_a_real_fit(composed):
    module, task = classifier(composed, "lru", "optim.warmup_fraction=0.25")
    log = RateLog()
    trainer = pl.Trainer(
        max_steps=MAX_STEPS,
        accelerator="cpu",
        logger=False,
        callbacks=[log],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, datamodule=task)
    peak, warmup = module.optim["lr"], 5
    cosine = [0.5 * (1 + math.cos(math.pi * k / (MAX_STEPS - warmup))) for k in range(MAX_STEPS - warmup)]
    expected = [peak * (k + 1) / warmup for k in range(warmup)] + [peak * c for c in cosine]
    assert [r["decay"] for r in log.rates] == pytest.approx(expected)
    assert [r["dynamics"] for r in log.rates] == pytest.approx([0.5 * e for e in expected])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "optim.lr=0.0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"groups": {}}, r"\['dynamics'\] have no rate"),
    ],
)
def test_settings_out_of_range_are_named(composed, changes, message):
    module, _ = classifier(composed, "bmru")
    settings = {key: value for key, value in module.optim.items() if key != "warmup_fraction"} | changes
    with pytest.raises(ValueError, match=message):
        make_optimizer(module.model, **settings)


def test_loss_is_cross_entropy_on_logits_not_on_hidden_states(composed):
    module, task = classifier(composed, "bmru")
    batch = next(iter(task.train_loader(start_step=0, num_steps=1, rank=0, world_size=1)))
    logits = module.model(batch.inputs, batch.lengths)
    assert logits.shape == (8, task.spec.num_classes)
    expected = -logits.log_softmax(-1)[torch.arange(8), batch.targets].mean()
    torch.testing.assert_close(module.loss(batch), expected)
