"""The ops on a real GPU, against their references."""

import pytest
import torch
from gpu.on_device import SHAPES, check_against_reference, check_far_end
from ops.op_cases import OPS, OpCase, op_cases, outputs_and_gradients

from lra_mru.ops._register import overload
from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan

pytestmark = pytest.mark.gpu

CASES = op_cases({torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128})
FIRST = {op: next(case for case in op_cases({torch.float32}) if case.op == op) for op in OPS}


@pytest.fixture(autouse=True)
def _poisoned_memory():  # type: ignore[no-untyped-def]
    """torch.empty gives NaN; one thread for each of the processes that test side by side."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_op_is_the_reference(case: OpCase, shape: tuple[int, int, int]) -> None:
    check_against_reference(case, shape, "cuda")


@pytest.mark.parametrize("op", ["linear_scan", "bmru_scan"])
def test_past_two_to_the_31_elements(op: str) -> None:
    if torch.cuda.mem_get_info()[0] < 24 * 2**30:
        pytest.skip("needs 24 GiB of free GPU memory")
    check_far_end(op, 2**24 + 3, 128, "cuda")


def test_hardly_any_decay_over_100_000_steps() -> None:
    a, b = torch.full((2, 100_000, 8), 1 - 1e-6), torch.randn(2, 100_000, 8)
    expected = linear_scan(a.double(), b.double())
    error = (linear_scan(a.cuda(), b.cuda()).cpu() - expected).norm() / expected.norm()
    assert error < 1e-4


def test_bmru_holds_for_a_million_steps() -> None:
    c = torch.zeros(1, 1_000_000, 4, device="cuda")
    c[:, 0] = torch.tensor([2.0, -2.0, 2.0, -2.0])
    h = bmru_scan(c, torch.ones_like(c), torch.full((4,), 0.7, device="cuda"))
    assert (h == h[:, :1]).all()


def test_bmru_gives_the_bits_of_the_cpu() -> None:
    c, beta, alpha = torch.randn(4, 5000, 128), 2 + torch.rand(4, 5000, 128), torch.rand(128) + 0.5
    assert torch.equal(bmru_scan(c.cuda(), beta.cuda(), alpha.cuda()).cpu(), bmru_scan(c, beta, alpha))


@pytest.mark.parametrize("case", FIRST.values(), ids=str)
def test_inductor_makes_one_graph(case: OpCase) -> None:
    arguments = {k: x.detach().cuda().requires_grad_() if isinstance(x, torch.Tensor) else x
                 for k, x in case.inputs(2, 65, 32).items()}  # fmt: skip
    compiled = outputs_and_gradients(torch.compile(case.fused, fullgraph=True), arguments)
    for name, value in outputs_and_gradients(case.fused, arguments).items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-4)


def test_tensors_of_two_devices_are_refused() -> None:
    a, b, h0 = torch.rand(1, 3, 2), torch.rand(1, 3, 2), torch.rand(1, 2)
    for arguments in ((a.cuda(), b, h0), (a, b.cuda(), h0), (a, b, h0.cuda())):
        with pytest.raises(ValueError, match="expected"):
            overload("linear_scan", "forward")(*arguments)
