"""Runs on a GPU: the same numbers twice and after a kill, no waiting, float16, replays, rows in pieces."""

import pytest
import pytorch_lightning as pl
import torch

if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)

import json

from support import MODELS, TINY_COPY, without_clock

from lra_mru.engine import run as engine
from lra_mru.engine.errors import RunError
from lra_mru.engine.measuring import failing_length
from lra_mru.engine.measuring.meters import WARMUP_STEPS
from lra_mru.engine.run import run
from lra_mru.engine.training import device
from lra_mru.engine.training.module import SequenceClassifier

pytestmark = pytest.mark.gpu
ON_GPU = [word for word in TINY_COPY if "accelerator" not in word]
PADDED = ["task=listops", "task.num_train=64", "task.num_val=16", "task.num_test=16", "task.min_length=5"]
PADDED += ["task.max_length=40", *[word for word in ON_GPU if word.startswith(("model.", "trainer."))]]
PADDED += ["budget=quick", "task.batch_size=8", "budget.val_every_steps=10"]


@pytest.fixture
def go(composed, tmp_path):
    """go("lru", "seed=1", where="b") -> the record of a run on the GPU."""

    def start(model, *overrides, where="a", base=ON_GPU):
        places = [f"{key}_dir={tmp_path / where / key}" for key in ("results", "data", "runs")]
        cfg = composed(f"model={model}", *base, *places, *overrides)
        task = "listops" if base is PADDED else "copy_first"
        return json.loads(run(cfg, model_name=model, task_name=task).read_text())

    yield start
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("highest")


class Strict(pl.Callback):
    """In steady steps, anything that makes the host wait is an error."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == WARMUP_STEPS + 1:
            torch.cuda.set_sync_debug_mode("error")
        if batch_idx == WARMUP_STEPS + 6:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("base", [ON_GPU, PADDED], ids=["full", "padded"])
@pytest.mark.parametrize("name", MODELS)
def test_a_steady_step_waits_for_nothing(go, monkeypatch, name, base):
    monkeypatch.setattr(engine, "progress_callback", Strict)
    try:
        go(name, "budget.val_every_steps=20", base=base)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "changes", [[], ["model.bidirectional=true", "trainer.precision=bf16-mixed"]], ids=["", "both"]
)
@pytest.mark.parametrize("base", [ON_GPU, PADDED], ids=["full", "padded"])
@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_numbers(go, name, base, changes):
    first, second = (go(name, "model.dropout=0.1", *changes, where=where, base=base) for where in "ab")
    assert without_clock(first) == without_clock(second)


@pytest.mark.parametrize("name", MODELS)
def test_float16_trains_with_a_scaler(go, name):
    record = go(name, "trainer.precision=16-mixed")
    assert record["precision"] == "16-mixed"
    assert all(abs(value) < float("inf") for value in record["metrics"].values())


@pytest.mark.parametrize("name", [name for name in MODELS if name != "gru"])  # cuDNN's is one kernel already
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_replays_give_the_bits_of_steps(go, name, precision):
    settings = ["model.dropout=0.1", f"trainer.precision={precision}"]
    plain = go(name, *settings)
    replayed = go(name, *settings, "trainer.cuda_graphs=true", where="b")
    assert replayed["weights_sha256"] == plain["weights_sha256"]
    assert replayed["metrics"] == plain["metrics"]


def test_replays_of_changing_shapes_are_refused(go):
    with pytest.raises(RunError, match=r"a replay needs full batches of one shape"):
        go("bmru", "trainer.cuda_graphs=true", base=PADDED)


@pytest.mark.parametrize("name", ["bmru", "lru", "mamba", "gru", "mingru"])
def test_rows_in_pieces_score_as_rows_at_once(go, name):
    whole = go(name, "task.eval_batch_tokens=10000")
    pieces = go(name, "task.eval_batch_tokens=12", where="b")
    assert pieces["weights_sha256"] == whole["weights_sha256"]
    assert pieces["metrics"] == pytest.approx(whole["metrics"], rel=1e-3)


@pytest.mark.parametrize("step", [2, 7, 19])
def test_a_loss_that_is_no_number_is_told_with_its_step_and_never_recorded(go, tmp_path, monkeypatch, step):
    loss_of = SequenceClassifier.loss

    def broken(self, batch):
        return loss_of(self, batch) * (torch.inf if self.training and self.global_step == step else 1)

    monkeypatch.setattr(SequenceClassifier, "loss", broken)
    with pytest.raises(RunError, match=rf"loss is inf at step {step}; largest gradient before it: group \w+"):
        go("bmru")
    assert not list((tmp_path / "a" / "results").rglob("*.json"))


def test_blocks_computed_again_give_the_same_bits_in_less_memory(go):
    plain = go("mamba", "model.dropout=0.1")
    again = go("mamba", "model.dropout=0.1", "trainer.activation_checkpointing=true", where="b")
    assert again["weights_sha256"] == plain["weights_sha256"]
    assert again["memory"]["activation_bytes_per_token"] < 0.5 * plain["memory"]["activation_bytes_per_token"]


def test_tf32_is_a_choice_and_stands_in_the_record(go):
    assert go("bmru")["float32_matmul_precision"] == "highest"
    assert go("bmru", "trainer.float32_matmul_precision=high", where="b")["float32_matmul_precision"] == "high"


def test_the_gpu_is_what_auto_takes():
    assert device.choose_accelerator("auto") == "cuda"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize("model", ["bmru", "transformer"])
def test_the_failing_length_is_measured_on_the_gpu_in_the_precision_that_trained(go, monkeypatch, model, precision):
    devices, read = [], failing_length._read

    def spy(model, batch, state, place):
        devices.append(place(batch).inputs.device.type)
        return read(model, batch, state, place)

    monkeypatch.setattr(failing_length, "_read", spy)
    words = ["task.distractors=gaussian", f"trainer.precision={precision}", "failing_length.rows=4"]
    record = go(model, *words, "failing_length.cap=16")
    assert record["failing_length"]["reached"] >= 8
    assert set(devices) == {"cuda"}
