"""docs/gpu.md from results/gpu/*.json: `python -m lra_mru.bench.gpu.table` writes it anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.common.json_files import read_json
from lra_mru.places import PACKAGE

RECORDS, PAGE = PACKAGE.parent / "results/gpu", PACKAGE.parent / "docs/gpu.md"
HEAD = """# On a GPU
Made from `results/gpu/*.json` by `python -m lra_mru.bench.gpu.table`; each file is what
`python -m lra_mru.bench gpu --json FILE` found on one GPU. Do not edit.
"""
OPS = """
Kernels alone, by replay of a CUDA graph, in milliseconds; in brackets the ratio to the floor, which reads every input
once and writes every output once at the speed of a copy. "Called": forward and backward through the public function and
autograd, as a caller waits for them. Peers in the layout that suits them best, without the transposes to get there.

| op | shape | dtype | forward | backward | called | peers |
|---|---|---|---|---|---|---|
"""
STEPS = """
One training step on random tokens, in milliseconds. "Busy": some kernel runs. "Waits": times that the host waits
for the GPU in a step.

| model | precision | batch x length | step | busy | share | kernels | waits |
|---|---|---|---|---|---|---|---|
"""


def markdown(reports: Sequence[dict[str, Any]]) -> str:
    """The page, the newest report first."""
    newest_first = sorted(reports, key=lambda report: (report["date"], report["device"]), reverse=True)
    return HEAD + "".join(_section(report) for report in newest_first)


def _section(report: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    commit = (report["commit"] or "unknown")[:7]
    text = f"\n## {report['device']}, {report['date']}, commit {commit}\n"
    text += f"Copy: {report['copy_gb_per_s']:,.0f} GB/s. {versions}.\n"
    text += "".join(f"{line}\n" for line in report.get("notes", []))
    if report["ops"]:
        text += OPS + "".join(_op_row(row) for row in report["ops"])
    if report["steps"]:
        text += STEPS + "".join(_step_row(row) for row in report["steps"])
    if report["left_out"]:
        text += f"\nLeft out for want of time: {', '.join(report['left_out'])}.\n"
    return text


def _op_row(row: dict[str, Any]) -> str:
    named = f"| {row['op']} | {' x '.join(map(str, row['shape']))} | {row['dtype']} "
    if "status" in row:
        return named + f"| {row['status']} | | | |\n"
    passes = [
        f"{row[f'{name}_ms']:.3f} ({row[f'{name}_ms'] / row[f'{name}_floor_ms']:.1f})"
        for name in ("forward", "backward")
    ]
    peers = "; ".join(f"{name}: {_peer(found)}" for name, found in row["peers"].items())
    return named + f"| {' | '.join(passes)} | {_number(row['eager_ms'])} | {peers} |\n"


def _peer(found: dict[str, Any]) -> str:
    names = {"forward_ms": "forward", "backward_ms": "backward", "eager_ms": "called"}
    times = [f"{label} {found[key]:.3f}" for key, label in names.items() if key in found]
    return ", ".join(times) or found["status"]


def _step_row(row: dict[str, Any]) -> str:
    model = row["model"] + (", compiled" if row["compile"] else "")
    named = f"| {model} | {row['precision']} | {row['batch']} x {row['length']:,} "
    if "status" in row:
        return named + f"| {row['status']} | | | | |\n"
    share = f"{row['busy_ms'] / row['step_ms']:.0%}" if row["busy_ms"] is not None else ""
    return (
        named
        + f"| {_number(row['step_ms'])} | {_number(row['busy_ms'])} | {share} | "
        + (f"{_number(row['kernels'])} | {_number(row['waits'])} |\n")
    )


def _number(value: float | None) -> str:
    """Three digits; empty where nothing was measured."""
    return "" if value is None else f"{value:,.0f}" if isinstance(value, int) else f"{value:.3g}"


def reports(folder: Path = RECORDS) -> list[dict[str, Any]]:
    """What was found on every GPU."""
    return [read_json(path) for path in sorted(folder.glob("*.json"))]


def main() -> None:
    PAGE.write_text(markdown(reports()))


if __name__ == "__main__":
    main()
