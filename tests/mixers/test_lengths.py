"""Lengths that no row can have are refused by every mixer, as they are by a model."""

import pytest
import torch
from support import MODELS


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_mixer_refuses_lengths_outside_its_rows(small_model, name, bidirectional):
    mixer = small_model(name, bidirectional=bidirectional).mixers()[0]
    x = torch.randn(3, 5, 16)
    mixer(x, torch.tensor([5, 1, 3]))
    for lengths in ([5, 0, 3], [5, -1, 3], [6, 1, 3], [5, 1]):
        with pytest.raises(ValueError, match="lengths "):
            mixer(x, torch.tensor(lengths))
