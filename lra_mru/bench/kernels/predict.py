"""Time of a kernel on an H100, predicted from its machine code: no GPU is needed.

    time = the largest of   bytes / 3.0 TB/s                                    what a device copy reaches
                            instructions of all warps / issue rate              4 schedulers on each multiprocessor
                            cycles of one warp alone x rounds                   the serial chain, each step waiting
                            chunks of a sequence / reach x one look back        where programs wait for each other

Checked on the kernels of commit 1e1b305 against their times on an H100: docs/kernels.md has both columns.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lra_mru.bench.kernels import compiled, sass
from lra_mru.bench.kernels.compiled import Launch

BYTES_PER_S, HERTZ = 3.0e12, 1.7e9
MULTIPROCESSORS, SCHEDULERS = 132, 4
REGISTERS, SHARED_BYTES, MAX_WARPS, MAX_PROGRAMS = 65536, 227 * 1024, 64, 32  # of one multiprocessor
LAUNCH_MS = 0.002  # start and end of a kernel in a graph; small torch kernels (fill, sum, cat) are this alone
HOP_CYCLES = 2000  # a chunk's end is published, seen by the next one, and folded: two trips to the L2 cache


@dataclass(frozen=True)
class Prediction:
    """Milliseconds of one launch by what could limit it, and what they are made of."""

    memory_ms: float
    issue_ms: float
    chain_ms: float
    look_back_ms: float
    programs: int
    resident: int  # programs on one multiprocessor at a time
    registers: int
    bytes_in_flight: int  # loads that all resident warps have on their way if none waits
    instructions: dict[str, int]  # of one warp, by kind

    @property
    def ms(self) -> float:
        return max(self.memory_ms, self.issue_ms, self.chain_ms, self.look_back_ms) + LAUNCH_MS

    @property
    def limit(self) -> str:
        names = [f.name for f in fields(self) if f.name.endswith("_ms")]
        return max(names, key=lambda name: getattr(self, name)).removesuffix("_ms")


def predict(launch: Launch) -> Prediction:
    code, registers, shared_bytes = _built(_Key(launch))
    warps = launch.num_warps
    warp_registers = -(-registers // 8) * 8 * 32
    resident = min(
        REGISTERS // (warp_registers * warps), SHARED_BYTES // (shared_bytes + 1024), MAX_WARPS // warps, MAX_PROGRAMS
    )
    programs = math.prod(launch.grid)
    each = -(-programs // MULTIPROCESSORS)  # on the busiest multiprocessor
    at_once = min(each, resident)
    kinds, issue, alone = _cycles(code, trips(launch))
    loads = [x.width for x in code.instructions if x.operation.startswith(("LDG.", "LDGSTS"))]
    return Prediction(
        memory_ms=bytes_of(launch) / BYTES_PER_S * 1e3,
        issue_ms=each * warps * issue / SCHEDULERS / HERTZ * 1e3,
        chain_ms=each / at_once * alone / HERTZ * 1e3,
        look_back_ms=launch.look_backs * HOP_CYCLES / HERTZ * 1e3,
        programs=programs,
        resident=at_once,
        registers=registers,
        bytes_in_flight=min(programs, MULTIPROCESSORS * at_once) * warps * 32 * 4 * sum(loads),
        instructions=dict(kinds),
    )


def bytes_of(launch: Launch) -> int:
    """Every tensor once."""
    return sum(x.numel() * x.element_size() for x in launch.arguments if isinstance(x, Tensor))


def trips(launch: Launch) -> list[int]:
    """How often the loops of a kernel run, the outermost first; kernels without loops need none."""
    numbers = dict(zip(launch.kernel.arg_names, launch.arguments, strict=False))
    length = min(numbers.get("span", numbers.get("chunk", math.inf)), numbers["L"])
    steps = launch.constants.get("BLOCK_T", launch.constants.get("CHUNK", 1))
    return [-(-length // (steps * launch.constants.get("SEGMENTS", 1))), launch.constants.get("N", 1)]


def _cycles(code: sass.Code, trip_counts: list[int]) -> tuple[Counter[str], float, float]:
    """Instructions by kind, issue cycles and cycles alone of one warp from start to end."""
    loops = sorted(code.loops(), key=lambda loop: loop[0] - loop[1])
    nested = [loop for loop in loops if loops[0][0] <= loop[0] and loop[1] <= loops[0][1]] if loops else []
    kinds: Counter[str] = Counter()
    issue, alone, times, start, stop = 0.0, 0.0, 1, 0, len(code.instructions) - 1
    for depth, count in enumerate([1, *trip_counts]):
        if depth > len(nested):
            break
        times *= count
        if depth:
            start, stop = nested[depth - 1]
        inner = nested[depth] if depth < len(nested) else (stop + 1, stop)
        body = code.instructions[start : inner[0]] + code.instructions[inner[1] + 1 : stop + 1]
        for kind, number in sass.count(body).items():
            kinds[kind] += times * number
        issue += times * sass.issue_cycles(body)
        alone += times * sass.walk(body)
    return kinds, issue, alone


class _Key:
    """A launch, equal to those that compile to the same code."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.same = (launch.name, launch.dtypes, launch.num_warps, *launch.constants.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.same == other.same

    def __hash__(self) -> int:
        return hash(self.same)


@cache
def _built(key: _Key) -> tuple[sass.Code, int, int]:
    kernel = compiled.compile_launch(key.launch, compiled.TARGETS["sm_90"])
    found = compiled.resources(kernel)
    return sass.parse(compiled.listing(kernel)), found["registers"], found["shared_bytes"]


def predicted_ms(call: Callable[[], Any]) -> tuple[float, list[tuple[Launch, Prediction]]]:
    """Of one forward or backward pass of an op on tensors without data."""
    with compiled.recorded("predicted") as launches:
        call()
    found = [(launch, predict(launch)) for launch in launches]
    return sum(prediction.ms for _, prediction in found), found


def passes(op: str, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, tuple[Callable[[], Any], float]]:
    """Forward and backward of op on tensors without data, and the milliseconds of their bytes at a copy's speed."""
    small = dtype if dtype.is_complex else torch.float32
    (batch, length, channels), states = shape[:3], shape[-1]

    def empty(*size: int, like: torch.dtype = dtype) -> Tensor:
        return torch.empty(size, dtype=like, device="meta")

    x, h0, row = empty(batch, length, channels), empty(batch, channels, like=small), empty(channels, like=small)
    element = x.numel() * x.element_size() / BYTES_PER_S * 1e3
    if op == "linear_scan":
        a, (reads_f, reads_b) = (row, (2, 3)) if dtype.is_complex else (x, (3, 5))
        module = compiled.linear_scan
        return {
            "forward": (lambda: module.forward(a, x, h0), reads_f * element),
            "backward": (lambda: module.backward(a, x, h0, x), reads_b * element),
        }
    if op == "bmru_scan":
        bmru = compiled.bmru_scan
        return {
            "forward": (lambda: bmru.forward(x, x, row, h0, 0.0), 3 * element),
            "backward": (lambda: bmru.backward(x, x, row, x, h0, x, 0.0), 6 * element),
        }
    selective, B = compiled.selective_scan, empty(batch, length, states)
    A, state = empty(channels, states, like=small), empty(batch, channels, states, like=small)
    return {
        "forward": (lambda: selective.forward(x, x, A, B, B, row, x, row, state, True, False), 4 * element),
        "backward": (
            lambda: selective.backward(
                x, x, A, B, B, row, x, row, _starts(batch, length, channels, states), x, state, True, False
            ),
            8 * element,
        ),
    }


def _starts(batch: int, length: int, channels: int, states: int) -> Tensor:
    from lra_mru.ops.selective_scan import GPU_CHUNK

    return torch.empty(batch, -(-length // GPU_CHUNK), channels, states, device="meta")
