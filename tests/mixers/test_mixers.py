"""Every shipped mixer and model: steps, causality, padding, batch order, sizes."""

import pytest
import torch
from omegaconf import OmegaConf
from support import MODELS, ROOT, TOKENS
from torch.utils._pytree import tree_leaves

from lra_mru.engine.build import build

CAUSAL = {"transformer": {"mixers.attention.causal": True}}
L = 23
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.06}  # of the largest output


def causal_mixers(small_model, name, dtype=torch.float64):
    return small_model(name, **CAUSAL.get(name, {})).to(dtype).mixers()


def assert_near(found, expected):
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE[expected.dtype] * scale)


def stepped(mixer, x, state):
    outputs = []
    for x_t in x.unbind(1):
        y, state = mixer.step(x_t, state)
        outputs.append(y)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_forward_equals_step_by_step(small_model, name, dtype):
    for mixer in causal_mixers(small_model, name, dtype):
        x = torch.randn(3, L, 16, dtype=dtype) * 3
        assert_near(stepped(mixer, x, mixer.initial_state(3)), mixer(x)[0])


@pytest.mark.parametrize("name", MODELS)
def test_pieces_with_carried_state_equal_the_whole(small_model, name):
    for mixer in causal_mixers(small_model, name):
        x = torch.randn(2, L, 16, dtype=torch.float64) * 3
        first, state = mixer(x[:, :9])
        second, _ = mixer(x[:, 9:], state=state)
        assert_near(torch.cat((first, second), 1), mixer(x)[0])


@pytest.mark.parametrize("name", MODELS)
def test_padded_rows_go_on_from_their_last_real_step(small_model, name):
    """A padded piece, another padded piece, then single steps: each row as if it stood alone without padding."""
    lengths = torch.tensor([[4, 9, 1], [7, 2, 7]])  # of the first and second piece, per row
    for mixer in causal_mixers(small_model, name):
        pieces = [torch.randn(3, num_steps, 16, dtype=torch.float64) * 3 for num_steps in (9, 7, 5)]
        first, state = mixer(pieces[0], lengths[0])
        second, state = mixer(pieces[1], lengths[1], state)
        third = stepped(mixer, pieces[2], state)
        for row, (n, m) in enumerate(lengths.T.tolist()):
            alone = torch.cat((pieces[0][row, :n], pieces[1][row, :m], pieces[2][row]))[None]
            expected, _ = mixer(alone)
            assert_near(torch.cat((first[row, :n], second[row, :m], third[row]))[None], expected)


@pytest.mark.parametrize("name", MODELS)
def test_a_state_of_another_batch_size_is_refused(small_model, name):
    for mixer in causal_mixers(small_model, name, torch.float32):
        with pytest.raises(ValueError, match=r"state is of 3 rows, x of 2: .*initial_state\(2\)"):
            mixer(torch.randn(2, 4, 16), state=mixer.initial_state(3))


@pytest.mark.parametrize("name", MODELS)
def test_causal_mixers_never_look_ahead(small_model, name):
    for mixer in causal_mixers(small_model, name):
        assert mixer.causal
        x = torch.randn(2, L, 16, dtype=torch.float64) * 3
        changed = x.clone()
        changed[:, 11:] += 5
        before, after = mixer(x)[0], mixer(changed)[0]
        assert torch.equal(before[:, :11], after[:, :11])
        assert not torch.allclose(before[:, 11:], after[:, 11:])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("name", MODELS)
def test_padding_and_batch_order_never_change_a_prediction(small_model, name, pooling, bidirectional):
    model = small_model(name, pooling=pooling, bidirectional=bidirectional).eval()
    lengths = torch.tensor([L, 1, 9, 14])
    inputs = torch.randint(0, 11, (4, L))
    noise = torch.randint(0, 11, (4, L + 13))  # other padding, and more of it
    noise[:, :L] = torch.where(torch.arange(L) < lengths[:, None], inputs, noise[:, :L])
    logits = model(inputs, lengths)
    torch.testing.assert_close(model(noise, lengths), logits, rtol=1e-4, atol=1e-5)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(inputs[order], lengths[order]), logits[order], rtol=1e-4, atol=1e-5)
    alone = torch.cat([model(inputs[i : i + 1, :n], lengths[i : i + 1]) for i, n in enumerate(lengths)])
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_bidirectional_reads_the_future_and_says_so(small_model, name):
    model = small_model(name, bidirectional=True)
    assert model.bidirectional
    assert model.state_bytes(L) is None
    with pytest.raises(ValueError, match="bidirectional"):
        small_model(name if name != "transformer" else "bmru", bidirectional=True).initial_state(2)
    x = torch.randn(8, 3, 16)  # few steps: random tables of nfsm lead all states together within ten
    mixer = model.mixers()[0]
    changed = x.clone()
    changed[:, -1] += 5
    assert not torch.equal(mixer(x, None)[0][:, 0], mixer(changed, None)[0][:, 0])


def test_bidirectional_is_the_same_mixer_mirrored(small_model):
    mixer = small_model("lru", bidirectional=True).blocks[0].mixer
    mixer.leftward.load_state_dict(mixer.rightward.state_dict())
    x, lengths = torch.randn(2, 9, 16), torch.tensor([9, 5])
    mirrored = torch.stack((x[0].flip(0), torch.cat((x[1, :5].flip(0), x[1, 5:]))))
    y, z = mixer(x, lengths)[0], mixer(mirrored, lengths)[0]
    torch.testing.assert_close(y[0], z[0].flip(0))
    torch.testing.assert_close(y[1, :5], z[1, :5].flip(0))


@pytest.fixture(scope="module")
def model_configs(composed):
    """Every model's config as no protocol has changed it."""
    return {name: composed(f"model={name}", "~protocol").model for name in MODELS}


@pytest.mark.parametrize("protocol", sorted(path.stem for path in (ROOT / "conf/protocol").glob("*.yaml")))
def test_parameter_counts_are_within_five_percent(composed, model_configs, protocol):
    task, _, budget = protocol.rpartition("_")
    spec = build(composed(f"task={task}", f"budget={budget}").task, "task").spec
    sizes = OmegaConf.load(ROOT / "conf/protocol" / f"{protocol}.yaml").get("model", {})
    counts = {}
    for name, config in model_configs.items():
        with torch.device("meta"):  # sizes alone
            model = build(OmegaConf.merge(config, sizes), "model", spec=spec)
        counts[name] = sum(p.numel() for p in model.parameters())
    assert max(counts.values()) <= 1.05 * min(counts.values()), counts


@pytest.mark.parametrize("name", MODELS)
def test_state_bytes_count_the_real_state(small_model, name):
    model = small_model(name, **CAUSAL.get(name, {}))
    state = [mixer(torch.randn(1, L, 16))[1] for mixer in model.mixers()]
    tensors = [part for part in tree_leaves(state) if isinstance(part, torch.Tensor)]
    assert model.state_bytes(L) == sum(part.numel() * part.element_size() for part in tensors)


def test_transformer_declares_its_maximum_and_keeps_to_it(small_model):
    model = small_model("transformer", **{"mixers.attention.max_length": TOKENS.max_length})
    assert model.max_length == TOKENS.max_length
    with pytest.raises(ValueError, match="41 steps exceed attention's declared maximum of 40"):
        model(torch.zeros(1, 41, dtype=torch.long), torch.tensor([41]))
    assert small_model("bmru").max_length is None


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_autocast_trains(small_model, name):
    model = small_model(name).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.randint(0, 11, (2, L)), torch.tensor([L, 5]))
    logits.float().logsumexp(-1).sum().backward()
    grads = [p.grad for p in model.parameters()]
    assert all(g is not None and g.dtype == torch.float32 and g.isfinite().all() for g in grads)
    assert torch.isfinite(logits).all()
