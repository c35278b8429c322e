"""Every kernel against reference.py: outputs and all gradients, with NaN in all memory not yet written."""

from collections.abc import Iterator

import pytest
import torch
from ops.op_cases import TOLERANCE, OpCase, assert_close, has_gradient, in_double, outputs_and_gradients
from torch import Tensor


@pytest.fixture(autouse=True)
def _poisoned_memory() -> Iterator[None]:
    """torch.empty gives NaN."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 3), (3, 17, 37), (1, 67, 130)], ids=str)
def test_kernel_is_the_reference(op_case: OpCase, shape: tuple[int, int, int]) -> None:
    arguments = op_case.inputs(*shape)
    found = outputs_and_gradients(op_case.fused, arguments)
    expected = outputs_and_gradients(op_case.reference, in_double(arguments))
    assert_close(found, expected, TOLERANCE[op_case.dtype])
    inputs = {f"d{name}": x for name, x in arguments.items() if has_gradient(x)}
    for name, x in inputs.items():
        assert (found[name].dtype, found[name].shape) == (x.dtype, x.shape)


def test_memory_layout_does_not_matter(double_case: OpCase) -> None:
    """Inputs with their axes in another order in memory, and a gradient that is expanded from one number."""
    arguments = double_case.inputs(3, 17, 37)
    strange = {
        name: x.detach().mT.contiguous().mT.requires_grad_() if has_gradient(x) and x.dim() > 1 else x
        for name, x in arguments.items()
    }
    assert any(isinstance(x, Tensor) and not x.is_contiguous() for x in strange.values())
    found = outputs_and_gradients(double_case.fused, strange)
    assert_close(found, outputs_and_gradients(double_case.fused, arguments), TOLERANCE[double_case.dtype])

    def gradient_of_sum(x: dict[str, object]) -> Tensor:
        outputs = double_case.fused(**x)
        first = outputs[0] if isinstance(outputs, tuple) else outputs
        return torch.autograd.grad(first.real.sum(), next(v for v in x.values() if isinstance(v, Tensor)))[0]

    torch.testing.assert_close(gradient_of_sum(strange), gradient_of_sum(arguments))


def test_one_step_at_a_time_is_the_whole(double_case: OpCase) -> None:
    """The op with L = 1, fed its own last state, is the step of inference."""
    B, L, N = 2, 9, 5
    arguments = {name: x.detach() if isinstance(x, Tensor) else x for name, x in double_case.inputs(B, L, N).items()}
    whole = double_case.fused(**arguments)
    state, steps = arguments.pop("h0", None), []
    for t in range(L):
        at_t = {name: x[:, t : t + 1] if isinstance(x, Tensor) and x.dim() == 3 else x for name, x in arguments.items()}
        output = double_case.fused(**at_t, h0=state)
        y, state = output if isinstance(output, tuple) else (output, output[:, -1])
        steps.append(y)
    expected = whole[0] if isinstance(whole, tuple) else whole
    assert torch.equal(torch.cat(steps, dim=1), expected)
