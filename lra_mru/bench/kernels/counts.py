"""What a launch is made of, counted in the machine code of its kernel: no GPU is needed."""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from torch import Tensor

from lra_mru.bench.kernels import compiled, sass
from lra_mru.bench.kernels.compiled import Launch


@dataclass(frozen=True)
class Counts:
    """Of one launch; cycles and instructions are those of one warp from start to end."""

    kernel: str
    bytes: int  # every tensor once
    programs: int
    num_warps: int
    registers: int
    shared_bytes: int
    load_bytes: int  # of all loads in one warp's code: what it may have on its way at a time
    look_backs: int  # how often programs of one sequence wait for each other, one after the other
    issue_cycles: int  # for which the warp holds its scheduler
    chain_cycles: int  # that it takes alone, each instruction waiting for its operands
    instructions: dict[str, int]  # by kind

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def counts_of(launch: Launch) -> Counts:
    code, registers, shared_bytes = _built(_Key(launch))
    kinds, issue, alone = _along(code, trips(launch))
    loads = [x.width for x in code.instructions if x.operation.startswith(("LDG.", "LDGSTS"))]
    return Counts(
        kernel=launch.name,
        bytes=sum(x.numel() * x.element_size() for x in launch.arguments if isinstance(x, Tensor)),
        programs=math.prod(launch.grid),
        num_warps=launch.num_warps,
        registers=registers,
        shared_bytes=shared_bytes,
        load_bytes=32 * 4 * sum(loads),
        look_backs=launch.look_backs,
        issue_cycles=issue,
        chain_cycles=round(alone),
        instructions=dict(sorted(kinds.items())),
    )


def trips(launch: Launch) -> list[int]:
    """How often the loops of a kernel run, the outermost first; kernels without loops need none."""
    numbers = dict(zip(launch.kernel.arg_names, launch.arguments, strict=False))
    length = min(numbers.get("span", numbers.get("chunk", math.inf)), numbers["L"])
    steps = launch.constants.get("BLOCK_T", launch.constants.get("CHUNK", 1))
    return [-(-length // (steps * launch.constants.get("SEGMENTS", 1))), launch.constants.get("N", 1)]


def _along(code: sass.Code, trip_counts: list[int]) -> tuple[Counter[str], int, float]:
    """Instructions by kind, cycles of issue and cycles alone of one warp from start to end, loops as often as said."""
    loops = sorted(code.loops(), key=lambda loop: loop[0] - loop[1])
    nested = [loop for loop in loops if loops[0][0] <= loop[0] and loop[1] <= loops[0][1]] if loops else []
    kinds: Counter[str] = Counter()
    issue, alone, times, start, stop = 0, 0.0, 1, 0, len(code.instructions) - 1
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
        alone += times * (sass.each_round(body) if depth else sass.once(body))
    return kinds, issue, alone


class _Key:
    """A launch, equal to those that compile to the same code."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.same = (launch.name, launch.dtypes, launch.num_warps, launch.registers, *launch.constants.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.same == other.same

    def __hash__(self) -> int:
        return hash(self.same)


@cache
def _built(key: _Key) -> tuple[sass.Code, int, int]:
    kernel = compiled.compile_launch(key.launch, compiled.TARGETS["sm_90"])
    found = compiled.resources(kernel)
    return sass.parse(compiled.listing(kernel)), found["registers"], found["shared_bytes"]
