"""What the GPU tests do, for any device: tests/test_gpu_helpers.py runs it on the CPU, before a GPU comes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from ops.op_cases import TOLERANCE, OpCase, assert_close, in_double, on, outputs_and_gradients
from support import ROOT, TINY_COPY
from torch import Tensor

from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan

ACCELERATOR = {"cuda": "gpu", "cpu": "cpu"}  # Lightning's names
SHAPES = [  # short ones, widths around a tile, enough programs for wide ones, and past 4,096 steps, where time is cut
    (1, 1, 1),
    (2, 2, 3),
    (3, 17, 37),
    (1, 67, 130),
    (140, 33, 70),
    (1, 4099, 40),
]


def check_against_reference(case: OpCase, shape: tuple[int, int, int], device: str) -> None:
    """Outputs and gradients are the reference's in double precision, and a second call gives the same bits."""
    arguments = case.inputs(*shape)
    found = outputs_and_gradients(case.fused, on(device, arguments))
    again = outputs_and_gradients(case.fused, on(device, arguments))
    for name, value in found.items():
        assert same_bits(value, again[name]), f"{name}: two calls differ"
    expected = outputs_and_gradients(case.reference, in_double(arguments))
    assert_close({name: value.cpu() for name, value in found.items()}, expected, TOLERANCE[case.dtype])


def same_bits(x: Tensor, y: Tensor) -> bool:
    """Equal to the last bit, NaN included."""
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    x, y = (torch.view_as_real(z.contiguous()) if z.is_complex() else z.contiguous() for z in (x, y))
    return torch.equal(x.view(bits[x.itemsize]), y.view(bits[y.itemsize]))


def check_far_end(op: str, length: int, channels: int, device: str) -> None:
    """One event three steps before the end reaches the last steps and no step before it."""
    zeros, ones = (
        torch.full((1, length, channels), value, dtype=torch.bfloat16, device=device) for value in (0.0, 1.0)
    )
    zeros[:, length - 3] = 2
    h = linear_scan(ones, zeros) if op == "linear_scan" else bmru_scan(zeros, ones, torch.full_like(ones[0, 0], 2.0))
    assert not h[:, length - 4].any()
    assert (h[:, length - 3 :] == 2).all()


def overrides(folder: Path, device: str, *changes: str) -> list[str]:
    """Of a tiny run below folder on the device."""
    tiny = [change for change in TINY_COPY if not change.startswith("trainer.accelerator")]
    places = [f"{key}_dir={folder / key}" for key in ("results", "data", "runs")]
    return [*tiny, *places, f"trainer.accelerator={ACCELERATOR[device]}", *changes]


def train(arguments: list[str]) -> subprocess.Popen[str]:
    """train.py in a process of its own."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def record_of(folder: Path) -> dict[str, Any]:
    """Of the one run below folder."""
    (path,) = (folder / "results").rglob("seed*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def finished(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """The record of a run that must end well."""
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors[-2000:]
    return record_of(folder)


def killed_and_resumed(folder: Path, device: str, *changes: str) -> dict[str, Any]:
    """The record of a run that got a SIGKILL once it had saved, and was started again."""
    arguments = overrides(folder, device, *changes)
    first, until = train(arguments), time.monotonic() + 150
    while not list(folder.rglob("last.ckpt")) and first.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert first.poll() is None, first.communicate()[1][-2000:]
    first.send_signal(signal.SIGKILL)
    first.communicate()
    return finished(train(arguments), folder)
