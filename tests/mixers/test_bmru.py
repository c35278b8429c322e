"""The bistable unit: states, thresholds, and what carry_grad changes."""

import math

import pytest
import torch

from lra_mru.mixers.bmru import BMRU

NAN = math.nan


def make(**changes) -> BMRU:
    torch.manual_seed(0)
    values = dict(
        d_model=64,
        train_length=300,
        expand=1.0,
        min_openings_per_sequence=1.0,
        max_openings_per_step=1 / 300,
        alpha=1.0,
        carry_grad=0.0,
        learned_start=False,
    )
    return BMRU(**(values | changes))


def states(mixer: BMRU, x: torch.Tensor) -> torch.Tensor:
    """h for every step, read through an identity output."""
    mixer.to_output = torch.nn.Identity()
    return mixer(x)[0].detach()


def test_every_state_is_zero_or_plus_or_minus_alpha():
    mixer = make(alpha=0.7, max_openings_per_step=0.1)
    h = states(mixer, torch.randn(4, 300, 64) * 2)
    assert set(h.unique().tolist()) == {-torch.tensor(0.7).item(), 0.0, torch.tensor(0.7).item()}


def test_learned_start_is_a_state_like_any_other_and_learns():
    mixer = make(learned_start=True, alpha=0.7)
    start = mixer.initial_state(3)
    assert torch.equal(start, start[:1].expand(3, -1))
    assert set(start.unique().tolist()) == {-torch.tensor(0.7).item(), torch.tensor(0.7).item()}
    y, _ = mixer(torch.randn(3, 10, 64))
    y.square().sum().backward()
    assert mixer.start.grad.abs().min() > 0
    assert make().initial_state(3).eq(0).all()


@pytest.mark.parametrize(("openings", "length"), [(1.0, 300), (0.02, 300), (10.0, 2000), (5.0, 7)])
def test_gates_open_at_log_uniform_rates_at_initialisation(openings, length):
    """Measured on normalised inputs, over 32 neighbours at a time: a row of W_c is of length 1 on average alone."""
    mixer = make(train_length=length, min_openings_per_sequence=openings, max_openings_per_step=0.5, d_model=256)
    x = torch.nn.functional.layer_norm(torch.randn(40_000, 256), (256,))
    candidate, threshold = mixer.to_candidate(x), mixer.to_threshold(x).abs()
    found = (candidate.abs() > threshold).double().mean(0).view(8, 32).mean(1)
    low = min(openings / length, 0.5)
    wanted = (low * (0.5 / low) ** ((torch.arange(256) + 0.5) / 256).double()).view(8, 32).mean(1)
    assert wanted[-1] / wanted[0] == pytest.approx((0.5 / low) ** (7 / 8), rel=1e-6)
    torch.testing.assert_close(found, wanted, rtol=0.4, atol=0)
    assert found.mean().item() == pytest.approx(wanted.mean().item(), rel=0.05)


def test_one_rate_for_all_units_where_both_ends_are_equal():
    mixer = make(d_model=64, train_length=300, min_openings_per_sequence=0.02, max_openings_per_step=0.02 / 300)
    assert mixer.to_threshold.bias.unique().tolist() == [pytest.approx(3.98786, abs=1e-4)]  # Phi^-1(1 - 1 / 30,000)


def test_state_is_held_bit_for_bit_while_no_gate_opens():
    mixer = make()
    with torch.no_grad():
        mixer.to_threshold.bias.fill_(1e3)
        start = torch.randn(2, 64)
        y, end = mixer(torch.randn(2, 5000, 64), state=start)
    assert torch.equal(end, start)
    assert torch.equal(y[:, 0], y[:, -1])


def test_carry_grad_changes_the_backward_pass_alone():
    x = torch.randn(2, 50, 64)
    grads, outputs = [], []
    for carry_grad in (0.0, 1.0):
        mixer = make(carry_grad=carry_grad, max_openings_per_step=0.5)
        y, _ = mixer(x)
        y[:, -1].sum().backward()
        outputs.append(y.detach())
        grads.append(mixer.to_candidate.weight.grad)
    assert torch.equal(*outputs)
    assert not torch.allclose(*grads)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expand": 0.0}, "expand=0.0"),
        ({"expand": NAN}, "expand=nan"),
        ({"expand": 1e9}, "expand=1000000000.0"),
        ({"train_length": 0}, "train_length=0"),
        ({"min_openings_per_sequence": 0.0}, "min_openings_per_sequence=0.0"),
        ({"min_openings_per_sequence": NAN}, "min_openings_per_sequence=nan"),
        ({"min_openings_per_sequence": math.inf}, "min_openings_per_sequence=inf"),
        ({"max_openings_per_step": 0.0}, "max_openings_per_step=0.0"),
        ({"max_openings_per_step": 1.5}, "max_openings_per_step=1.5"),
        ({"max_openings_per_step": NAN}, "max_openings_per_step=nan"),
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"alpha": NAN}, "alpha=nan"),
        ({"carry_grad": 5.0}, "carry_grad=5.0"),
        ({"carry_grad": NAN}, "carry_grad=nan"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
