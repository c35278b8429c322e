"""The Triton kernels on the CPU, in Triton's interpreter: one process per op, one test per comparison in it."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ops.op_cases import OPS

from lra_mru.bench.kernels import traffic_rows

SCRIPT = Path(__file__).with_name("interpreted.py")
FORMS = ("stock scan", "one pass", "wide", "cut in time")


@cache
def comparisons(op: str) -> list[dict[str, str]]:
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": f"{SCRIPT.parents[1]}:{SCRIPT.parents[2]}"}
    command = [sys.executable, str(SCRIPT), op]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op", OPS)
def test_triton_kernels_are_the_reference(op: str, form: str) -> None:
    """Outputs and all gradients, for awkward lengths and widths, nonzero h0, and NaN in all memory not yet written."""
    found = [comparison for comparison in comparisons(op) if comparison["form"] == form]
    assert found
    assert [comparison for comparison in found if comparison["error"]] == []


def test_no_kernel_moves_a_tenth_more_than_the_floor() -> None:
    rows = traffic_rows()
    assert {row["pass"].split()[0] for row in rows} == set(OPS)
    assert [row for row in rows if not 0.999 < row["ratio"] <= 1.1] == []
