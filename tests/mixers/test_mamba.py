"""Mamba: what it starts from, what stays float32, and weights of published blocks."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv1d, pad, silu, softplus

from lra_mru.mixers.mamba import Mamba, SignedMamba

D, E, N, RANK, K = 24, 48, 5, 2, 4


def make(**changes) -> Mamba:
    torch.manual_seed(0)
    values = dict(d_model=D, train_length=20, expand=2.0, d_state=N, d_conv=K, dt_min=0.001, dt_max=0.1)
    return Mamba(**(values | changes))


class PublicBlock(nn.Module):
    """The block of state-spaces/mamba as its paper and its public scan define it: names, shapes, channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj = nn.Linear(D, 2 * E, bias=False)
        self.conv1d = nn.Conv1d(E, E, K, groups=E, padding=K - 1)
        self.x_proj = nn.Linear(E, RANK + 2 * N, bias=False)
        self.dt_proj = nn.Linear(RANK, E)
        self.A_log = nn.Parameter(torch.randn(E, N))
        self.D = nn.Parameter(torch.randn(E))
        self.out_proj = nn.Linear(E, D, bias=False)

    def forward(self, x):
        u, z = self.in_proj(x).transpose(1, 2).chunk(2, dim=1)  # (B, E, L)
        u = silu(conv1d(pad(u, (K - 1, 0)), self.conv1d.weight, self.conv1d.bias, groups=E))
        dt, B, C = self.x_proj(u.transpose(1, 2)).split([RANK, N, N], dim=-1)
        delta = softplus(dt @ self.dt_proj.weight.T + self.dt_proj.bias)  # (B, L, E)
        h, y = torch.zeros(len(x), E, N), []
        for t in range(x.shape[1]):
            h = torch.exp(delta[:, t, :, None] * -self.A_log.exp()) * h
            h = h + delta[:, t, :, None] * B[:, t, None] * u[:, :, t, None]
            y.append((h * C[:, t, None]).sum(-1) + self.D * u[:, :, t])
        return self.out_proj(torch.stack(y, 1) * silu(z.transpose(1, 2)))


def test_weights_of_a_published_block_give_its_outputs():
    block, mixer = PublicBlock(), make()
    public = {f"backbone.layers.3.mixer.{name}": x for name, x in block.state_dict().items()}
    public["backbone.layers.3.norm.weight"] = torch.ones(D)
    mixer.load_public(public, prefix="backbone.layers.3.mixer.")
    x = torch.randn(2, 20, D)
    torch.testing.assert_close(mixer(x)[0], block(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop("A_log"), r"missing \['A_log'\], foreign \[\]"),
        (lambda state: state.update(bias=torch.zeros(1)), r"missing \[\], foreign \['bias'\]"),
        (lambda state: state.update(D=torch.zeros(7)), r"D has shape \(7,\), this block's has \(48,\)"),
    ],
)
def test_weights_of_something_else_are_refused_by_name(edit, message):
    state = PublicBlock().state_dict()
    edit(state)
    with pytest.raises(ValueError, match=message):
        make().load_public(state)


def test_starts_as_the_paper_says():
    mixer = make(d_model=256, dt_min=0.01, dt_max=0.05)
    dt = softplus(mixer.dt_proj.bias.detach())
    assert dt.min() >= 0.01 * 0.999
    assert dt.max() <= 0.05 * 1.001
    assert dt.log().std().item() == pytest.approx(math.log(0.05 / 0.01) / 12**0.5, rel=0.1)  # log-uniform
    torch.testing.assert_close(-mixer.A_log.exp(), -torch.arange(1.0, N + 1).expand(512, N))
    assert mixer.D.eq(1).all()
    assert mixer.dt_proj.weight.shape[1] == 16  # ceil(D / 16)


def test_parameters_and_state_are_float32_under_mixed_precision():
    mixer, x = make(), torch.randn(2, 20, D)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, (_, h) = mixer(x)
        assert y.dtype == torch.bfloat16
        y.float().square().sum().backward()
    assert h.dtype == torch.float32
    assert {p.dtype for p in mixer.parameters()} == {p.grad.dtype for p in mixer.parameters()} == {torch.float32}
    A = torch.tensor([0.3337])  # lost in 8 bits: the same output would come from 0.3340
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        mixer.A_log.fill_(A.log().item())
        _, (_, before) = mixer(x)
        mixer.A_log.fill_((A + 3e-4).log().item())
        _, (_, after) = mixer(x)
    assert not torch.equal(before, after)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expand": 0.0}, "expand=0.0"),
        ({"d_state": 0}, "d_state=0"),
        ({"d_conv": 1}, "d_conv=1"),
        ({"dt_min": 0.2}, "dt_min=0.2, dt_max=0.1"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_signed_states_turn_over_for_ever_where_mamba_forgets():
    """Steps of delta 20 and no drive: a state of 1 becomes -1, 1, -1, ... in one, and is soon gone in the other."""
    found = {}
    for kind in (Mamba, SignedMamba):
        mixer = kind(d_model=D, train_length=20, expand=2.0, d_state=N, d_conv=K, dt_min=0.001, dt_max=0.1)
        with torch.no_grad():
            mixer.in_proj.weight.zero_()  # no input, so v = silu(0) = 0
            mixer.conv1d.bias.zero_()
            mixer.dt_proj.bias.fill_(20.0)
        window, h = mixer.initial_state(1)
        _, (_, found[kind]) = mixer(torch.randn(1, 1001, D), state=(window, torch.ones_like(h)))
    assert found[Mamba].abs().max() < 1e-30
    torch.testing.assert_close(found[SignedMamba], -torch.ones_like(found[SignedMamba]), rtol=1e-4, atol=0)
