"""Runs the Triton kernels of one op on the CPU, in Triton's interpreter, against reference.py. Not a test file itself:

    TRITON_INTERPRET=1 python interpreted.py OP        prints one JSON line per comparison

On tensors of the CPU, what is registered for "cuda" is called: the whole way of a user from the public function by its
checks, its autograd and its schema to the kernel.
"""

import importlib
import json
import os
import sys
from unittest.mock import patch

import numpy as np
import torch
import triton
import triton.runtime.interpreter
from ops.op_cases import TOLERANCE, OpCase, assert_close, in_double, op_cases, outputs_and_gradients
from triton.runtime.interpreter import ScanOps

from lra_mru.ops import selective_scan
from lra_mru.ops._gpu import tiling
from lra_mru.ops._register import PASSES, overload

SHORT_CHUNKS = {"STEPS": 4, "SEGMENTS": 1, "LONG": 2, "SHORTEST_CHUNK": 8}  # of 8 steps, from the shortest length on
COMMON = (torch.float32, torch.complex64)  # at every length; other dtypes at two
INTERPRETED = TOLERANCE | {torch.bfloat16: 2**-5}  # the interpreter rounds towards zero: products lose three times 2^-7


def scan_in_log_steps(self, inputs):  # type: ignore[no-untyped-def]
    """tl.associative_scan on whole tiles; the interpreter's own calls Python for every element, 100 x slower.

    It brackets like a GPU, not from left to right, so that a combine that is not associative is caught.
    """
    axis, current = self.axis, [x.handle.data for x in inputs]
    length, distance = current[0].shape[axis], 1
    assert not self.reverse
    while distance < length:  # np.roll keeps the shape; what it wraps around is dropped below
        left = [self.to_tensor(np.roll(d, distance, axis), x.dtype) for d, x in zip(current, inputs, strict=True)]
        right = [self.to_tensor(d, x.dtype) for d, x in zip(current, inputs, strict=True)]
        combined = self.combine_fn.fn(*left, *right)
        combined = combined if isinstance(combined, tuple) else (combined,)
        keep = (np.arange(length) >= distance).reshape([-1 if i == axis else 1 for i in range(current[0].ndim)])
        current = [np.where(keep, y.handle.data, d) for y, d in zip(combined, current, strict=True)]
        distance *= 2
    return [self.to_tensor(d, x.dtype) for d, x in zip(current, inputs, strict=True)]


def call_what_is_registered_for_cuda(op: str, library: torch.library.Library) -> None:
    """From here on both passes of op, called on tensors of the CPU, go where they would go on tensors of a GPU."""
    cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
    for name in PASSES:
        function = overload(op, name)
        library.impl(function, lambda *args, f=function: f.redispatch(cuda, *args), "CPU", allow_override=True)


def compare(op_case: OpCase, shape: tuple[int, int, int], form: str) -> dict[str, str]:
    """One comparison; error is empty where all outputs and gradients agree."""
    arguments = op_case.inputs(*shape)
    error = ""
    try:
        found = outputs_and_gradients(op_case.fused, arguments)
        assert_close(found, outputs_and_gradients(op_case.reference, in_double(arguments)), INTERPRETED[op_case.dtype])
    except AssertionError as problem:
        error = str(problem) or "assertion without a message"
    return {"case": str(op_case), "shape": str(shape), "form": form, "error": error}


def main(op: str) -> None:
    assert os.environ.get("TRITON_INTERPRET") == "1"
    assert triton.__version__.startswith("3."), "scan_in_log_steps stands in for a private method of Triton 3"
    stock = ScanOps.generic_scan
    importlib.import_module(f"lra_mru.ops.{op}")
    library = torch.library.Library("lra_mru", "IMPL")
    call_what_is_registered_for_cuda(op, library)
    block = selective_scan.GPU_CHUNK if op == "selective_scan" else tiling.STEPS
    lengths = (1, 2, 3, block - 1, block, block + 1, 3 * block + 5)
    torch.use_deterministic_algorithms(True)  # torch.empty gives NaN
    cases = [
        case for case in op_cases({torch.float32, torch.float64, torch.bfloat16, torch.complex64}) if case.op == op
    ]
    print(json.dumps(compare(cases[0], (1, 3, 2), "stock scan")), flush=True)
    ScanOps.generic_scan = scan_in_log_steps
    assert stock is not scan_in_log_steps
    for case in cases:
        for length in lengths if case.dtype in COMMON else (3, block + 1):
            print(json.dumps(compare(case, (1, length, 5), "one pass")), flush=True)
        print(json.dumps(compare(case, (2, 3, 35), "one pass")), flush=True)
        with patch.object(tiling, "FULL_GPU", 2):  # now programs are wide, where they have a choice
            for channels in (35, 70):
                print(json.dumps(compare(case, (1, block + 5, channels), "wide")), flush=True)
        with patch.multiple(tiling, **SHORT_CHUNKS):
            for length in (9, 29) if case.dtype in COMMON else (21,):
                print(json.dumps(compare(case, (2, length, 5), "cut in time")), flush=True)
    assert f"lra_mru.ops.{op}.cpu" not in sys.modules, "something ran on the CPU's kernel"


if __name__ == "__main__":
    main(sys.argv[1])
