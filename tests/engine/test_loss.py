"""The training loss of a task that says how fast steps lose weight after a row's first error."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from lra_mru.engine.training.module import SequenceClassifier, cross_entropy_until_errors
from lra_mru.spec import NO_TARGET, Batch, TaskSpec


def logits(answers):
    return torch.nn.functional.one_hot(torch.tensor(answers), 3).float() * 2


def test_steps_behind_the_first_error_weigh_less_and_steps_without_target_nothing():
    targets = torch.tensor([[0, 1, 2, 0], [1, NO_TARGET, 2, 2]])
    outputs = logits([[0, 2, 2, 0], [1, 0, 2, 2]])  # the first row errs at its second step, the second nowhere
    right, wrong = math.log(1 + 2 * math.exp(-2)), 2 + math.log(1 + 2 * math.exp(-2))
    decay = 0.5
    weights = [1, 1, math.exp(-decay), math.exp(-2 * decay), 1, 1, 1]
    losses = [right, wrong, right, right, right, right, right]
    expected = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    assert cross_entropy_until_errors(outputs, targets, decay)[0].item() == pytest.approx(expected, rel=1e-6)


def test_without_an_error_it_is_the_plain_mean():
    targets = torch.tensor([[0, 1, NO_TARGET], [2, 2, 1]])
    outputs = logits([[0, 1, 0], [2, 2, 1]])
    plain = cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET)
    torch.testing.assert_close(cross_entropy_until_errors(outputs, targets, 3.0), (plain, torch.tensor(5.0)))


def test_training_alone_weighs_so(composed, small_model):
    spec = TaskSpec(
        kind="tokens", vocab_size=4, num_classes=3, max_length=9, per_step=True, error_decay=3.0, chance=1 / 3
    )
    optim = {key: value for key, value in composed().optim.items() if key != "warmup_fraction"}
    model = small_model("lru", spec=spec)
    module = SequenceClassifier(model, optim=optim, seed=0)
    batch = Batch(inputs=torch.randint(4, (5, 9)), lengths=torch.full((5,), 9), targets=torch.randint(3, (5, 9)))
    with torch.no_grad():
        outputs = model(batch.inputs, batch.lengths)
        plain = cross_entropy(outputs.flatten(0, 1), batch.targets.flatten())
        assert module.eval().loss(batch) == plain
        assert module.train().loss(batch) == cross_entropy_until_errors(outputs, batch.targets, 3.0)[0] != plain


@pytest.mark.parametrize("error_decay", [0.0, 3.0])
def test_processes_with_unequal_numbers_of_targets_train_as_one_does(composed, small_model, monkeypatch, error_decay):
    """The mean over two processes of what each differentiates is the loss of one process with the rows of both."""
    spec = TaskSpec(
        kind="tokens", vocab_size=4, num_classes=3, max_length=9, per_step=True, error_decay=error_decay, chance=1 / 3
    )
    optim = {key: value for key, value in composed().optim.items() if key != "warmup_fraction"}
    module = SequenceClassifier(small_model("lru", spec=spec), optim=optim, seed=0).train()
    targets = torch.randint(3, (6, 9))
    targets[:3, 2:] = NO_TARGET
    whole = Batch(inputs=torch.randint(4, (6, 9)), lengths=torch.full((6,), 9), targets=targets)
    parts = [
        Batch(inputs=whole.inputs[rows], lengths=whole.lengths[rows], targets=targets[rows])
        for rows in (slice(3), slice(3, 6))
    ]
    weights = [module._loss_and_weight(part)[1].float() for part in parts]
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda total: total.copy_(sum(weights)))
    assert weights[0] != weights[1]
    both = torch.stack([module._loss_of_all(part) for part in parts]).mean()
    torch.testing.assert_close(both, module.loss(whole))


@pytest.mark.parametrize(
    "changes", [{"error_decay": -1.0}, {"error_decay": math.inf}, {"error_decay": 1.0, "per_step": False}]
)
def test_a_decay_that_means_nothing_is_refused(changes):
    settings = {"kind": "tokens", "vocab_size": 4, "num_classes": 3, "max_length": 9, "per_step": True, "chance": 0.3}
    with pytest.raises(ValueError, match="error_decay"):
        TaskSpec(**settings | changes)
