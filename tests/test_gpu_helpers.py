"""The GPU tests without a GPU: they are imported and collected, and what they share runs on the CPU."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu.look_back import SHORT, both_passes, check_lengths, check_odd_numbers, check_one_long_row, edges
from gpu.on_device import check_against_reference, check_far_end, killed_and_resumed, on, record_of, same_bits
from ops.op_cases import OPS, op_cases
from support import ROOT

CASES = {op: next(case for case in op_cases({torch.float32}) if case.op == op) for op in OPS}


@pytest.mark.parametrize("op", OPS)
def test_comparison_with_the_reference(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_against_reference(CASES[op], (2, 5, 8), "cpu")
    monkeypatch.setattr("gpu.on_device.TOLERANCE", {torch.float32: 0.0})
    with pytest.raises(AssertionError, match="error"):
        check_against_reference(CASES[op], (2, 50, 8), "cpu")


def test_far_end() -> None:
    for op in ("linear_scan", "bmru_scan"):
        check_far_end(op, 12, 4, "cpu")


@pytest.mark.parametrize("op", ["linear_scan", "bmru_scan"])
def test_checks_of_look_backs(op: str) -> None:
    lengths = edges(CASES[op], 2, 33)
    assert lengths[0] < 32
    assert lengths[-1] > 1000
    check_lengths(CASES[op], lengths[:2], "cpu")
    check_one_long_row(SHORT, "cpu")
    check_odd_numbers(20, "cpu")
    arguments = CASES[op].inputs(1, 5, 3)
    assert len(both_passes(CASES[op], arguments)) == 1 + sum(isinstance(x, torch.Tensor) for x in arguments.values())


def test_bits_and_places() -> None:
    x = torch.tensor([1.0, float("nan"), 0.0])
    assert same_bits(x, x.clone())
    assert not same_bits(x, -x)
    leaves = on("cpu", {"x": x.requires_grad_(), "s": 2})
    assert leaves["x"].is_leaf
    assert leaves["x"].requires_grad
    assert leaves["s"] == 2


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    changes = ("model=lru", "trainer.max_steps=60", "budget.val_every_steps=60", "checkpoint_minutes=0.001")
    assert killed_and_resumed(tmp_path, "cpu", *changes)["resumes"] > 0
    assert record_of(tmp_path)["steps"] == 60


def test_without_a_gpu_they_are_counted_as_deselected_and_the_reason_is_told() -> None:
    command = [sys.executable, "-m", "pytest", "tests/gpu", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={"PATH": "", "CUDA_VISIBLE_DEVICES": ""}
    )
    assert "deselected" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert int(re.findall(r"(\d+) deselected", done.stdout)[-1]) > 100
    assert "no GPU here" in done.stdout
