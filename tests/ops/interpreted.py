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

import torch
from gpu.look_back import check_odd_numbers, check_one_long_row
from ops.op_cases import TOLERANCE, OpCase, assert_close, in_double, op_cases, outputs_and_gradients

from lra_mru.bench.kernels.interpreter import scan_whole_tiles
from lra_mru.ops import selective_scan
from lra_mru.ops._gpu import tiling
from lra_mru.ops._register import PASSES, overload
from lra_mru.ops.table_scan.gpu import CHUNK as TABLE_CHUNK

LOOK_BACK = ("linear_scan", "bmru_scan")
SHORT_CHUNKS = {"STEPS": 4, "SEGMENTS": 1, "LONG": 2, "SHORTEST_CHUNK": 8}  # of 8 steps, from the shortest length on
COMMON = (torch.float32, torch.complex64)  # at every length; other dtypes at two
INTERPRETED = TOLERANCE | {torch.bfloat16: 2**-5}  # the interpreter rounds towards zero: products lose three times 2^-7


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
    importlib.import_module(f"lra_mru.ops.{op}")
    library = torch.library.Library("lra_mru", "IMPL")
    call_what_is_registered_for_cuda(op, library)
    block = {"selective_scan": selective_scan.GPU_CHUNK, "table_scan": TABLE_CHUNK}.get(op, tiling.STEPS)
    lengths = (1, 2, 3, block - 1, block, block + 1, 3 * block + 5)
    torch.use_deterministic_algorithms(True)  # torch.empty gives NaN
    cases = [case for case in op_cases(set(TOLERANCE) - {torch.complex128}) if case.op == op]
    print(json.dumps(compare(cases[0], (1, 3, 2), "stock scan")), flush=True)
    scan_whole_tiles()
    for case in cases:
        for length in lengths if case.dtype in COMMON else (3, block + 1):
            print(json.dumps(compare(case, (1, length, 5), "one pass")), flush=True)
        print(json.dumps(compare(case, (2, 3, 35), "one pass")), flush=True)
        if op == "table_scan":  # it has one form, whatever the shape
            continue
        with patch.object(tiling, "FULL_GPU", 2):  # now programs are wide, where they have a choice
            for channels in (35, 70):
                print(json.dumps(compare(case, (1, block + 5, channels), "wide")), flush=True)
        with patch.multiple(tiling, **SHORT_CHUNKS):
            for length in (9, 29) if case.dtype in COMMON else (21,):
                print(json.dumps(compare(case, (2, length, 5), "cut in time")), flush=True)
    if op in LOOK_BACK:
        call_what_is_registered_for_cuda(*set(LOOK_BACK) - {op}, library)
        with patch.multiple(tiling, **SHORT_CHUNKS):
            check_one_long_row((1, 67, 3), "cpu")
            for length in (5, 30):
                check_odd_numbers(length, "cpu")
            print(json.dumps({"form": "odd numbers", "error": ""}), flush=True)
    assert f"lra_mru.ops.{op}.cpu" not in sys.modules, "something ran on the CPU's kernel"


if __name__ == "__main__":
    main(sys.argv[1])
