"""torch.export: one program for every batch size and length."""

import pytest
import torch
from support import MODELS
from torch.export import Dim, export

BLENDS = {name for name in MODELS if name.startswith("hybrid") or name.endswith("_carry")}  # of mixers that stand here


@pytest.mark.parametrize("name", sorted(set(MODELS) - BLENDS))
def test_an_exported_model_takes_other_batches_and_lengths(small_model, name):
    model = small_model(name, depth=1).eval()
    batch, steps = Dim("batch", min=2, max=64), Dim("steps", min=2, max=64)
    example = (torch.randint(11, (3, 7)), torch.tensor([7, 3, 1]))
    program = export(model, example, dynamic_shapes=({0: batch, 1: steps}, {0: batch}))
    inputs, lengths = torch.randint(11, (5, 38)), torch.tensor([38, 1, 4, 5, 6])
    torch.testing.assert_close(program.module()(inputs, lengths), model(inputs, lengths))
