"""What the compiler makes of the Triton kernels, without a GPU: registers, spills, shared memory, widths of loads.

The launches are recorded from the ops' own forward and backward on tensors without data, so shapes, dtypes and block
sizes are those that ship. Kernels are then compiled ahead of time, and the SASS is read with NVIDIA's tools, which
Triton brings along.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lra_mru.ops._gpu import tiles
from lra_mru.ops._gpu.tiling import FULL_GPU
from lra_mru.ops.bmru_scan import gpu as bmru_scan
from lra_mru.ops.linear_scan import gpu as linear_scan
from lra_mru.ops.selective_scan import gpu as selective_scan
from lra_mru.ops.table_scan import gpu as table_scan

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
POINTER = {
    torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.float64: "*fp64", torch.uint8: "*u8", torch.int32: "*i32",
    torch.int64: "*i64",
}  # fmt: skip


@dataclass(frozen=True)
class Launch:
    """One kernel as it would be started: the case it is from, kernel, pointers and numbers in order, constants."""

    case: str
    kernel: Any
    grid: tuple[int, ...]
    num_warps: int
    arguments: tuple[Any, ...]
    constants: dict[str, Any]
    registers: int | None = None  # at most, of a lane

    @property
    def look_backs(self) -> int:
        """How often a sequence waits for one chunk after another: once for every reach chunks."""
        numbers = dict(zip(self.kernel.arg_names, self.arguments, strict=False))
        return -(-numbers["chunks"] // self.constants["REACH"]) if "REACH" in self.constants else 0

    @property
    def name(self) -> str:
        return self.kernel.fn.__name__

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Of the pointers."""
        return tuple(POINTER[value.dtype][1:] for value in self.arguments if isinstance(value, Tensor))

    def __str__(self) -> str:
        return f"{self.name}[{self.case}, {self.dtypes[0]}]"


@contextmanager
def recorded(case: str) -> Iterator[list[Launch]]:
    """Inside, launches are noted instead of made."""
    launches: list[Launch] = []

    def note(
        kernel: Any, grid: tuple[int, ...], device_of: Tensor, *arguments: Any, num_warps: int = 1,
        registers: int | None = None, **constants: Any,
    ) -> None:  # fmt: skip
        launches.append(Launch(case, kernel, grid, num_warps, arguments, constants, registers))

    with ExitStack() as stack:
        for module in (linear_scan, bmru_scan, selective_scan, table_scan):
            stack.enter_context(patch.object(module, "launch", note))
        yield launches


def shipped_launches() -> list[Launch]:
    """Every kernel once per dtype and variant: long sequences of few channels, where programs are widest in time, and a
    batch that fills a GPU.
    """
    launches: dict[tuple[object, ...], Launch] = {}
    for dtype in (torch.float32, torch.bfloat16, torch.complex64):
        for case, call in _cases(dtype).items():
            with recorded(case) as found:
                call()
            for launch in found:
                launches.setdefault((launch.name, launch.dtypes, *launch.constants.items()), launch)
    return list(launches.values())


def _cases(dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Forward and backward of each op on tensors without data."""
    batch, length, channels, states = 1, 16384, 128, 16
    small = torch.float32 if dtype == torch.bfloat16 else dtype

    def empty(*shape: int, like: torch.dtype = dtype) -> Tensor:
        return torch.empty(shape, dtype=like, device="meta")

    constant = empty(channels, like=small)

    def linear(batch: int, constant_a: bool) -> None:
        x, h0 = empty(batch, length, channels), empty(batch, channels, like=small)
        a = constant if constant_a else x
        linear_scan.forward(a, x, h0)
        linear_scan.backward(a, x, h0, x)

    def bmru(batch: int) -> None:
        x, h0 = empty(batch, length, channels), empty(batch, channels, like=small)
        bmru_scan.forward(x, x, constant, h0, 1.0)
        bmru_scan.backward(x, x, constant, x, h0, x, 1.0)

    cases: dict[str, Callable[[], object]] = {
        "a per step": lambda: linear(batch, False),
        "a constant": lambda: linear(batch, True),
    }
    if dtype.is_complex:
        return cases

    def selective(batch: int, gated: bool, signed: bool = False) -> None:
        x, B, A = empty(batch, length, channels), empty(batch, length, states), empty(channels, states, like=small)
        state, z = empty(batch, channels, states, like=small), x if gated else None
        _, _, starts = selective_scan.forward(x, x, A, B, B, constant, z, constant, state, gated, signed)
        selective_scan.backward(x, x, A, B, B, constant, z, constant, starts, x, state, gated, signed)

    def tables(noisy: bool, num_states: int = 4) -> None:
        logits, h0 = empty(batch, length, 4 * channels * num_states), empty(batch, 4 * channels, like=small)
        keys = empty(batch, length, 1, like=torch.int64) if noisy else None
        h, tau, steps = table_scan.forward(logits, h0, keys, num_states, 0.5)
        table_scan.backward(logits, tau, steps, keys, h, num_states, 0.5)

    return cases | {
        "tables": lambda: tables(noisy=False),
        "noisy tables": lambda: tables(noisy=True),
        "a per step, many": lambda: linear(FULL_GPU, False),
        "bmru": lambda: bmru(batch),
        "bmru, many": lambda: bmru(FULL_GPU),
        "gated": lambda: selective(batch, gated=True),
        "bare": lambda: selective(batch, gated=False),
        "signed": lambda: selective(batch, gated=True, signed=True),
        "gated, wide": lambda: selective(FULL_GPU, gated=True),
        "bare, wide": lambda: selective(FULL_GPU, gated=False),
    }


def compile_launch(launch: Launch, target: GPUTarget) -> Any:
    """Compiled for target as the launcher would: pointers are on 16 bytes, lengths are anything."""
    names = launch.kernel.arg_names
    numbers = names[: len(launch.arguments)]
    signature = dict.fromkeys(names, "constexpr")
    for name, value in zip(numbers, launch.arguments, strict=True):
        signature[name] = (
            POINTER[value.dtype] if isinstance(value, Tensor) else "fp32" if isinstance(value, float) else "i32"
        )
    place = {name: i for i, name in enumerate(names)}
    aligned = {(place[n],): [["tt.divisibility", 16]] for n in numbers if signature[n].startswith("*")}
    constants = {(place[name],): value for name, value in launch.constants.items()}
    source = ASTSource(fn=launch.kernel, signature=signature, constexprs=constants, attrs=aligned)
    limit = {} if launch.registers is None or target.backend == "hip" else {"maxnreg": launch.registers}
    return triton.compile(source, target=target, options={"num_warps": launch.num_warps, **limit, **tiles.OPTIONS})


def resources(compiled: Any) -> dict[str, Any]:
    """Of a kernel compiled for NVIDIA: registers, spilled, shared_bytes, widest_load_bytes."""
    (registers, stack), sass = registers_and_stack(compiled), listing(compiled)
    loads = re.findall(r"\b(?:LDG|LDGSTS)\.[.\w]*", sass)
    bits = [int(found[0]) for load in loads if (found := re.findall(r"\.(64|128)\b", load))]
    return {
        "registers": registers,
        "spilled": stack > 0 or bool(re.search(r"\b(?:LDL|STL)\b", sass)),
        "shared_bytes": compiled.metadata.shared,
        "widest_load_bytes": max(bits, default=32) // 8,
    }


def registers_and_stack(compiled: Any) -> tuple[int, int]:
    """Registers, and bytes of stack, of a kernel compiled for NVIDIA. What spills lies on the stack. Takes no time."""
    usage = _tool(compiled, "cuobjdump", "--dump-resource-usage")
    registers, stack = (int(re.findall(rf"{key}:(\d+)", usage)[0]) for key in ("REG", "STACK"))
    return registers, stack


def listing(compiled: Any) -> str:
    """Machine code of a kernel compiled for NVIDIA."""
    return _tool(compiled, "nvdisasm", "-c")


def _tool(compiled: Any, name: str, option: str) -> str:
    """What one of NVIDIA's tools, which Triton brings along, says of a kernel."""
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(compiled.asm["cubin"])
        return subprocess.run([tools / name, option, file.name], check=True, capture_output=True, text=True).stdout
