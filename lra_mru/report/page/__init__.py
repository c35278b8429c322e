"""results/index.html: the leaderboard as one page that needs no network, to sort, filter and look into."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lra_mru.report.order import in_order
from lra_mru.report.page.accuracy import section_figures
from lra_mru.report.page.costs import bench_figures, memory_figure, sweep_figures
from lra_mru.report.page.markdown import to_html
from lra_mru.report.page.values import looks
from lra_mru.report.pareto import Sweep
from lra_mru.report.sections import Section
from lra_mru.report.tables.leaderboard import PAGE_LINK
from lra_mru.report.tables.lengths import Bench

HERE = Path(__file__).parent
SCRIPTS = ("d3/d3.min.js", "tables.js", "marks.js", "figures.js", "page.js")


def page(markdown: str, sections: Sequence[Section], benches: Sequence[Bench], sweeps: Sequence[Sweep]) -> str:
    """The page as HTML: the text of leaderboard.md, and figures that its script draws from values that stand in it."""
    figures = {section.slug: section_figures(section) for section in sections}
    figures |= {f"{section.slug}_memory": [memory_figure(section)] for section in sections if section.has_memory}
    figures |= {f"sweep_{sweep.study}": sweep_figures(sweep) for sweep in sweeps}
    figures |= {f"bench_{bench.name}": bench_figures(bench) for bench in benches}
    models = {row.model for section in sections for row in section.rows}
    models.update(*(bench.models for bench in benches), *(sweep.per_model for sweep in sweeps))
    values = json.dumps(
        {"looks": looks(in_order(models)), "figures": figures}, ensure_ascii=False, separators=(",", ":")
    )
    scripts = "\n".join(f"<script>\n{_part(name)}\n</script>" for name in SCRIPTS)
    return _part("frame.html").format(
        style=_part("style.css"),
        licence=escape(_part("d3/LICENSE").strip()),
        body=to_html(markdown.replace(PAGE_LINK, "")),
        values=values.replace("</", "<\\/"),
        scripts=scripts,
    )


def _part(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
