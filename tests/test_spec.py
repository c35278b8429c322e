"""What models and tasks share: kinds of targets, and sequences that come in pairs."""

from dataclasses import replace

import pytest
import torch
from support import TOKENS

from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.spec import Batch

PAIRS = replace(TOKENS, num_classes=2, pairs=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"d_input": 3}, "d_input=3"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"per_step": True, "pairs": True}, "per_step=True"),
        ({"num_classes": 2, "tolerance": 0.1}, "num_classes=2"),
        ({"num_classes": 1, "tolerance": 0.0}, r"tolerance=0\.0"),
        ({"num_classes": 1, "tolerance": float("inf")}, "tolerance=inf"),
        ({"chance": 5}, r"chance=5 must lie in \[0, 1\]"),
        ({"chance": float("nan")}, "chance=nan"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(TOKENS, **change)


@pytest.mark.parametrize(
    "change", [{"max_length": None}, {"num_classes": 2.5}, {"num_classes": True}, {"per_step": 2}, {"pairs": "yes"}]
)
def test_a_spec_of_the_wrong_types_is_refused(change):
    with pytest.raises(TypeError, match=next(iter(change))):
        replace(TOKENS, **change)


def test_two_towers_share_weights_and_meet_in_the_head(small_model):
    model = small_model("bmru", spec=PAIRS).eval()
    inputs, lengths = torch.randint(11, (6, 9)), torch.tensor([9, 4, 7, 9, 2, 5])
    outputs = model(inputs, lengths)
    assert outputs.shape == (3, 2)
    other = [4, 5, 0, 1, 2, 3]
    torch.testing.assert_close(model(inputs[other], lengths[other]), outputs[[2, 0, 1]])  # pairs stay together
    swapped = [1, 0, 3, 2, 5, 4]
    assert not torch.allclose(model(inputs[swapped], lengths[swapped]), outputs)  # which one comes first is told


def test_loss_of_numbers_is_their_squared_error(small_model, composed):
    model = small_model("bmru", spec=replace(TOKENS, num_classes=1, tolerance=0.1))
    module = SequenceClassifier(model, optim=composed("task=copy_first").optim, seed=0)
    batch = Batch(inputs=torch.randint(11, (4, 9)), lengths=torch.full((4,), 9), targets=torch.rand(4))
    outputs = model(batch.inputs, batch.lengths)
    assert outputs.shape == (4, 1)
    torch.testing.assert_close(module.loss(batch), (outputs[:, 0] - batch.targets).square().mean())
