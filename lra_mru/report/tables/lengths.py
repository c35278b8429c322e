"""Cost against length as Markdown."""

from lra_mru.report.lengths import COSTS, Bench
from lra_mru.report.tables.cells import markdown_table, whole


def bench_section(bench: Bench) -> str:
    """Heading, figure, and a table for each cost."""
    parts = [f"## Cost against length: {bench.name}\n", f"{bench.about[0].upper()}{bench.about[1:]}\n"]
    parts.append(f"![Cost against length, {bench.name}](figures/bench_{bench.name}.png)\n")
    for cost, (label, _) in COSTS.items():
        head = ["model", *(f"L = {length:,}" for length in bench.lengths)]
        lines = [[m, *(whole(bench.values[cost][m].get(length)) for length in bench.lengths)] for m in bench.models]
        parts.append(f"### {label[0].upper()}{label[1:]}\n\n{markdown_table(head, lines)}")
    return "\n".join(parts)
