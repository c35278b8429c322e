"""The finite-state machine: its equations, its noise, the cost of scores too far apart, and what it can track."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.engine.training.seeding import draw_seed
from lra_mru.mixers.nfsm import NFSM
from lra_mru.mixers.parallel import Parallel
from lra_mru.spec import Batch, TaskSpec

D, L = 8, 12


def make(**changes) -> NFSM:
    torch.manual_seed(0)
    values = dict(d_model=D, train_length=L, expand=1.0, num_states=4, temperature=0.5, table_std=1.0, spread_cost=0.03)
    return NFSM(**(values | changes)).eval()


def test_outputs_are_those_of_the_equations():
    mixer, x = make().double(), torch.randn(2, L, D, dtype=torch.float64)
    p = {name: value.detach().numpy() for name, value in mixer.named_parameters()}
    y, state = mixer(x)
    for row in range(2):
        s = np.zeros(2, int)
        for t in range(L):
            theta = (p["to_table.weight"] @ x[row, t].numpy() + p["to_table.bias"]).reshape(4, 2, 4)
            s = np.array([theta[:, k, s[k]].argmax() for k in range(2)])
            v = np.concatenate([p["values"][k, s[k]] for k in range(2)])
            np.testing.assert_allclose(y[row, t].detach().numpy(), p["to_output.weight"] @ v, rtol=0, atol=1e-12)
        assert state[row].tolist() == s.tolist()
    assert state.dtype == torch.uint8


def test_noise_in_training_alone_and_by_the_seed_alone():
    mixer, x = make(d_model=64), torch.randn(2, L, 64)
    quiet = mixer(x)[0]
    assert torch.equal(mixer(x)[0], quiet)
    mixer.train()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(mixer(x)[0])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], quiet)


def test_cost_counts_what_the_spread_has_above_the_noise():
    """Scores +-a in every column: their standard deviation is a."""
    mixer = make(spread_cost=0.5)
    sign = torch.tensor([1.0, 1.0, -1.0, -1.0])
    with torch.no_grad():
        mixer.to_table.weight.zero_()
        mixer.to_table.bias.copy_((3 * sign)[:, None].expand(4, 2 * 4).flatten())
    x = torch.randn(5, L, D)
    mixer(x)
    assert mixer.auxiliary_loss() is None  # in evaluation
    mixer.train()
    mixer(x, torch.tensor([L, 1, 2, 5, L]))
    cost = mixer.auxiliary_loss()
    assert cost.item() == pytest.approx(0.5 * (3 - math.pi / math.sqrt(6)) ** 2, rel=1e-5)
    cost.backward()
    assert (mixer.to_table.bias.grad * mixer.to_table.bias).sum() > 0  # a step against it brings scores closer
    assert mixer.auxiliary_loss() is None  # asked for once
    with torch.no_grad():
        mixer.to_table.bias.mul_(0.3)
    mixer(x)
    assert mixer.auxiliary_loss().item() == 0


def test_cost_reads_no_padding_and_counts_the_rows_of_two_steps():
    mixer, x, lengths = make(table_std=4.0).train(), torch.randn(5, L, D), torch.tensor([L, 1, 2, 1, L])

    def cost(x, lengths=None):
        torch.manual_seed(1)
        mixer(x, lengths)
        return mixer.auxiliary_loss()

    poisoned = x.masked_fill((torch.arange(L) >= lengths[:, None])[..., None], 1e3)
    assert cost(poisoned, lengths) == cost(x, lengths)
    assert cost(x[:, :2], torch.tensor([2, 1, 1, 1, 1])).item() == pytest.approx(cost(x[:1, :2]).item(), rel=1e-5)
    assert cost(x, torch.ones(5, dtype=torch.int64)) == 0
    assert cost(x, torch.full((5,), L)) == cost(x)


@pytest.mark.parametrize("recompute", [False, True])
def test_no_cost_is_left_after_the_backward_pass_nor_in_a_copy(small_model, recompute):
    model = small_model("nfsm", pattern="[nfsm+nfsm]").train()
    model.recompute = recompute
    inputs = torch.randint(11, (4, 9))
    loss = model(inputs).square().sum()
    with torch.no_grad():
        assert copy.deepcopy(model).auxiliary_loss() is None
    cost = model.auxiliary_loss()
    (loss + cost).backward()
    assert cost > 0
    assert model.auxiliary_loss() is None
    assert all(p.grad is not None for p in model.parameters())
    model(inputs)
    assert model.auxiliary_loss() is not None


def test_what_mixers_ask_for_is_added_to_the_loss_that_is_trained(small_model, composed):
    model = small_model("nfsm", pattern="[nfsm+nfsm]").train()
    assert isinstance(model.mixers()[0], Parallel)
    assert model.auxiliary_loss() is None  # before any forward
    for module in model.modules():
        if isinstance(module, NFSM):
            module.auxiliary_loss = lambda: torch.tensor(1.5)
    module = SequenceClassifier(model, optim=composed("task=copy_first").optim, seed=0)
    module.log = lambda *args, **kwargs: None
    torch.manual_seed(0)
    batch = Batch(inputs=torch.randint(11, (4, 9)), lengths=torch.full((4,), 9), targets=torch.randint(5, (4,)))
    step = module.training_step(batch, 0)
    torch.manual_seed(draw_seed(0, 0, 0))
    assert step.item() == pytest.approx(module.loss(batch).item() + 4 * 1.5)
    assert small_model("bmru").train().auxiliary_loss() is None


def test_gauges_say_how_heads_move(small_model):
    mixer, x = make(), torch.randn(3, L, D)
    with torch.no_grad():
        mixer.to_table.weight.zero_()
        mixer.to_table.bias.copy_(torch.eye(4).roll(1, 0)[:, None].expand(4, 2, 4).flatten())  # everybody moves
    assert mixer.gauges(x, torch.tensor([L, 1, 3]))["moves"] == 1
    assert mixer.gauges(x)["excess"] == 0
    with torch.no_grad():
        mixer.to_table.bias.copy_(100 * torch.eye(4)[:, None].expand(4, 2, 4).flatten())  # everybody stays
    gauges = mixer.gauges(x)
    assert gauges["moves"] == 0
    assert gauges["excess"].item() == pytest.approx((100 * math.sqrt(3) / 4 - math.pi / math.sqrt(6)) ** 2, rel=1e-4)


def test_a_lost_state_stays_lost_in_the_next_piece():
    mixer, x = make(), torch.randn(2, L, D)
    x[1, 3] = float("nan")
    y, state = mixer(x)
    assert state[1].tolist() == [4, 4]
    assert y[1].isnan().any(-1).tolist() == 3 * [False] + 9 * [True]
    again, _ = mixer(torch.randn(2, L, D), state=state)
    assert again.isnan().flatten(1).all(1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_states": 0}, "num_states=0 must be from 2 to 64"),
        ({"num_states": 65}, "num_states=65 must be from 2 to 64"),
        ({"expand": 0.0}, "expand=0.0 leaves no state"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"table_std": 0.0}, "table_std=0.0"),
        ({"spread_cost": -1.0}, "spread_cost=-1.0"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_learns_to_count_modulo_two_and_does_so_at_every_length(small_model):
    """The parity of all bits so far, from rows of 32: no model with one rate, and no bmru, can."""
    spec = TaskSpec(kind="tokens", vocab_size=2, num_classes=2, max_length=32, per_step=True, chance=0.5)
    model = small_model("nfsm", spec=spec, d_model=32, depth=1, block_params="null").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for step in range(60):
        torch.manual_seed(step)
        bits = torch.randint(2, (64, 32), generator=generator)
        loss = cross_entropy(model(bits).flatten(0, 1), (bits.cumsum(1) % 2).flatten())
        optimizer.zero_grad()
        (loss + model.auxiliary_loss()).backward()
        optimizer.step()
    bits = torch.randint(2, (2, 5000), generator=generator)
    with torch.no_grad():
        assert torch.equal(model.eval()(bits).argmax(-1), bits.cumsum(1) % 2)
