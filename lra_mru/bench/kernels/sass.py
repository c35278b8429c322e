"""Machine code of a kernel, as nvdisasm prints it: instructions by kind, and how long one warp takes through them."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

KINDS = {  # first letters of an operation -> kind; the longest that fits decides
    **dict.fromkeys(("LDG", "STG", "LDGSTS", "ATOM", "RED.", "LD.", "ST."), "memory"),
    **dict.fromkeys(("LDS", "STS", "LDSM", "STSM", "ATOMS"), "shared"),
    **dict.fromkeys(("SHFL", "REDUX", "VOTE", "MATCH"), "shuffle"),
    **dict.fromkeys(("MUFU", "F2F", "I2F", "F2I"), "special"),
    **dict.fromkeys(
        ("FFMA", "FMUL", "FADD", "FSETP", "FSEL", "FMNMX", "HADD", "HFMA", "HMUL", "DFMA", "DADD"), "float"
    ),
    **dict.fromkeys(("DMUL", "DSETP", "F2FP", "FCHK"), "float"),
    **dict.fromkeys(
        ("BRA", "BAR", "BSSY", "BSYNC", "EXIT", "CALL", "RET", "WARPSYNC", "DEPBAR", "LDGDEPBAR"), "branch"
    ),
}
# Cycles on Hopper from an instruction to the first that may use its result, and cycles for which it holds the one
# pipe that a warp issues to. From public micro-benchmarks of Hopper and Ampere (arXiv 2402.13499, 2208.11174), rounded.
LATENCY = {"shuffle": 24, "shared": 30, "special": 24, "float": 4, "integer": 5, "branch": 10, "memory": 800}
ISSUE = {"shuffle": 2, "shared": 1, "special": 8, "float": 1, "integer": 2, "branch": 2, "memory": 2}
_LINE = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
_REGISTER = re.compile(r"\b(UR\d+|R\d+|UP\d|P\d)(\.64)?(?![\w])")


@dataclass(frozen=True)
class Instruction:
    operation: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    target: str = ""  # label, of a branch
    pending: int = 0  # groups of asynchronous loads that may still be under way, of a wait for them

    @cached_property
    def kind(self) -> str:
        fitting = [prefix for prefix in KINDS if self.operation.startswith(prefix)]
        return KINDS[max(fitting, key=len)] if fitting else "integer"

    @property
    def width(self) -> int:
        """Words of 4 bytes that a lane moves."""
        found = re.search(r"\.(64|128)\b", self.operation)
        return int(found[1]) // 32 if found else 1


@dataclass
class Code:
    """Instructions of one kernel in order, and where its labels stand."""

    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def loops(self) -> list[tuple[int, int]]:
        """First and last instruction of every loop that does work."""
        return [(start, stop) for start, stop in self._jumps_back() if not self._waits(start, stop)]

    def waits(self) -> list[tuple[int, int]]:
        """Loops in which a program waits for others: it asks for what they publish, and stores nothing."""
        return [(start, stop) for start, stop in self._jumps_back() if self._waits(start, stop)]

    def _jumps_back(self) -> list[tuple[int, int]]:
        jumps = [(self.labels.get(x.target, at), at) for at, x in enumerate(self.instructions)]
        return [(start, at) for start, at in jumps if start < at]

    def _waits(self, start: int, stop: int) -> bool:
        operations = [x.operation for x in self.instructions[start : stop + 1]]
        return any("LDG" in x and ".STRONG" in x for x in operations) and not any(x[:3] == "STG" for x in operations)


def parse(listing: str) -> Code:
    """Of `nvdisasm -c`."""
    code = Code()
    for line in listing.splitlines():
        if line.startswith(".L_x_"):
            code.labels[line.rstrip(": ")] = len(code.instructions)
        elif found := _LINE.match(line):
            _, guard, operation, operands = found.groups()
            if operation == "NOP":
                continue
            code.instructions.append(_instruction(guard or "", operation, operands))
    return code


def _instruction(guard: str, operation: str, operands: str) -> Instruction:
    parts = [part.strip() for part in operands.split(",")]
    label = re.search(r"\.L_x_\d+", operands)
    stores = operation.startswith(("ST", "RED.", "BAR", "BRA", "EXIT", "LDGSTS", "DEPBAR"))
    results = 0 if stores else 2 if re.match(r"U?[PR]\w+$|U?PT$", parts[0]) and "SETP" in operation else 1
    if operation.startswith(("SHFL", "ATOM", "LOP3", "PLOP3")) and parts[0].lstrip("U").startswith("P"):
        results = 2
    width = int(found[1]) // 32 if (found := re.search(r"\.(64|128)\b", operation)) else 1
    pairs = operation.startswith(("IMAD.WIDE", "CS2R", "D", "LDC.64", "UIMAD.WIDE")) and not operation.startswith("DEP")
    writes = _registers(parts[:results], max(width, 2 if pairs else 1))
    reads = _registers([guard, *parts[results:]], width if stores else 1)
    target = label[0] if label and operation[:3] == "BRA" else ""
    pending = int(parts[1], 16) if operation == "DEPBAR.LE" else 0
    return Instruction(operation, tuple(reads), tuple(writes), target, pending)


def _registers(parts: list[str], width: int) -> list[str]:
    found = []
    for name, pair in (match for part in parts for match in _REGISTER.findall(part)):
        letters, number = re.match(r"([A-Z]+)(\d+)", name).groups()  # type: ignore[union-attr]
        for i in range(max(width if letters == "R" else 1, 2 if pair else 1)):
            found.append(f"{letters}{int(number) + i}")
    return found


def count(instructions: list[Instruction]) -> Counter[str]:
    return Counter(instruction.kind for instruction in instructions)


def issue_cycles(instructions: list[Instruction]) -> int:
    """Cycles for which one of a multiprocessor's four schedulers is busy with one warp's instructions."""
    return sum(_issue(instruction) for instruction in instructions)


def _issue(instruction: Instruction) -> int:
    wide = instruction.width if instruction.kind in ("shared", "memory") else 1
    return ISSUE[instruction.kind] * wide


def walk(instructions: list[Instruction], rounds: int = 1) -> list[float]:
    """Cycle at which one warp alone ends each round: instructions in order, each waiting for its operands."""
    ready: dict[str, float] = {}
    now, arrival, groups, ends = 0.0, 0.0, [], []
    for _ in range(rounds):
        for instruction in instructions:
            now = max([now, *(ready.get(name, 0.0) for name in instruction.reads)])
            for name in instruction.writes:
                ready[name] = now + LATENCY[instruction.kind]
            if instruction.operation.startswith("LDGSTS"):  # a load into shared memory, which no register waits for
                arrival = now + LATENCY["memory"]
            elif instruction.operation == "LDGDEPBAR":
                groups.append(arrival)
            elif instruction.operation == "DEPBAR.LE" and len(groups) > instruction.pending:
                now = max(now, groups[-1 - instruction.pending])
            now += _issue(instruction)
        ends.append(now)
    return ends


def once(instructions: list[Instruction]) -> float:
    """Cycles that one warp alone needs from the first instruction to the last."""
    return walk(instructions)[-1]


def each_round(instructions: list[Instruction]) -> float:
    """Cycles that one warp alone needs for a round of a loop, when its loads ahead are all under way."""
    ends = walk(instructions, rounds=12)
    return (ends[-1] - ends[5]) / 6
