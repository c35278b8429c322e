"""The bench measures what it says: counted memory, ratios the right way round, and a composed cell that is the cell."""

import subprocess
import sys

import torch

from lra_mru.bench.cpu import Comparison, bmru_inputs, composed_bmru
from lra_mru.bench.cpu_sizes import peak_extra_bytes, saved_bytes
from lra_mru.bench.timing import interleaved, machine
from lra_mru.ops.bmru_scan import bmru_scan


def test_the_composed_cell_is_the_cell() -> None:
    c, beta, alpha, dh = bmru_inputs((2, 40, 3))
    for fused, composed in zip(
        torch.autograd.grad(bmru_scan(c, beta, alpha), (c, beta, alpha), dh),
        torch.autograd.grad(composed_bmru(c, beta, alpha), (c, beta, alpha), dh),
        strict=True,
    ):
        torch.testing.assert_close(fused, composed, rtol=1e-4, atol=1e-5)


def test_ratios_point_the_right_way() -> None:
    sizes = {"name": "x", "shape": (1,), "theirs": "y"}
    assert Comparison(**sizes, ours_ms=1.0, theirs_ms=2.0, at_most=0.6).holds
    assert not Comparison(**sizes, ours_ms=1.0, theirs_ms=2.0, at_most=0.4).holds
    assert Comparison(**sizes, ours_ms=1.0, theirs_ms=2.0, at_least=2.0).holds
    assert not Comparison(**sizes, ours_ms=1.0, theirs_ms=2.0, at_least=2.1).holds


def test_memory_is_counted() -> None:
    x = torch.randn(1000, requires_grad=True)
    assert saved_bytes(lambda: x.exp().sin()) == 4000  # exp keeps its output, which is sin's input: counted once
    assert saved_bytes(lambda: x.exp() * x.sin()) == 12000  # two factors, and x
    assert 4_000_000 <= peak_extra_bytes(lambda: torch.ones(1_000_000)) < 4_100_000


def test_first_calls_leave_no_kernel_out() -> None:
    script = """
import importlib
from numba.core.dispatcher import Dispatcher
from lra_mru.bench import first_calls
first_calls.calls()
for op in ("linear_scan", "bmru_scan", "selective_scan"):
    for name, found in vars(importlib.import_module(f"lra_mru.ops.{op}.cpu")).items():
        if isinstance(found, Dispatcher) and name in ("_forward", "_backward"):
            print(op, name, len(found.signatures))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert sorted(done.stdout.splitlines()) == [
        *("bmru_scan _backward 1", "bmru_scan _forward 1"),
        *("linear_scan _backward 2", "linear_scan _forward 2"),  # real and complex
        *("selective_scan _backward 1", "selective_scan _forward 1"),
    ]


def test_every_candidate_is_called_in_every_round() -> None:
    calls: list[str] = []
    interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert "".join(calls) == "ab" + 2 * "aabb"
    assert str(torch.get_num_threads()) in machine()


def test_unknown_part_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "lra_mru.bench", "gpus"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "cpu" in done.stderr
