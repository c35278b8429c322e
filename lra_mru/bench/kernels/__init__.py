"""GPU kernels: what the compiler made of them, their predicted time on an H100, the bytes that they move, and on a GPU
their speed against a device copy.
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

TIMES_FLOOR = 1.15, 1.4  # wanted of a simple scan: at most so many times its bytes at a copy's speed; few channels
SCANS = {  # shapes (B, L, N) that are predicted, and whether their channels are few
    (8, 16384, 256): False,
    (32, 1024, 256): False,
    (64, 1024, 128): False,
    (16, 16384, 512): False,
    (1, 65536, 128): True,
    (1, 1048576, 128): True,
    (2, 4096, 64): True,
}
MAMBA_MS = {  # (B, L, D, N), dtype: forward and backward of mamba-ssm 2.3.2 on an H100, in its own layout
    ((8, 2048, 1536, 16), torch.float32): (0.873, 2.06),
    ((8, 2048, 1536, 16), torch.bfloat16): (0.443, 1.84),
    ((16, 1024, 512, 16), torch.float32): (0.297, 0.770),
    ((16, 1024, 512, 16), torch.bfloat16): (0.149, 0.624),
}
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
    """Milliseconds on an H100 as predict.py has them, beside what is wanted."""
    from lra_mru.bench.kernels.predict import passes, predicted_ms

    cases: list[tuple[str, tuple[int, ...], torch.dtype, tuple[float, ...]]] = [
        (op, shape, dtype, (TIMES_FLOOR[few],) * 2)
        for op in ("linear_scan", "bmru_scan")
        for shape, few in SCANS.items()
        for dtype in (torch.float32, torch.bfloat16)
    ]
    cases.append(("linear_scan", (8, 16384, 256), torch.complex64, (1.2, 1.2)))
    rows = []
    for op, shape, dtype, wanted in [*cases, *(("selective_scan", *key, ms) for key, ms in MAMBA_MS.items())]:
        for (name, (call, floor_ms)), most in zip(passes(op, shape, dtype).items(), wanted, strict=True):
            ms, launches = predicted_ms(call)
            wanted_ms = most if op == "selective_scan" else most * floor_ms
            row = {"op": op, "pass": name, "shape": shape, "dtype": str(dtype).removeprefix("torch."), "ms": ms}
            row |= {"wanted_ms": wanted_ms, "floor_ms": floor_ms, "limit": launches[-1][1].limit}
            print(
                f"{op:<14} {name:<8} {shape!s:<20} {row['dtype']:<9} predicted {ms:7.3f} ms  wanted {wanted_ms:7.3f} ms"
                f"  floor {floor_ms:7.3f} ms  limit: {row['limit']}",
                flush=True,
            )
            rows.append(row)
    return rows


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
        "compiled": compiled_rows(),
        "predicted": predicted_rows(),
        "traffic": traffic_rows(),
    }
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
        report |= {"device": torch.cuda.get_device_name(), "speed": speed_rows()}
    else:
        print("no GPU here: nothing was timed")
    return report
