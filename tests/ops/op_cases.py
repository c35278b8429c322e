"""The ops, found by looking into the folders, and how any two ways of calling one are compared."""

import importlib
import pkgutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import lra_mru.ops

OPS = [m.name for m in pkgutil.iter_modules(lra_mru.ops.__path__) if m.ispkg and not m.name.startswith("_")]
DOUBLE = {torch.float32: torch.float64, torch.bfloat16: torch.float64, torch.complex64: torch.complex128}
TOLERANCE = {  # of the largest value that the reference gives in double precision; the same for every op
    torch.float64: 1e-10,
    torch.complex128: 1e-10,
    torch.float32: 1e-5,
    torch.complex64: 1e-5,
    torch.bfloat16: 1e-2,
}


@dataclass(frozen=True)
class OpCase:
    """One way to call one op."""

    op: str
    case: str
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.op}-{self.case}-{str(self.dtype).removeprefix('torch.')}"

    @property
    def fused(self) -> Callable[..., Any]:
        return getattr(importlib.import_module(f"lra_mru.ops.{self.op}"), self.op)

    @property
    def reference(self) -> Callable[..., Any]:
        return getattr(importlib.import_module(f"lra_mru.ops.{self.op}.reference"), self.op)

    def inputs(self, B: int, L: int, N: int, seed: int = 0) -> dict[str, Any]:
        """Arguments; every tensor among them is a leaf that asks for its gradient."""
        cases = importlib.import_module(f"lra_mru.ops.{self.op}.cases").CASES
        arguments = cases[self.case](B, L, N, self.dtype, torch.Generator().manual_seed(seed))
        return {name: x.requires_grad_() if isinstance(x, Tensor) else x for name, x in arguments.items()}


def outputs_and_gradients(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Tensor]:
    """Every output, and the gradient of a fixed random combination of them for every input: "h", "y1", "da", "db"..."""
    outputs = function(**arguments)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, dtype=torch.float64, generator=generator).to(y.dtype) for y in outputs]
    inputs = {name: x for name, x in arguments.items() if isinstance(x, Tensor)}
    gradients = torch.autograd.grad(outputs, list(inputs.values()), weights)
    found = {f"output {i}": y.detach() for i, y in enumerate(outputs)}
    return found | {f"d{name}": gradient for name, gradient in zip(inputs, gradients, strict=True)}


def in_double(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same numbers as leaves in double precision."""
    return {
        name: x.detach().to(DOUBLE.get(x.dtype, x.dtype)).requires_grad_() if isinstance(x, Tensor) else x
        for name, x in arguments.items()
    }


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Each within the tolerance, as a share of the largest expected value; found NaN fails."""
    assert found.keys() == expected.keys()
    for name, value in found.items():
        scale = max(1.0, expected[name].abs().max().item())
        error = (value.to(expected[name].dtype) - expected[name]).abs().max().item()
        assert error <= tolerance * scale, f"{name}: error {error:.2e} at scale {scale:.2e}"


def op_cases(wanted: Collection[torch.dtype]) -> list[OpCase]:
    """Every op with every one of its cases and of the wanted dtypes."""
    modules = {op: importlib.import_module(f"lra_mru.ops.{op}.cases") for op in OPS}
    return [
        OpCase(op, case, dtype)
        for op, module in modules.items()
        for case in module.CASES
        for dtype in module.DTYPES
        if dtype in wanted
    ]
