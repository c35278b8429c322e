"""Derivatives against finite differences, and the rules of torch.library and torch.compile."""

from functools import partial

import pytest
import torch
from ops.op_cases import TOLERANCE, OpCase, assert_close, op_cases, outputs_and_gradients
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lra_mru.ops.bmru_scan import _bmru_scan, _bmru_scan_backward, bmru_scan
from lra_mru.ops.linear_scan import _linear_scan, _linear_scan_backward
from lra_mru.ops.selective_scan import _selective_scan, _selective_scan_backward
from lra_mru.ops.table_scan import _table_scan, _table_scan_backward

# Without table_scan: all its derivatives are surrogates, which test_table_scan.py has from their equations.
SMOOTH = [case for case in op_cases({torch.float64, torch.complex128}) if case.op != "table_scan"]


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_gradcheck(case: OpCase) -> None:
    """Finite differences, but where the derivative is a surrogate: c and beta of bmru_scan, or a gate let through."""
    if case.op == "bmru_scan":
        arguments = case.inputs(2, 3, 2) | {"carry_grad": 0.0}
        for name in ("c", "beta"):
            arguments[name].requires_grad_(False)
    else:
        arguments = case.inputs(2, 3, 2)
    names = [name for name, x in arguments.items() if isinstance(x, Tensor)]

    def function(*tensors: Tensor) -> Tensor:
        return case.fused(**(arguments | dict(zip(names, tensors, strict=True))))

    assert torch.autograd.gradcheck(function, [arguments[name] for name in names])


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.bfloat16], ids=str)
def test_linear_scan_is_a_lawful_op(dtype: torch.dtype) -> None:
    a, b, dh = (torch.randn(2, 3, 4, dtype=dtype) for _ in range(3))
    h0 = torch.randn(2, 4, dtype=torch.float32 if dtype == torch.bfloat16 else dtype)
    torch.library.opcheck(_linear_scan_backward, (a, b, h0, dh))
    torch.library.opcheck(_linear_scan, tuple(x.requires_grad_() for x in (a, b, h0)))
    torch.library.opcheck(_linear_scan, (h0.detach()[0], b, h0))


def test_bmru_scan_is_a_lawful_op() -> None:
    c, beta, h, dh = (torch.randn(2, 3, 4) for _ in range(4))
    alpha, h0 = torch.randn(4), torch.randn(2, 4)
    torch.library.opcheck(_bmru_scan_backward, (c, beta, alpha, h, h0, dh, 0.5))
    torch.library.opcheck(_bmru_scan, (*(x.requires_grad_() for x in (c, beta, alpha, h0)), 0.5))


def test_compiles_into_one_graph(double_case: OpCase) -> None:
    """No graph break, for a length that varies, and the numbers stay."""
    compiled = torch.compile(double_case.fused, fullgraph=True, dynamic=True, backend="aot_eager")
    for length in (7, 12):
        arguments = double_case.inputs(2, length, 5)
        found = outputs_and_gradients(compiled, arguments)
        assert_close(found, outputs_and_gradients(double_case.fused, arguments), TOLERANCE[double_case.dtype])


def test_saved_tensors_may_be_read_twice(double_case: OpCase) -> None:
    """Under torch's own checkpointing, of which each read of a saved tensor computes the block again."""
    arguments = double_case.inputs(2, 7, 5)
    again = partial(checkpoint, double_case.fused, use_reentrant=False)
    found, expected = outputs_and_gradients(again, arguments), outputs_and_gradients(double_case.fused, arguments)
    assert_close(found, expected, TOLERANCE[double_case.dtype])


def test_second_derivative_is_refused() -> None:
    """Not silently zero."""
    c, beta, alpha = torch.randn(1, 4, 2), torch.rand(1, 4, 2), torch.ones(2)
    c.requires_grad_()
    (dc,) = torch.autograd.grad(bmru_scan(c, beta, alpha).sum(), c, create_graph=True)
    with pytest.raises(RuntimeError):
        dc.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_table_scan_is_a_lawful_op(dtype: torch.dtype) -> None:
    logits, h0, dh = torch.randn(2, 3, 18, dtype=dtype), torch.randn(2, 6), torch.randn(2, 3, 6, dtype=dtype)
    for keys in (None, torch.randint(99, (2, 3, 1))):
        _, tau, states = _table_scan(logits, h0, keys, 3, 0.5)
        torch.library.opcheck(_table_scan_backward, (logits, tau, states, keys, dh, 3, 0.5))
        leaves = (x.clone().requires_grad_() for x in (logits, h0))
        torch.library.opcheck(_table_scan, (*leaves, keys, 3, 0.5))


def test_selective_scan_is_a_lawful_op() -> None:
    u, delta, z, dy = (torch.rand(2, 3, 4) for _ in range(4))
    A, B, C = -torch.rand(4, 5), torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    D, bias, h0 = torch.randn(4), torch.randn(4), torch.randn(2, 4, 5)
    for gate, signed in ((z, False), (None, True)):
        arguments = (u, delta, A, B, C, D, gate, bias, h0, True, signed)
        starts = _selective_scan(*arguments)[2]
        torch.library.opcheck(
            _selective_scan_backward, (u, delta, A, B, C, D, gate, bias, starts, dy, torch.randn(2, 4, 5), True, signed)
        )
        torch.library.opcheck(
            _selective_scan, tuple(x.clone().requires_grad_() if isinstance(x, Tensor) else x for x in arguments)
        )
