"""Cost against length, from `python -m lra_mru.bench backbones --json results/bench/<name>.json` to Markdown.

One file is one machine and one setting, and stands alone: nothing of two machines is ever mixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.common.json_files import read_json
from lra_mru.files import below
from lra_mru.report.order import in_order
from lra_mru.report.tables.cells import markdown_table, whole

COSTS = {
    "train_tokens_per_s": ("training (tokens/s)", 1.0),
    "train_peak_bytes": ("peak memory of training (MiB)", 2.0**-20),
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """values[cost][model][length], in the units of COSTS; a length that did not fit or took too long has none."""

    name: str
    about: str
    lengths: Sequence[int]
    values: dict[str, dict[str, dict[int, float]]]

    @property
    def models(self) -> list[str]:
        return in_order(model for found in self.values.values() for model in found)


def load_good_benches(results_dir: Path) -> tuple[list[Bench], list[str]]:
    """The files that can be read, by name, and a complaint for every other."""
    good, complaints = [], []
    for path in below(results_dir / "bench", "*.json"):
        try:
            good.append(_load(path))
        except (KeyError, TypeError, ValueError, OSError) as error:
            complaints.append(f"{path}: not a file of `python -m lra_mru.bench backbones` ({error!r}): make it again")
    return good, complaints


def _load(path: Path) -> Bench:
    raw = read_json(path)
    rows: list[dict[str, Any]] = raw["rows"]
    values: dict[str, dict[str, dict[int, float]]] = {cost: {} for cost in COSTS}
    for row in rows:
        for cost, (_, unit) in COSTS.items():
            found = values[cost].setdefault(row["model"], {})
            if row.get(cost):
                found[int(row["length"])] = float(row[cost]) * unit
    if not all(any(found.values()) for found in values.values()):
        raise ValueError("no row was measured")
    size = f"width {raw['d_model']}, {raw['depth']} blocks, {raw['precision']}, one sequence at a time"
    lengths = sorted({int(row["length"]) for row in rows})
    code = raw["code"]
    version = f"Commit {str(code['commit'])[:7]}{', with uncommitted changes' if code['dirty'] else ''}"
    return Bench(name=path.stem, about=f"{size}. {raw['machine']}. {version}.", lengths=lengths, values=values)


def bench_section(bench: Bench) -> str:
    """Heading, figure, and a table for each cost."""
    parts = [f"## Cost against length: {bench.name}\n", f"{bench.about[0].upper()}{bench.about[1:]}\n"]
    parts.append(f"![Cost against length, {bench.name}](figures/bench_{bench.name}.png)\n")
    for cost, (label, _) in COSTS.items():
        head = ["model", *(f"L = {length:,}" for length in bench.lengths)]
        lines = [[m, *(whole(bench.values[cost][m].get(length)) for length in bench.lengths)] for m in bench.models]
        parts.append(f"### {label[0].upper()}{label[1:]}\n\n{markdown_table(head, lines)}")
    return "\n".join(parts)
