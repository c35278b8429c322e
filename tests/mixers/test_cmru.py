"""The cumulative unit: exact counts, and what an open gate leaves of the past."""

import math

import pytest
import torch

from lra_mru.mixers.cmru import CMRU


def make(**changes) -> CMRU:
    torch.manual_seed(0)
    values = dict(
        d_model=64,
        train_length=300,
        expand=1.0,
        min_openings_per_sequence=0.02,
        max_openings_per_step=0.5,
        alpha=0.7,
    )
    return CMRU(**(values | changes))


def test_pieces_count_exactly_as_the_whole():
    mixer, x = make().double(), torch.randn(2, 1000, 64, dtype=torch.float64) * 2
    whole, state = mixer(x)[1], mixer.initial_state(2)
    for piece in x.split([1, 300, 699], dim=1):
        state = mixer(piece, state=state)[1]
    assert torch.equal(state, whole)
    assert torch.equal(whole, whole.round())


def test_bfloat16_counts_beyond_its_own_whole_numbers():
    mixer, x = make().bfloat16(), torch.randn(2, 1, 64).bfloat16() * 2
    once, many = mixer(x)[1], mixer(x.expand(-1, 1001, -1))[1]  # bfloat16 knows no 1001
    assert once.abs().max() == 1
    assert torch.equal(many, 1001 * once)


def test_an_open_gate_adds_to_the_past_and_a_shut_one_holds_it():
    mixer, past = make(), torch.randint(-9, 9, (2, 64)).float()
    x = torch.randn(2, 1, 64)
    candidate, threshold = mixer.to_candidate(x)[:, 0], mixer.to_threshold(x)[:, 0].abs()
    added = mixer(x, state=past)[1] - past
    opened = candidate.abs() > threshold
    assert opened.any()
    assert not opened.all()
    assert torch.equal(added, candidate.sign() * opened)


def test_the_state_gradient_passes_every_gate():
    mixer, x = make(), torch.randn(2, 200, 64) * 2
    state = mixer.initial_state(2).requires_grad_()
    mixer.to_output = torch.nn.Identity()
    mixer(x, state=state)[0][:, -1].sum().backward()
    torch.testing.assert_close(state.grad, mixer.alpha.detach().expand(2, -1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expand": 0.0}, "expand=0.0"),
        ({"min_openings_per_sequence": -1.0}, "min_openings_per_sequence=-1.0"),
        ({"max_openings_per_step": math.nan}, "max_openings_per_step=nan"),
        ({"alpha": math.inf}, "alpha=inf"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
