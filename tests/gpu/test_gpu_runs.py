"""Whole runs on a real GPU: every model in every precision, the same numbers twice, a kill, one that is too large."""

import pytest
from gpu.on_device import finished, killed_and_resumed, overrides, train
from support import MODELS, without_clock

pytestmark = pytest.mark.gpu

SETTINGS = {
    "32-true": (),
    "bf16-mixed": ("trainer.precision=bf16-mixed",),
    "16-mixed": ("trainer.precision=16-mixed",),
    "compiled": ("compile=true",),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
@pytest.mark.parametrize("model", MODELS)
def test_three_steps(model, setting, tmp_path):
    steps = ("trainer.max_steps=3", "budget.val_every_steps=3", f"model={model}", *setting)
    record = finished(train(overrides(tmp_path, "cuda", *steps)), tmp_path)
    assert record["steps"] == 3
    assert record["device"] != "cpu"


@pytest.mark.parametrize("model", ["bmru", "mamba", "transformer"])
def test_the_same_seed_gives_the_same_weights(model, tmp_path):
    places = [tmp_path / "a", tmp_path / "b"]
    runs = [train(overrides(place, "cuda", f"model={model}", "model.dropout=0.3")) for place in places]
    first, second = (finished(run, place) for run, place in zip(runs, places, strict=True))
    assert first["weights_sha256"] == second["weights_sha256"]
    assert without_clock(first) == without_clock(second)


def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path):
    changes = ("model=bmru", "trainer.max_steps=400", "budget.val_every_steps=50", "checkpoint_minutes=0.005")
    unbroken = finished(train(overrides(tmp_path / "a", "cuda", *changes)), tmp_path / "a")
    killed = killed_and_resumed(tmp_path / "b", "cuda", *changes)
    assert killed["resumes"] > 0
    assert killed["weights_sha256"] == unbroken["weights_sha256"]


def test_out_of_memory_is_one_line(tmp_path):
    large = ("model=transformer", "task.batch_size=65536", "model.d_model=4096", "model.depth=8", "task.T=1000")
    process = train(overrides(tmp_path, "cuda", *large, "model.block_params=12"))
    _, errors = process.communicate(timeout=200)
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert "memory" in errors.strip().splitlines()[-1]
