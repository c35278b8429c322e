"""What torch calls for each device takes what the schema passes: for every op, both passes, and without a GPU."""

import importlib

import pytest
import torch
from ops.op_cases import OPS, OpCase, op_cases
from torch._ops import OpOverload

from lra_mru.ops._register import MODULES, PASSES, implementation, overload

CUDA = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)


@pytest.mark.parametrize("device", MODULES)
@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("op", OPS)
def test_arguments_are_those_of_the_schema(op: str, name: str, device: str) -> None:
    importlib.import_module(f"lra_mru.ops.{op}")
    assert callable(implementation(op, name, device))
    key = {"cpu": "CPU", "cuda": "CUDA"}[device]
    assert torch._C._dispatch_has_kernel_for_dispatch_key(overload(op, name).name(), key)


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("op", OPS)
def test_a_function_with_other_arguments_is_caught(op: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through what is registered for "cuda", with one argument less than the schema passes, and with two exchanged."""
    importlib.import_module(f"lra_mru.ops.{op}")
    function = overload(op, name)
    names = [argument.name for argument in function._schema.arguments]
    gpu = importlib.import_module(f"lra_mru.ops.{op}.gpu")
    for takes in (names[:-1], [names[1], names[0], *names[2:]]):
        implementation.cache_clear()
        monkeypatch.setattr(gpu, name, eval(f"lambda {', '.join(takes)}: None"))
        message = rf"gpu\.{name} takes \({', '.join(takes)}\), its schema passes \({', '.join(names)}\)"
        with pytest.raises(TypeError, match=message):
            function.redispatch(CUDA, *_values(function))
    implementation.cache_clear()


def _values(function: OpOverload) -> list[object]:
    """Something of the right type for every argument."""
    values = {"Tensor": torch.zeros(1), "Optional[Tensor]": None, "float": 0.0, "bool": False, "int": 1}
    return [values[str(argument.type)] for argument in function._schema.arguments]


def test_every_op_has_cases() -> None:
    cases: list[OpCase] = op_cases({torch.float32})
    assert {case.op for case in cases} == set(OPS)
