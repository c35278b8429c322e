"""The whole model: streamed step by step, patterns of mixers, sizes, and what it refuses."""

import dataclasses

import pytest
import torch
from support import MODELS, TOKENS

from lra_mru.engine.measuring.memory import activation_bytes_per_token
from lra_mru.mixers.parallel import Parallel
from lra_mru.spec import Batch

L = 15
CAUSAL = {"transformer": {"mixers.attention.causal": True}}


@pytest.mark.parametrize("readout", ["last", "mean", "per step"])
@pytest.mark.parametrize("name", MODELS)
def test_stepping_through_a_sequence_gives_the_logits_of_every_prefix(small_model, name, readout):
    spec = dataclasses.replace(TOKENS, per_step=readout == "per step")
    pooling = "last" if spec.per_step else readout
    model = small_model(name, spec=spec, pooling=pooling, **CAUSAL.get(name, {})).double()
    inputs = torch.randint(0, 11, (2, L))
    state = model.initial_state(2)
    for t in range(L):
        logits, state = model.step(inputs[:, t], state)
        whole = model(inputs[:, : t + 1])
        torch.testing.assert_close(logits, whole[:, -1] if spec.per_step else whole, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_padded_pieces_give_the_logits_of_the_joined_rows(small_model, name):
    model = small_model(name, **CAUSAL.get(name, {})).double()
    first, second = torch.randint(0, 11, (2, 8)), torch.randint(0, 11, (2, 6))
    _, state = model.advance(first, model.initial_state(2), torch.tensor([8, 3]))
    logits, _ = model.advance(second, state, torch.tensor([1, 6]))
    for row, joined in enumerate((torch.cat((first[0], second[0, :1])), torch.cat((first[1, :3], second[1])))):
        torch.testing.assert_close(logits[row], model(joined[None])[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_lengths_without_padding_are_the_same_as_none(small_model, name):
    model = small_model(name, bidirectional=True)
    inputs = torch.randint(0, 11, (3, L))
    assert torch.equal(model(inputs, torch.full((3,), L)), model(inputs))


def test_attention_makes_a_mask_only_where_a_row_is_padded(small_model, monkeypatch):
    masks = []
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def spy(*args, attn_mask, **kwargs):
        masks.append(attn_mask)
        return sdpa(*args, attn_mask=attn_mask, **kwargs)

    monkeypatch.setattr("lra_mru.mixers.attention.scaled_dot_product_attention", spy)
    for causal in (False, True):
        model = small_model("transformer", **{"mixers.attention.causal": causal})
        model(torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 4]))
        model(torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 2]))
        assert [mask is None for mask in masks] == [True, True, causal, causal]
        masks.clear()


def test_patterns_interleave_and_stand_side_by_side(small_model):
    names = [type(mixer).__name__ for mixer in small_model("hybrid", depth=5).mixers()]
    assert names == ["BMRU", "LRU", "BMRU", "LRU", "BMRU"]
    parallel = small_model("hybrid_mamba", pattern="[bmru+mamba,bmru]").mixers()
    assert [type(mixer).__name__ for mixer in parallel] == ["Parallel", "BMRU"]
    first = parallel[0]
    assert isinstance(first, Parallel)
    assert [type(first.first).__name__, type(first.second).__name__] == ["BMRU", "Mamba"]
    x = torch.randn(2, L, 16)
    torch.testing.assert_close(first(x)[0], first.first(x)[0] + first.second(x)[0])


@pytest.mark.parametrize("name", ["bmru", "cmru", "fq_bmru", "lru", "mamba", "gru", "mingru"])
def test_number_of_states_is_independent_of_the_width(small_model, name):
    sizes = []
    for expand in (0.25, 0.5, 2.0):
        model = small_model(name, **{f"mixers.{name}.expand": expand})
        assert model(torch.randint(0, 11, (2, L))).shape == (2, 5)
        sizes.append(model.state_bytes(1))
    assert sizes == [sizes[0], 2 * sizes[0], 8 * sizes[0]]


def test_blocks_are_of_one_size_whatever_stands_in_them(small_model):
    wide = dict(d_model=64, block_params=20)
    counts = {
        (name, both): sum(p.numel() for p in small_model(name, bidirectional=both, **wide).blocks.parameters())
        for name in MODELS
        for both in (False, True)
    }
    assert max(counts.values()) <= 1.01 * min(counts.values()), counts
    alone = small_model("mamba", block_params="null")
    assert alone.blocks[0].mlp is None
    assert alone(torch.randint(0, 11, (2, L))).shape == (2, 5)


@pytest.mark.parametrize("name", MODELS)
def test_memory_for_the_backward_pass_grows_with_length_and_not_faster(small_model, name):
    model, per_token = small_model(name), []
    for num_steps in (64, 512):
        inputs, lengths = torch.randint(0, 11, (1, num_steps)), torch.tensor([num_steps])
        batch = Batch(inputs=inputs, lengths=lengths, targets=torch.tensor([1]))
        per_token.append(activation_bytes_per_token(model, lambda b: model(b.inputs, b.lengths).sum(), batch))
    assert per_token[1] <= 1.01 * per_token[0]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hybrid", {"pattern": "[bmru,rnn]"}, r"pattern=\['bmru', 'rnn'\] must name mixers among \['bmru', 'lru'\]"),
        ("hybrid", {"pattern": "[bmru+rnn]"}, r"pattern=\['bmru\+rnn'\] must name"),
        ("hybrid", {"pattern": "[]"}, r"pattern=\[\] must name"),
        ("hybrid", {"depth": 1}, r"depth=1 has no room for pattern=\['bmru', 'lru'\]: it must be at least 2"),
        ("mamba", {"block_params": 12.0}, "block_params=12.0 leaves no MLP: the mixer alone has 13.* d_model=16"),
        ("bmru", {"mixers.bmru.expand": 0.0}, "expand=0.0 leaves no state"),
        ("gru", {"mixers.gru.expand": 0.0}, "expand=0.0 leaves no state"),
        ("mingru", {"mixers.mingru.expand": 0.0}, "expand=0.0 leaves no state"),
        ("transformer", {"mixers.attention.num_heads": 3}, "num_heads=3 must split d_model=16"),
        ("bmru", {"norm": "batch"}, "norm='batch' must be of type layer or rms"),
        ("bmru", {"pooling": "max"}, "pooling='max' must be of type last or mean"),
        ("bmru", {"dropout": 1.0}, "dropout=1.0"),
    ],
)
def test_what_cannot_be_built_is_named(small_model, name, changes, message):
    with pytest.raises(ValueError, match=message):
        small_model(name, **changes)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, 5], "lengths reach from 4 to 5, but inputs have 1 to 4 steps"),
        ([4, 0], "lengths reach from 0 to 4"),
        ([4], r"lengths has shape \(1,\), expected \(2,\)"),
    ],
)
def test_lengths_that_do_not_fit_the_batch_are_refused(small_model, lengths, message):
    with pytest.raises(ValueError, match=message):
        small_model("bmru")(torch.zeros(2, 4, dtype=torch.long), torch.tensor(lengths))


@pytest.mark.parametrize(
    "name", ["bmru", "cmru", "fq_bmru", "lru", "mamba", "transformer", "gru", "mingru", "hybrid_parallel"]
)
def test_compiled_model_gives_the_same_loss_and_gradients(small_model, name):
    """Traced in one graph with its gradients; code generation takes minutes, and is the compiler's own affair."""
    torch._dynamo.reset()
    model = small_model(name)
    inputs, lengths = torch.randint(0, 11, (3, L)), torch.tensor([L, 4, 9])
    expected = torch.autograd.grad(model(inputs, lengths).square().sum(), list(model.parameters()))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=name != "gru")  # torch traces no nn.GRU
    found = torch.autograd.grad(compiled(inputs, lengths).square().sum(), list(model.parameters()))
    for gradient, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-4)
