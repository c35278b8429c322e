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
    assert cross_entropy_until_errors(outputs, targets, decay).item() == pytest.approx(expected, rel=1e-6)


def test_without_an_error_it_is_the_plain_mean():
    targets = torch.tensor([[0, 1, NO_TARGET], [2, 2, 1]])
    outputs = logits([[0, 1, 0], [2, 2, 1]])
    plain = cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET)
    torch.testing.assert_close(cross_entropy_until_errors(outputs, targets, 3.0), plain)


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
        assert module.train().loss(batch) == cross_entropy_until_errors(outputs, batch.targets, 3.0) != plain


@pytest.mark.parametrize(
    "changes", [{"error_decay": -1.0}, {"error_decay": math.inf}, {"error_decay": 1.0, "per_step": False}]
)
def test_a_decay_that_means_nothing_is_refused(changes):
    settings = {"kind": "tokens", "vocab_size": 4, "num_classes": 3, "max_length": 9, "per_step": True, "chance": 0.3}
    with pytest.raises(ValueError, match="error_decay"):
        TaskSpec(**settings | changes)
