"""Every pass at every shape that matters: what its launches are made of, and from that its time."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lra_mru.bench.gpu.table import RECORDS
from lra_mru.bench.kernels.counts import Counts, counts_of
from lra_mru.bench.kernels.predict import Prediction, predict
from lra_mru.bench.kernels.shapes import Pass, passes

MEASURED = RECORDS / "h100-1e1b305.json"
NO_SLOWER_THAN = ("accelerated-scan", "mamba-ssm")  # peers that do the same, each in a layout of its own


def counted(one: Pass) -> dict[str, Any]:
    """A row of results/gpu/counts/: one pass and the counts of its launches."""
    from lra_mru.bench.kernels.compiled import recorded

    with recorded("predicted") as launches:
        one.call()
    named = {"op": one.op, "shape": list(one.shape), "dtype": one.dtype, "pass": one.name}
    wanted = {"floor_ms": one.floor_ms, "wanted_factor": one.factor}
    return named | wanted | {"launches": [counts_of(launch).as_json() for launch in launches]}


def launches_of(row: dict[str, Any]) -> list[tuple[Counts, Prediction]]:
    return [(counts, predict(counts)) for counts in (Counts(**found) for found in row["launches"])]


def predicted_ms(row: dict[str, Any]) -> float:
    return sum(prediction.ms for _, prediction in launches_of(row))


def wanted_ms(row: dict[str, Any]) -> float | None:
    """So many times the floor, but no more than what a peer took; None where there is neither."""
    found = measured().get(key(row), {"peers": {}})
    peers = [found["peers"].get(name, {}).get(f"{row['pass']}_ms") for name in NO_SLOWER_THAN]
    floor = [] if row["wanted_factor"] is None else [row["wanted_factor"] * row["floor_ms"]]
    return min([ms for ms in peers if ms is not None] + floor, default=None)


def measured_ms(row: dict[str, Any]) -> float | None:
    """On an H100, by the kernels of commit 1e1b305."""
    found = measured().get(key(row))
    return None if found is None else float(found[f"{row['pass']}_ms"])


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["op"], tuple(row["shape"]), row["dtype"]


@cache
def measured(path: Path = MEASURED) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {key(row): row for row in json.loads(path.read_text())["ops"]} if path.exists() else {}


def line(row: dict[str, Any]) -> str:
    """A row as a program prints it: times, and of its longest launch what limits it and instructions an element."""
    batch, length, channels = row["shape"][:3]
    counts, prediction = max(launches_of(row), key=lambda pair: pair[1].ms)
    lanes = 32 * counts.programs * counts.num_warps / (batch * length * channels)
    kinds = ", ".join(f"{kind} {lanes * number:.1f}" for kind, number in Counter(counts.instructions).most_common())
    wanted = wanted_ms(row)
    shape = " x ".join(map(str, row["shape"]))
    return (
        f"{row['op']:<14} {row['pass']:<8} {shape:<22} {row['dtype']:<9} predicted {predicted_ms(row):7.3f} ms"
        f"  wanted {'' if wanted is None else f'{wanted:.3f}':>6}  limit {prediction.limit:<9}"
        f"  {counts.programs:6d} programs  {prediction.bytes_in_flight / 1e6:5.1f} MB in flight  an element: {kinds}"
    )


def rows() -> Iterator[dict[str, Any]]:
    """Compiles every kernel: some minutes the first time."""
    for one in passes():
        yield counted(one)
