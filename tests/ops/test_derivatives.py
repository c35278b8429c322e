"""Derivatives beyond the first in reverse mode: right where a formula exists, refused in one line where none does."""

from collections.abc import Callable

import pytest
import torch
from ops.op_cases import op_cases
from torch import Tensor
from torch.autograd import forward_ad

from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan
from lra_mru.ops.linear_scan.reference import linear_scan as linear_scan_loop
from lra_mru.ops.selective_scan import selective_scan
from lra_mru.ops.table_scan import table_scan

LINEAR = [case for case in op_cases({torch.float64, torch.complex128}) if case.op == "linear_scan"]


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_every_derivative_of_linear_scan_is_that_of_finite_differences(case) -> None:  # type: ignore[no-untyped-def]
    """First and second, in reverse mode, in forward mode, and one over the other."""
    arguments = case.inputs(1, 3, 2)
    assert torch.autograd.gradcheck(
        lambda *x: linear_scan(*x), tuple(arguments.values()), check_forward_ad=True, check_batched_grad=True,
        check_batched_forward_grad=True,
    )  # fmt: skip
    assert torch.autograd.gradgradcheck(
        lambda *x: linear_scan(*x), tuple(arguments.values()), check_fwd_over_rev=True, check_rev_over_rev=True
    )


def _loss(a: Tensor, scan: Callable[..., Tensor]) -> Tensor:
    return scan(a.expand(1, 3, 1), torch.ones(1, 3, 1, dtype=torch.float64)).sum()


HALF = torch.tensor(0.5, dtype=torch.float64)
NESTED = {
    "autograd.functional.hessian": lambda f, a: torch.autograd.functional.hessian(f, a),
    "autograd.functional.jvp": lambda f, a: torch.autograd.functional.jvp(f, a, torch.ones_like(a))[1],
    "func.hessian": lambda f, a: torch.func.hessian(f)(a),
    "func.jacfwd": lambda f, a: torch.func.jacfwd(f)(a),
    "func.jacrev": lambda f, a: torch.func.jacrev(f)(a),
    "func.grad of grad": lambda f, a: torch.func.grad(torch.func.grad(f))(a),
    "func.jacfwd of jacfwd": lambda f, a: torch.func.jacfwd(torch.func.jacfwd(f))(a),
    "func.vmap of grad": lambda f, a: torch.func.vmap(torch.func.grad(f))(torch.stack([a, 2 * a])),
    "third": lambda f, a: torch.func.grad(torch.func.grad(torch.func.grad(f)))(a),
}


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("derivative", NESTED.values(), ids=list(NESTED))
def test_derivatives_of_torch_func_are_those_of_the_loop(derivative: Callable[..., Tensor]) -> None:
    found = derivative(lambda a: _loss(a, linear_scan), HALF)
    torch.testing.assert_close(found, derivative(lambda a: _loss(a, linear_scan_loop), HALF))


def test_the_example_by_hand() -> None:
    """a = 0.5, b = 1: h = 1, 1 + a, 1 + a + a^2."""
    jacobian = torch.func.jacfwd(lambda a: linear_scan(a.expand(1, 3, 1), torch.ones(1, 3, 1)))(torch.tensor(0.5))
    assert jacobian.flatten().tolist() == [0.0, 1.0, 2.0]
    assert torch.autograd.functional.hessian(lambda a: _loss(a, linear_scan), HALF).item() == 2.0


def test_forward_mode_in_a_compiled_graph() -> None:
    a, b = torch.rand(1, 4, 2), torch.randn(1, 4, 2)

    def tangent(a: Tensor) -> Tensor:
        return torch.func.jvp(lambda x: linear_scan(x, b), (a,), (torch.ones_like(a),))[1]

    torch.testing.assert_close(torch.compile(tangent, fullgraph=True, backend="aot_eager")(a), tangent(a))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_second_derivatives_keep_dtypes(dtype: torch.dtype) -> None:
    a, b = torch.rand(3).requires_grad_(), torch.randn(2, 4, 3).to(dtype).requires_grad_()
    (da,) = torch.autograd.grad(linear_scan(a, b).float().square().sum(), a, create_graph=True)
    found = torch.autograd.grad(da.sum(), (a, b))
    assert [x.dtype for x in found] == [torch.float32, dtype]


def _bmru(c: Tensor) -> Tensor:
    return bmru_scan(c, torch.full_like(c, 0.5), torch.ones(2)).square().sum()


def _selective(u: Tensor) -> Tensor:
    B = torch.ones(1, 3, 4)
    return selective_scan(u, torch.ones_like(u), -torch.ones(2, 4), B, B)[0].square().sum()


def _table(x: Tensor) -> Tensor:
    weights = torch.arange(12.0).view(1, 3, 4)
    return (table_scan(x.repeat(1, 1, 4), 2, 0.5) * weights).sum()


ONCE = {"bmru_scan": _bmru, "selective_scan": _selective, "table_scan": _table}
REFUSED: dict[str, Callable[..., object]] = {
    "autograd.functional.hessian": lambda f, x: torch.autograd.functional.hessian(f, x),
    "func.hessian": lambda f, x: torch.func.hessian(f)(x),
    "func.grad of grad": lambda f, x: torch.func.grad(lambda y: torch.func.grad(f)(y).sum())(x),
    "func.jvp": lambda f, x: torch.func.jvp(f, (x,), (x,)),
    "func.jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "jvp of grad": lambda f, x: torch.func.jvp(torch.func.grad(f), (x,), (x,)),
}


@pytest.mark.parametrize("derivative", REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("op", ONCE)
def test_others_refuse_what_they_have_not(op: str, derivative: Callable[..., object]) -> None:
    with pytest.raises(NotImplementedError, match=f"^{op} has first derivatives in reverse mode alone") as caught:
        derivative(ONCE[op], torch.ones(1, 3, 2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("op", ONCE)
def test_dual_tensors_are_refused(op: str) -> None:
    x = torch.ones(1, 3, 2)
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match=f"^{op} has first derivatives"):
        ONCE[op](forward_ad.make_dual(x, x))


@pytest.mark.parametrize("op", ONCE)
def test_first_derivatives_by_torch_func_are_those_of_backward(op: str) -> None:
    x = torch.randn(1, 3, 2)
    (expected,) = torch.autograd.grad(ONCE[op](x.requires_grad_()), x)
    assert torch.equal(torch.func.grad(ONCE[op])(x.detach()), expected)
    assert torch.equal(torch.func.jacrev(ONCE[op])(x.detach()), expected)
