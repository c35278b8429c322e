"""bench gpu, as far as it goes without a GPU: what is timed is the ops and a step, and tables say what was found."""

import json

import pytest
import torch
from support import ROOT, assert_refused_in_one_line

from lra_mru.bench import __main__ as bench
from lra_mru.bench.gpu import measure, ops, peers, steps, table
from lra_mru.bench.gpu.ops import floor_ms
from lra_mru.bench.gpu.steps import STEPS, Step, covered

TINY = {"linear_scan": (2, 5, 8), "bmru_scan": (2, 5, 8), "selective_scan": (2, 5, 8, 4)}


def main_of(arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    threads = torch.get_num_threads()
    try:
        return bench.main()
    finally:
        torch.set_num_threads(threads)


def test_without_a_gpu_it_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert_refused_in_one_line(lambda arguments: main_of(arguments, monkeypatch), ["gpu"], "needs a GPU", capsys)
    assert_refused_in_one_line(
        lambda arguments: main_of(arguments, monkeypatch), ["gpu", "--minutes", "0"], "--minutes", capsys
    )


@pytest.mark.parametrize("name", list(ops.ops()))
def test_every_row_calls_its_op(name):
    row = ops.ops()[name]
    calls = row.make(TINY[row.op], row.dtype, "cpu")
    y = calls.forward()
    y = y[0] if isinstance(y, tuple) else y
    assert (tuple(y.shape), y.dtype) == (TINY[row.op][:3], row.dtype)
    gradients, found = calls.backward(), calls.both()
    shapes = [g.shape for g in gradients]
    assert all(g.shape in shapes for g in found)
    assert calls.forward_bytes < calls.backward_bytes <= 9 * y.nbytes + 4 * 2 * 5 * 4 * y.itemsize


def test_the_floor_of_a_scan():
    calls = ops.ops()["linear_scan (32, 1024, 256) float32"].make((2, 5, 8), torch.float32, "cpu")
    assert (calls.forward_bytes, calls.backward_bytes) == (3 * 320, 5 * 320)
    assert floor_ms(3 * 4 * 32 * 1024 * 256, 3000.0) == pytest.approx(0.0336, rel=1e-2)


def test_kernels_that_run_at_once_count_once():
    assert covered([]) == 0
    assert covered([(5, 6), (0, 2), (1, 3), (1.5, 1.6)]) == 4


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_step_trains(precision):
    tiny = Step(model="lru", precision=precision, batch=2, length=6, d_model=32, depth=1)
    calls = []
    train = steps.training_step(tiny, "cpu")
    assert steps.step_ms(train, synchronize=lambda: calls.append(1)) > 0
    assert len(calls) == steps.WARMUP_STEPS + steps.TIMED_STEPS


def test_a_peer_that_is_not_here_or_fails_is_told(monkeypatch):
    def broken():
        raise RuntimeError("no such kernel\nfor this")

    monkeypatch.setitem(__import__("sys").modules, "accelerated_scan", None)
    x = torch.zeros(1, 2, 3)
    assert ops._peer(lambda: peers.accelerated_scan(x, x, x))["status"].startswith("not here: ")
    assert ops._peer(broken)["status"] == "RuntimeError: no such kernel"


def test_the_report_is_complete_and_what_came_too_late_is_named(monkeypatch, tmp_path, capsys):
    found = {"op": "x", "shape": [1], "dtype": "float32", "status": "failed: no"}
    step = vars(Step(model="bmru", precision="bf16")) | {"step_ms": 4.0, "busy_ms": 1.0, "kernels": 7, "waits": 0}
    clock = iter(range(1000))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU of paper")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(ops, "copy_gb_per_s", lambda: 1000.0)
    monkeypatch.setattr(ops, "measured_op", lambda op, speed: found)
    monkeypatch.setattr(measure, "measured_step", lambda row: step)
    monkeypatch.setattr(measure.time, "monotonic", lambda: next(clock))
    late = len(ops.ops()) + 2
    with pytest.raises(SystemExit) as stopped:  # rows failed
        main_of(["gpu", "--minutes", str(late / 60), "--json", str(tmp_path / "x.json")], monkeypatch)
    assert stopped.value.code == 1
    report = json.loads((tmp_path / "x.json").read_text())
    assert report["left_out"] == list(STEPS)[2:]
    assert set(report) >= {"device", "commit", "date", "versions", "copy_gb_per_s", "ops", "steps"}
    page = capsys.readouterr().out
    assert "| bmru | bf16 | 16 x 1,024 | 4 | 1 | 25% | 7 | 0 |" in page
    assert "| x | 1 | float32 | failed: no | | | |" in page
    assert f"Left out for want of time: {', '.join(list(STEPS)[2:])}." in page


def test_the_page_is_made_from_the_records():
    assert table.PAGE.read_text() == table.markdown(table.reports())
    assert table.RECORDS == ROOT / "results/gpu"
    assert "| linear_scan | 32 x 1024 x 256 | float32 | 0.040 (1.2) | 0.069 (1.2) | 0.612 |" in table.PAGE.read_text()
