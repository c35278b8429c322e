"""GPU kernels: what the compiler made of them, the time that this should take, the bytes they move, and on a GPU their
speed against a device copy.
"""

import json
import os
import subprocess
import sys
from typing import Any

import torch
from torch import Tensor

from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan

SHAPES = ((64, 1024, 128), (16, 16384, 512), (1, 65536, 128))


def compiled_rows() -> list[dict[str, Any]]:
    """Registers, spills, shared memory and widest load of every kernel as it ships, on sm_90."""
    from lra_mru.bench.kernels.compiled import TARGETS, compile_launch, resources, shipped_launches

    rows = []
    for launch in shipped_launches():
        row = {"kernel": str(launch), "target": "sm_90"} | resources(compile_launch(launch, TARGETS["sm_90"]))
        print(
            f"{row['kernel']:<62} {row['registers']:4d} registers  {'SPILLS' if row['spilled'] else 'no spills'}"
            f"  {row['shared_bytes'] / 1024:6.1f} KB shared  widest load {row['widest_load_bytes']:2d} bytes",
            flush=True,
        )
        rows.append(row)
    return rows


def predicted_rows() -> list[dict[str, Any]]:
    """Milliseconds of every pass on an H100, predicted, beside what is wanted; what its launches are made of."""
    from lra_mru.bench.kernels.predicted import line, rows

    found = []
    for row in rows():
        print(line(row), flush=True)
        found.append(row)
    return found


def traffic_rows() -> list[dict[str, Any]]:
    """Bytes asked for per element of (B, L, N), against the floor; in a process of its own, with the interpreter on."""
    command = [sys.executable, "-m", "lra_mru.bench.kernels.traffic"]
    done = subprocess.run(
        command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        print(
            f"{row['pass']:<62} {row['bytes_per_element']:7.2f} bytes an element, floor {row['floor']:6.2f}"
            f"  ratio {row['ratio']:.2f}"
        )
    return rows


def _milliseconds(call: Any, rounds: int = 20) -> float:
    """Median time of call on the GPU."""
    times = []
    for _ in range(rounds + 3):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop))
    return sorted(times[3:])[rounds // 2]


def speed_rows() -> list[dict[str, Any]]:
    """GB/s of the forward and backward passes on this GPU, and of a copy between two tensors."""
    rows = []
    for shape in SHAPES:
        x, y, dh = (torch.rand(shape, device="cuda") for _ in range(3))
        gigabytes = x.numel() * 4 / 1e9
        copy = 2 * gigabytes / _milliseconds(lambda x=x, y=y: y.copy_(x)) * 1e3
        alpha = torch.ones(shape[2], device="cuda")

        def both(op: Any, *inputs: Tensor, dh: Tensor = dh) -> None:
            leaves = [value.detach().requires_grad_() for value in inputs]
            torch.autograd.grad(op(*leaves), leaves, dh)

        for name, call, tensors in (
            ("linear_scan forward", lambda x=x, y=y: linear_scan(x, y), 3),
            ("linear_scan forward + backward", lambda x=x, y=y: both(linear_scan, x, y), 8),
            ("bmru_scan forward", lambda x=x, y=y, alpha=alpha: bmru_scan(x, y, alpha), 3),
            ("bmru_scan forward + backward", lambda x=x, y=y, alpha=alpha: both(bmru_scan, x, y, alpha), 9),
        ):
            speed = tensors * gigabytes / _milliseconds(call) * 1e3
            print(
                f"{name:<32} {shape!s:<18} {speed:7.0f} GB/s, a copy {copy:7.0f} GB/s: {speed / copy:.2f}", flush=True
            )
            rows.append({"op": name, "shape": shape, "gb_per_s": speed, "copy_gb_per_s": copy})
    return rows


def run() -> dict[str, Any]:
    report: dict[str, Any] = {
        "compiled": compiled_rows(), "predicted": predicted_rows(), "traffic": traffic_rows()
    }  # fmt: skip
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
        report |= {"device": torch.cuda.get_device_name(), "speed": speed_rows()}
    else:
        print("no GPU here: nothing was timed")
    return report
