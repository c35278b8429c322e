"""No rows or no channels: empty results of the right shapes, and gradients of nothing, on the CPU and on a GPU.

A kernel has nothing to do there, so that what is registered for a GPU runs on tensors of the CPU.
"""

from collections.abc import Iterator

import pytest
import torch
from ops.interpreted import call_what_is_registered_for_cuda
from ops.op_cases import OPS, OpCase, op_cases, outputs_and_gradients

from lra_mru.ops._gpu import tiling

CASES = [
    (case, shape)
    for case in op_cases({torch.float32, torch.complex64})
    for shape in ((0, 3, 5), (0, 67, 5), (2, 3, 0), (2, 67, 0))  # 3 steps in one pass, 67 in three
    if shape[2] or case.op != "table_scan"  # which refuses to have no head
]


@pytest.fixture(params=["cpu", "cuda"])
def _as_on(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tiling, "LONG", 2)
    monkeypatch.setattr(tiling, "SHORTEST_CHUNK", 32)
    library = torch.library.Library("lra_mru", "IMPL")
    if request.param == "cuda":
        for op in OPS:
            call_what_is_registered_for_cuda(op, library)
    yield
    library._destroy()


@pytest.mark.filterwarnings("ignore:Warning only once for all operators")
@pytest.mark.usefixtures("_as_on")
@pytest.mark.parametrize(("case", "shape"), CASES, ids=str)
def test_nothing_comes_of_nothing(case: OpCase, shape: tuple[int, int, int]) -> None:
    found = outputs_and_gradients(case.fused, case.inputs(*shape))
    expected = outputs_and_gradients(case.reference, case.inputs(*shape))
    assert {name: x.shape for name, x in found.items()} == {name: x.shape for name, x in expected.items()}
    assert not any(x.any() for x in found.values())
