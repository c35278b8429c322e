"""The table of docs/kernels.md, from results/gpu/: `python -m lra_mru.bench.kernels.page` writes it anew.

results/gpu/counts/X.json: instructions and bytes of the kernels of commit X, by `... page --count X` in its tree.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.common.arguments import OneLineParser
from lra_mru.bench.gpu.table import RECORDS
from lra_mru.bench.kernels.predicted import key, measured_ms, predicted_ms, rows, wanted_ms
from lra_mru.places import PACKAGE

PAGE, COUNTS = PACKAGE.parent / "docs/kernels.md", RECORDS / "counts"
SHIPPED, ASIDE = "1e1b305", "ed09b43"  # the kernels of main, which an H100 has timed; those of this tree
BEGIN, END = "<!-- model:begin -->\n", "<!-- model:end -->"
SHORT = {"float32": "f32", "bfloat16": "bf16", "complex64": "c64"}
NOTICED_MS = 0.05  # below it a kernel is little but its start
HEAD = """
| op | (B, L, N), dtype | forward measured | predicted | wanted | look-back | backward measured | predicted | wanted | look-back |
|---|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501


def counts(commit: str) -> list[dict[str, Any]]:
    """Rows of every pass, counted in the kernels of a commit."""
    found: list[dict[str, Any]] = json.loads((COUNTS / f"{commit}.json").read_text())["rows"]
    return found


def ratios(counted: Sequence[dict[str, Any]], above_ms: float = 0.0) -> list[float]:
    """Predicted over measured, of every pass that was measured."""
    pairs = [(predicted_ms(row), ms) for row in counted if (ms := measured_ms(row)) is not None and ms > above_ms]
    return [predicted / ms for predicted, ms in pairs]


def rank_correlation(counted: Sequence[dict[str, Any]]) -> float:
    """Spearman's, of predicted and measured: 1 if they are in the same order."""
    pairs = [(predicted_ms(row), ms) for row in counted if (ms := measured_ms(row)) is not None]
    by_prediction = [pair[1] for pair in sorted(pairs)]
    places = {ms: place for place, ms in enumerate(sorted(by_prediction))}
    apart = sum((places[ms] - place) ** 2 for place, ms in enumerate(by_prediction))
    return 1 - 6 * apart / (len(pairs) ** 3 - len(pairs))


def text() -> str:
    """What stands between the marks of the page."""
    shipped, aside = counts(SHIPPED), {(key(row), row["pass"]): row for row in counts(ASIDE)}
    noticed = ratios(shipped, NOTICED_MS)
    accuracy = (
        f"Of {len(ratios(shipped))} passes measured, {len(noticed)} take more than {NOTICED_MS} ms. There predicted is"
        f"\n{min(noticed):.2f} to {max(noticed):.2f} x measured; the rank correlation of all is"
        f" {rank_correlation(shipped):.3f}.\n"
    )
    lines = []
    for forward, backward in zip(shipped[::2], shipped[1::2], strict=True):
        shape = f"({', '.join(map(str, forward['shape']))}) {SHORT[forward['dtype']]}"
        cells = [cell for row in (forward, backward) for cell in _cells(row, aside.get((key(row), row["pass"])))]
        lines.append(f"| {forward['op']} | {shape} | {' | '.join(cells)} |\n")
    return accuracy + HEAD + "".join(lines)


def _cells(row: dict[str, Any], aside: dict[str, Any] | None) -> list[str]:
    other = None if aside is None else predicted_ms(aside)  # selective_scan has no look-back
    return [_number(ms) for ms in (measured_ms(row), predicted_ms(row), wanted_ms(row), other)]


def _number(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.3f}"


def page(old: str) -> str:
    before, _, rest = old.partition(BEGIN)
    return before + BEGIN + text() + END + rest.partition(END)[2]


def write_counts(path: Path, rows: Sequence[dict[str, Any]], triton: str) -> None:
    """One line a pass."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f'{{"kernels_of": "{path.stem}", "triton": "{triton}", "rows": [\n{lines}\n]}}\n')


def main() -> None:
    parser = OneLineParser(prog="python -m lra_mru.bench.kernels.page", description=__doc__)
    parser.add_argument("--count", metavar="COMMIT", help="first count the kernels of this tree, under this name")
    if commit := parser.parse_args().count:
        import triton

        write_counts(COUNTS / f"{commit}.json", list(rows()), triton.__version__)
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
