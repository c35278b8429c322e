"""The first-quadrant unit: its two states, its start, and its thresholds."""

import math

import pytest
import torch

from lra_mru.mixers.fq_bmru import FQBMRU


def make(**changes) -> FQBMRU:
    torch.manual_seed(0)
    values = dict(
        d_model=256,
        train_length=300,
        expand=1.0,
        min_openings_per_sequence=0.5,
        max_openings_per_step=0.5,
        lower_threshold=1.0,
        alpha=0.7,
    )
    return FQBMRU(**(values | changes))


def test_every_state_is_zero_or_alpha():
    mixer = make()
    mixer.to_output = torch.nn.Identity()
    h, end = mixer(torch.randn(4, 300, 256) * 2)
    assert set(h.detach().unique().tolist()) == {0.0, torch.tensor(0.7).item()}
    assert torch.equal(end, h[:, -1])
    assert mixer.initial_state(2).eq(0).all()


def test_gates_open_at_log_uniform_rates_at_initialisation_and_write_as_often_as_they_forget():
    mixer = make()
    x = torch.nn.functional.layer_norm(torch.randn(40_000, 256), (256,))
    distance = torch.relu(mixer.to_candidate(x)) - mixer.midpoint
    writes, forgets = (distance > mixer.half_width).double().mean(0), (distance < -mixer.half_width).double().mean(0)
    low = 0.5 / 300
    wanted = low * (0.5 / low) ** ((torch.arange(256) + 0.5) / 256).double()
    found = (writes + forgets).view(8, 32).mean(1)
    torch.testing.assert_close(found, wanted.view(8, 32).mean(1), rtol=0.4, atol=0)
    assert writes.mean().item() == pytest.approx(forgets.mean().item(), rel=0.1)
    assert (mixer.midpoint - mixer.half_width).min().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expand": 0.0}, "expand=0.0"),
        ({"min_openings_per_sequence": math.inf}, "min_openings_per_sequence=inf"),
        ({"max_openings_per_step": 2.0}, "max_openings_per_step=2.0"),
        ({"lower_threshold": 0.0}, "lower_threshold=0.0"),
        ({"lower_threshold": math.nan}, "lower_threshold=nan"),
        ({"alpha": math.nan}, "alpha=nan"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
