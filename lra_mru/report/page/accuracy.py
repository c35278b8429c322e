"""What the page's figures of accuracy show, as plain values: its script draws them, and invents nothing."""

from lra_mru.report.load import ACC
from lra_mru.report.page.costs import cost_figures
from lra_mru.report.page.values import Spec, mean_text, rounded, short_config
from lra_mru.report.rows import Row
from lra_mru.report.sections import Section
from lra_mru.report.stats import Summary
from lra_mru.report.tables.cells import where

MAX_POINTS = 400  # of all learning curves of a figure; more seeds are drawn with fewer points each


def section_figures(section: Section) -> list[Spec]:
    """Accuracy first, then learning curves and costs, as far as the records hold them."""
    return [_accuracy(section), *_curves(section), *cost_figures(section)]


def _accuracy(section: Section) -> Spec:
    """Against length, or beside the floors."""
    points = section.points if section.lengths else [(0, ACC)]
    return {
        "kind": "lengths" if section.lengths else "rows",
        "title": "Accuracy against sequence length" if section.lengths else "Accuracy beside the floors",
        "x": "sequence length T",
        "y": "test accuracy (%)",
        "trained": section.trained_length if section.lengths else None,
        "floors": [[name, rounded(100 * highest)] for name, _, highest in section.floors()],
        "series": [
            {"model": row.model, "label": section.label(row), "points": [
                _mean(row, section, length, metric, summary)
                for length, metric in points if (summary := row.summary(metric))
            ]}
            for row in section.drawn
        ],
    }  # fmt: skip


def _mean(row: Row, section: Section, length: int, metric: str, summary: Summary) -> Spec:
    half = summary.half_width or 0.0
    seeds = [[r.seed, rounded(100 * r.metrics[metric]), r.link] for r in row.records if metric in r.metrics]
    sizes = " or ".join(f"{n:,}" for n in section.num_sequences(metric))
    at = f" {where(metric, section)}" if section.lengths else ""
    return {
        "x": length,
        "y": rounded(100 * summary.mean),
        "low": rounded(100 * max(0.0, summary.mean - half)),
        "high": rounded(100 * min(1.0, summary.mean + half)),
        "at": at,
        "note": f"{mean_text(summary)}{at}, n = {summary.n}, {sizes} test sequences",
        "config": short_config(row.first) + _proof(row),
        "seeds": seeds,
    }


def _curves(section: Section) -> list[Spec]:
    """Validation accuracy during training, a line for each seed."""
    with_curve = [(row, record) for row in section.drawn for record in row.records if len(record.curve) > 1]
    if not with_curve:
        return []
    keep = max(2, MAX_POINTS // len(with_curve))
    lines = []
    for row, record in with_curve:
        every = -(-len(record.curve) // keep)
        points = [[step, rounded(100 * acc)] for step, acc in record.curve[::-1][::every][::-1]]
        label = f"{section.label(row)}, seed {record.seed}"
        lines.append({"model": row.model, "label": label, "link": record.link, "points": points})
    about = {"title": "Learning: validation accuracy during training", "x": "step", "y": "validation accuracy (%)"}
    return [{"kind": "curves", **about, "lines": lines}]


def _proof(row: Row) -> str:
    """Stands behind the config of a row with certificates."""
    return f"\nproven right at every length: {len(row.proven_seeds)} of {len(row.records)}" if row.proven_seeds else ""
