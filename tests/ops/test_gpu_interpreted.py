"""The Triton kernels on the CPU, in Triton's interpreter: one process per op, one test per comparison in it."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import triton
from ops.op_cases import OPS

from lra_mru.bench.kernels import traffic_rows

SCRIPT = Path(__file__).with_name("interpreted.py")
FORMS = dict.fromkeys(OPS, ("stock scan", "one pass", "wide", "cut in time"))
FORMS |= dict.fromkeys(("linear_scan", "bmru_scan"), (*FORMS["linear_scan"], "odd numbers"))
FORMS["table_scan"] = ("stock scan", "one pass")  # it has no other

# Seen: "only 0-dimensional arrays can be converted to Python scalars" at every loop.
works = pytest.mark.skipif(
    tuple(map(int, triton.__version__.split(".")[:2])) < (3, 7) and np.lib.NumpyVersion(np.__version__) >= "2.4.0",
    reason="the interpreter of Triton before 3.7 does not run on NumPy from 2.4 on",
)


@cache
def comparisons(op: str) -> list[dict[str, str]]:
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": f"{SCRIPT.parents[1]}:{SCRIPT.parents[2]}",
    }
    command = [sys.executable, str(SCRIPT), op]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@works
@pytest.mark.parametrize(("op", "form"), [(op, form) for op, forms in FORMS.items() for form in forms])
def test_triton_kernels_are_the_reference(op: str, form: str) -> None:
    """Outputs and all gradients, for awkward lengths and widths, nonzero h0, and NaN in all memory not yet written."""
    found = [comparison for comparison in comparisons(op) if comparison["form"] == form]
    assert found
    assert [comparison for comparison in found if comparison["error"]] == []


@works
def test_no_kernel_moves_a_tenth_more_than_the_floor() -> None:
    rows = traffic_rows()
    assert {row["pass"].split()[0] for row in rows} == set(OPS)
    assert [row for row in rows if not 0.999 < row["ratio"] <= 1.1] == []
