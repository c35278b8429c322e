"""What the engine does for GPUs, as far as a machine without one can tell; tests/gpu runs the rest."""

import contextlib

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from support import COVERING, TINY_COPY
from torch.nn.utils import clip_grad_norm_
from torch.utils._python_dispatch import TorchDispatchMode

from lra_mru.engine.build import build
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.measuring.memory import activation_bytes_per_token
from lra_mru.engine.run import run
from lra_mru.engine.training import device
from lra_mru.engine.training.gradients import Gradients
from lra_mru.engine.training.guards import NonFiniteGuard
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.engine.training.optim import make_optimizer
from lra_mru.engine.training.replay import Replay
from lra_mru.engine.training.seeding import draw_seed
from lra_mru.mixers.lru import LRU
from lra_mru.model.embedding import Embedding, _Lookup
from lra_mru.spec import Batch

# Of torch.use_deterministic_algorithms: what it refuses on a GPU, and what it makes slower there.
REFUSED = {
    *("cumsum", "cumprod", "kthvalue", "median", "nanmedian", "histc", "bincount", "put", "put_", "nll_loss2d_forward"),
    *("ctc_loss", "_ctc_loss", "embedding_bag", "_embedding_bag", "scatter_reduce", "grid_sampler_2d"),
    *("reflection_pad1d_backward", "upsample_linear1d_backward", "resize_"),
}
SORTED_FIRST = {"index_put", "index_put_", "_unsafe_index_put", "index_add", "scatter_add", "gather_backward", "put"}
FILLS = [{}, {"bidirectional": True}, {"pooling": "last"}]


class Names(TorchDispatchMode):
    """Every operation of torch that runs, by name."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        if not (name == "cumsum" and not args[0].is_floating_point()):  # of whole numbers, in any order, it is exact
            self.seen.add(name)
        return func(*args, **(kwargs or {}))


def step_of(model, lengths):
    """The names of all operations of one training step."""
    inputs, targets = torch.randint(0, 11, (3, 12)), torch.tensor([1, 4, 0])
    with Names() as names:
        loss = torch.nn.functional.cross_entropy(model(inputs, lengths), targets)
        loss.backward()
        for mixer in model.mixers():  # what a logger is told of a validation
            mixer.gauges(model.encoder(inputs), lengths)
    return names.seen


@pytest.mark.parametrize("changes", FILLS, ids=["mean", "bidirectional", "last"])
@pytest.mark.parametrize("name", COVERING)
def test_no_step_needs_what_a_gpu_cannot_do_in_a_fixed_order(small_model, name, changes):
    model = small_model(name, **({"pooling": "mean"} | changes))
    unpadded, padded = step_of(model, None), step_of(model, torch.tensor([12, 7, 1]))
    assert not (unpadded | padded) & REFUSED
    assert not unpadded & SORTED_FIRST  # full batches pay nothing
    assert not padded & {"gather_backward", "scatter_add"}  # of every element; index_put is of one step a row
    assert "native_layer_norm" in unpadded or "_fused_rms_norm" in unpadded or "rsqrt" in unpadded


def test_an_embeddings_gradient_as_a_matrix_product_is_torchs_own():
    torch.manual_seed(0)
    ours, theirs = Embedding(7, 5).double(), torch.nn.Embedding(7, 5).double()
    theirs.load_state_dict(ours.state_dict())
    x, dy = torch.randint(0, 7, (3, 40)), torch.randn(3, 40, 5, dtype=torch.double)
    assert torch.equal(ours(x), theirs(x))
    (found,) = torch.autograd.grad(_Lookup.apply(ours.weight, x), ours.weight, dy)
    (expected,) = torch.autograd.grad(theirs(x), theirs.weight, dy)
    torch.testing.assert_close(found, expected)
    weight = ours.weight.detach().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda w: _Lookup.apply(w, x[:1, :4]).square(), weight)
    assert torch.autograd.gradcheck(lambda w: _Lookup.apply(w, x[:1, :4]), weight, check_forward_ad=True)


def test_gradients_are_clipped_to_the_bits_of_torchs_own_clipping(small_model):
    models = [small_model("hybrid") for _ in range(2)]
    optim = {"lr": 1e-3, "weight_decay": 0.1, "betas": (0.9, 0.999)}
    groups = {"dynamics": {"lr_factor": 0.5, "weight_decay": 0.0}}
    optimizers = [make_optimizer(model, **optim, groups=groups) for model in models]
    for model in models:
        model(torch.arange(10)[None]).square().sum().mul(100).backward()
    norms = Gradients()
    norms.clip(optimizers[0], step=3, max_norm=1.0)
    clip_grad_norm_([p for group in optimizers[1].param_groups for p in group["params"]], 1.0)
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert norms.largest_before(4).startswith("group ")
    assert norms.largest_before(3) == "none yet"


def test_draws_are_a_documented_function_of_seed_micro_batch_and_rank(go, monkeypatch):
    """SplitMix64's first outputs for seed 0, as published; then every micro-batch of an accumulated step differs."""
    from lra_mru.engine.training.seeding import mix

    assert mix(0) == 0xE220A8397B1DCDAF
    assert mix(0x9E3779B97F4A7C15) == 0x6E789E6AA1B965F4
    seeds = []
    loss_of = SequenceClassifier.loss

    def spy(self, batch):
        if self.training:
            seeds.append(torch.default_generator.initial_seed())
        return loss_of(self, batch)

    monkeypatch.setattr(SequenceClassifier, "loss", spy)
    go("bmru", "+trainer.accumulate_grad_batches=2", "trainer.max_steps=5", "seed=3")
    assert [seed % 2**64 for seed in seeds[:10]] == [draw_seed(3, k, 0) for k in range(10)]
    assert len({draw_seed(s, k, r) for s in range(10) for k in range(10) for r in range(10)}) == 1000


@pytest.mark.parametrize("name", COVERING)
def test_blocks_computed_again_give_the_same_gradients_from_less_memory(small_model, name):
    model = small_model(name, dropout=0.3).train()
    inputs, lengths = torch.randint(0, 11, (2, 40)), torch.tensor([40, 11])
    batch = Batch(inputs=inputs, lengths=lengths, targets=torch.tensor([1, 2]))

    def loss_of(batch):
        torch.manual_seed(5)
        return model(batch.inputs, batch.lengths).square().sum()

    found = []
    for model.recompute in (False, True):
        gradients = torch.autograd.grad(loss_of(batch), list(model.parameters()))
        found.append((gradients, activation_bytes_per_token(model, loss_of, batch)))
    assert all(torch.equal(a, b) for a, b in zip(found[0][0], found[1][0], strict=True))
    assert 2 * 16 * 4 <= found[1][1] < 0.5 * found[0][1]  # the inputs of two blocks of width 16 remain


def test_a_run_whose_blocks_are_computed_again_is_the_same_run(go):
    plain, again = (
        go("mamba", "model.dropout=0.2")[1],
        go("mamba", "model.dropout=0.2", "trainer.activation_checkpointing=true", where="b")[1],
    )
    assert again["weights_sha256"] == plain["weights_sha256"]
    assert again["metrics"] == plain["metrics"]
    assert (plain["activation_checkpointing"], again["activation_checkpointing"]) == (False, True)
    memory = [record["memory"]["activation_bytes_per_token"] for record in (plain, again)]
    assert memory[1] < 0.5 * memory[0]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.cuda_graphs=true", "trainer.cuda_graphs=true needs a GPU, and this run computes on the CPU"),
        ("trainer.cuda_graphs=1", "trainer.cuda_graphs=1 must be true or false"),
        ("trainer.activation_checkpointing=maybe", "activation_checkpointing=maybe must be true or false"),
        ("trainer.float32_matmul_precision=low", "float32_matmul_precision=low must be one of highest, high, medium"),
    ],
)
def test_settings_that_mean_nothing_here_are_refused(go, override, message):
    with pytest.raises(ConfigError, match=message):
        go("bmru", override)


def test_the_budgets_steps_reach_the_trainer(composed, tmp_path, monkeypatch):
    """max_steps is an interpolation in conf/train.yaml, and must stay one where our own keys are taken out."""
    made = []

    def stop(trainer, *_, **__):
        made.append(trainer)
        raise RunError("made")

    monkeypatch.setattr(pl.Trainer, "fit", stop)
    tiny = [word for word in TINY_COPY if "max_steps" not in word]
    cfg = composed("model=bmru", *tiny, *(f"{key}_dir={tmp_path / key}" for key in ("results", "data", "runs")))
    with pytest.raises(RunError, match="made"):
        run(cfg, model_name="bmru", task_name="copy_first")
    assert made[0].max_steps == cfg.budget.steps == 1000


def test_a_replay_takes_full_batches_of_one_shape(small_model, monkeypatch):
    recorded = []
    monkeypatch.setattr(Replay, "_record", lambda self, batch: recorded.append(batch))
    replay = Replay(small_model("bmru"))

    def batch(num_steps, *lengths):
        inputs = torch.zeros(2, num_steps, dtype=torch.long)
        return Batch(inputs=inputs, lengths=torch.tensor(lengths), targets=torch.zeros(2, dtype=torch.long))

    replay.prepare(batch(5, 5, 5))
    replay.prepare(batch(5, 5, 5))
    assert len(recorded) == 1
    for wrong in (batch(6, 6, 6), batch(5, 5, 4)):
        with pytest.raises(RunError, match=r"a replay needs full batches of one shape.*set trainer.cuda_graphs=false"):
            replay.prepare(wrong)


def test_devices_without_kernels_fall_to_the_cpu_with_a_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.choose_accelerator("auto") == device.choose_accelerator("mps") == "cpu"
    assert capsys.readouterr().out == 2 * (
        "device mps: the scans have no kernels for it; this run computes on the CPU\n"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose_accelerator("auto") == "cuda"
    assert device.choose_accelerator("cpu") == "cpu"


class Float16OfAGpu(MixedPrecision):
    """Lightning's scaler, in front of a model that computes in float32: a CPU has few float16 operations."""

    def __init__(self):
        super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**127))

    def forward_context(self):
        return contextlib.nullcontext()


def test_a_step_that_the_float16_scaler_skips_is_no_failure(composed, tmp_path):
    """2^127 times a loss of ln 8 is infinite, though the loss is not; and one gradient of the first step is."""
    cfg = composed("model=lru", *TINY_COPY)
    task = build(cfg.task, "task")
    module = SequenceClassifier(build(cfg.model, "model", spec=task.spec), optim=cfg.optim, seed=0)
    module.model.head.weight.register_hook(lambda grad: grad * (torch.inf if module.global_step == 0 else 1))
    weights, before = [], module.model.head.weight.detach().clone()

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            weights.append(pl_module.model.head.weight.detach().clone())

    plugin = Float16OfAGpu()
    trainer = pl.Trainer(
        max_steps=4, accelerator="cpu", logger=False, plugins=[plugin], limit_val_batches=0, gradient_clip_val=1.0,
        callbacks=[Watch(), NonFiniteGuard(tmp_path / "none.ckpt")], enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=task)
    assert torch.equal(weights[0], before)  # skipped
    assert not torch.equal(weights[-1], before)  # at half the factor it went on
    assert all(torch.isfinite(w).all() for w in weights)
    assert plugin.scaler.get_scale() < 2.0**127


def test_a_ring_that_float32_cannot_tell_from_a_circle_is_refused():
    settings = {"d_model": 4, "train_length": 9, "expand": 1.0, "max_phase": 1.0}
    with pytest.raises(ValueError, match=r"r_max=0\.99999999 is 1 in float32"):
        LRU(**settings, r_min=0.0, r_max=0.99999999)
    mixer = LRU(**settings, r_min=0.9999998, r_max=0.9999999)
    assert torch.isfinite(mixer.log_nu).all()
    assert (torch.exp(-mixer.log_nu.exp()) < 1).all()
