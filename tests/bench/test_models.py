"""The rows of whole models: complete where they fit, and rows all the same where they do not."""

import json

import pytest
import torch
from support import MODELS

from lra_mru.bench import __main__ as bench
from lra_mru.bench.model_row import WARMUP_CALLS, Setting, milliseconds, timed
from lra_mru.bench.models import LENGTHS, measured, memory_growth

SMALL = Setting(
    model="bmru", length=64, batch=2, d_model=32, depth=2, precision="float32", compile=False, threads=1, max_calls=3,
    call_seconds=1.0, memory_bytes=2**31, parts=["forward", "train", "step"],
)  # fmt: skip


def changed(**changes):
    return Setting(**{**vars(SMALL), **changes})


def test_a_row_holds_every_figure():
    row = measured(changed(precision="bf16"), row_seconds=120)
    assert row["status"] == "ok"
    assert row["state_bytes"] == 2 * 32 * 4
    assert row["forward_ms_p20"] <= row["forward_ms"] <= row["forward_ms_p80"]
    assert row["train_tokens_per_s"] == pytest.approx(2 * 64 / row["train_ms"] * 1e3)
    assert row["activation_bytes_per_token"] > 32 * 4
    assert row["train_peak_bytes"] > 2**26
    assert row["peak_since"] == "warm-up"
    assert row["step_ms"] > 0
    assert 0 < row["dynamics_params"] < row["params"]


def test_out_of_memory_is_a_row_with_what_was_found_before(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # it is the CPU's memory that the row limits
    row = measured(changed(length=65536, batch=64), row_seconds=120)
    assert row["status"] == "out of memory"
    assert row["params"] > 0
    assert "train_ms" not in row


def test_a_row_that_takes_too_long_says_so():
    assert measured(SMALL, row_seconds=0.5)["status"] == "over 0.5 s"


def test_what_cannot_be_built_is_a_row_that_says_why():
    row = measured(changed(model="mamba", d_model=16), row_seconds=120)
    assert row["status"].startswith("failed: ")
    assert "block_params=12.0 leaves no MLP" in row["status"]


def test_warm_up_is_left_out_and_calls_are_counted():
    calls = []
    warm_at = []
    seconds = timed(lambda: calls.append(1), SMALL, torch.device("cpu"), lambda: warm_at.append(len(calls)))
    assert len(seconds) == SMALL.max_calls == len(calls) - WARMUP_CALLS
    assert warm_at == [WARMUP_CALLS]
    assert len(timed(lambda: None, changed(call_seconds=0.0), torch.device("cpu"))) == 1
    spread = milliseconds("x", [0.001, 0.002, 0.010])
    assert spread["x_ms"] == pytest.approx(2.0)
    assert spread["x_calls"] == 3


def test_growth_of_memory_is_judged_against_length():
    def row(length, activations, peak):
        figures = {"activation_bytes_per_token": activations, "train_peak_bytes": peak}
        return {"model": "x", "length": length} | figures

    assert memory_growth([row(10, 5.0, 1000), row(40, 5.1, 3900)])["linear"]
    assert not memory_growth([row(10, 5.0, 1000), row(40, 6.0, 3900)])["linear"]
    assert not memory_growth([row(10, 5.0, 1000), row(40, 5.0, 4900)])["linear"]
    assert memory_growth([row(10, 5.0, 1000), {"model": "x", "length": 40}]) is None


@pytest.mark.parametrize("part", ["backbones", "throughput"])
def test_a_part_prints_a_table_and_writes_json(part, monkeypatch, tmp_path, capsys):
    def found(setting, row_seconds):
        if setting.length == 128:
            return vars(setting) | {"status": "out of memory"}
        return vars(setting) | {"status": "ok", "train_ms": 2.0, "train_tokens_per_s": 123456.0}

    monkeypatch.setattr("lra_mru.bench.models.measured", found)
    monkeypatch.setattr("sys.argv", ["bench", part, "--lengths", "64", "128", "--json", str(tmp_path / "rows.json")])
    threads = torch.get_num_threads()
    bench.main()
    torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert "123,456" in printed
    assert "out of memory" in printed
    report = json.loads((tmp_path / "rows.json").read_text())
    assert {row["model"] for row in report["rows"]} == set(MODELS)
    assert len(report["rows"]) == len(MODELS) * 2 * (1 if part == "backbones" else 2)
    assert LENGTHS["backbones"] == [1024, 4096, 16384, 65536]
    if part == "throughput":
        assert {(row["fixed"], row["batch"]) for row in report["rows"]} == {
            ("batch", 8), ("tokens", 256), ("tokens", 128),
        }  # fmt: skip


def test_an_unknown_model_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench", "throughput", "--models", "rnn"])
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    assert stopped.value.code == 2
    assert "invalid choice: 'rnn'" in capsys.readouterr().err
