"""Time of a launch on an H100, predicted from what counts.py finds: no GPU is needed.

    time = the largest of   bytes / 3.0 TB/s                                    what a device copy reaches
                            instructions of all warps / issue rate              4 schedulers on each multiprocessor
                            cycles of one warp alone x rounds                   the serial chain, each step waiting
                            chunks of a sequence / reach x one look back        where programs wait for each other

No number here or in sass.py is of one kernel. docs/kernels.md has predicted beside measured.
"""

from dataclasses import dataclass, fields

from lra_mru.bench.kernels.counts import Counts

BYTES_PER_S, HERTZ = 3.0e12, 1.7e9
MULTIPROCESSORS, SCHEDULERS = 132, 4
REGISTERS, SHARED_BYTES, MAX_WARPS, MAX_PROGRAMS = 65536, 227 * 1024, 64, 32  # of one multiprocessor
LAUNCH_MS = 0.002  # start and end of a kernel in a graph
LOOK_BACK_CYCLES = 2000  # a chunk's end is published, seen by the next one, and folded: two trips to the L2 cache


@dataclass(frozen=True)
class Prediction:
    """Milliseconds of one launch by what could limit it."""

    memory_ms: float
    issue_ms: float
    chain_ms: float
    look_back_ms: float
    resident: int  # programs on the busiest multiprocessor at a time
    bytes_in_flight: int  # loads that all resident warps have on their way if none waits

    @property
    def ms(self) -> float:
        return max(self.memory_ms, self.issue_ms, self.chain_ms, self.look_back_ms) + LAUNCH_MS

    @property
    def limit(self) -> str:
        names = [f.name for f in fields(self) if f.name.endswith("_ms")]
        return max(names, key=lambda name: getattr(self, name)).removesuffix("_ms").replace("_", " ")


def predict(counts: Counts) -> Prediction:
    warps = counts.num_warps
    fits = min(
        REGISTERS // (-(-counts.registers // 8) * 8 * 32 * warps),
        SHARED_BYTES // (counts.shared_bytes + 1024),
        MAX_WARPS // warps,
        MAX_PROGRAMS,
    )
    each = -(-counts.programs // MULTIPROCESSORS)  # programs of the busiest multiprocessor
    at_once = min(each, fits)
    return Prediction(
        memory_ms=counts.bytes / BYTES_PER_S * 1e3,
        issue_ms=each * warps * counts.issue_cycles / min(SCHEDULERS, at_once * warps) / HERTZ * 1e3,
        chain_ms=each / at_once * counts.chain_cycles / HERTZ * 1e3,
        look_back_ms=counts.look_backs * LOOK_BACK_CYCLES / HERTZ * 1e3,
        resident=at_once,
        bytes_in_flight=min(counts.programs, MULTIPROCESSORS * at_once) * warps * counts.load_bytes,
    )
