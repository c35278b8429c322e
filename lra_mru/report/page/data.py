"""What the page's figures show, as plain values: its script draws them, and invents nothing.

Numbers have at most ten digits, so that the same records give the same bytes on every machine.
"""

from collections.abc import Iterable
from typing import Any

from lra_mru.report.load import ACC, Record
from lra_mru.report.order import look_of
from lra_mru.report.pareto import Sweep
from lra_mru.report.rows import Row, middle
from lra_mru.report.sections import Section
from lra_mru.report.stats import Summary
from lra_mru.report.tables.cells import percent, where
from lra_mru.report.tables.sweeps import LABELS, scaled

Spec = dict[str, Any]
MAX_POINTS = 400  # of all learning curves of a figure; more seeds are drawn with fewer points each


def section_figures(section: Section) -> list[Spec]:
    """Accuracy first, then learning curves and costs, as far as the records hold them."""
    return [_accuracy(section), *_curves(section), *_costs(section)]


def sweep_figures(sweep: Sweep) -> list[Spec]:
    """The first objective against each other one; what another configuration beats is hollow."""
    first, *others = sweep.goals
    figures = []
    for name in others:
        points = [
            {
                "model": c.model,
                "label": f"{c.model}, {c.settings}, trials {', '.join(map(str, c.trials))}",
                "x": _number(scaled(c, name)),
                "y": _number(scaled(c, first)),
                "front": c in sweep.front,
            }
            for c in sweep.candidates
        ]
        figures.append(
            {"kind": "scatter", "title": LABELS[name], "x": LABELS[name], "y": LABELS[first], "points": points}
        )
    return figures


def looks(models: Iterable[str]) -> dict[str, list[str]]:
    """Colour and marker of every model."""
    return {model: [look_of(model).colour, look_of(model).marker] for model in models}


def _accuracy(section: Section) -> Spec:
    """Against length, or beside the floors."""
    points = section.points if section.lengths else [(0, ACC)]
    return {
        "kind": "lengths" if section.lengths else "rows",
        "title": "Accuracy against sequence length" if section.lengths else "Accuracy beside the floors",
        "x": "sequence length T",
        "y": "test accuracy (%)",
        "trained": section.trained_length if section.lengths else None,
        "floors": [[name, _number(100 * highest)] for name, _, highest in section.floors()],
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
    seeds = [[r.seed, _number(100 * r.metrics[metric]), r.link] for r in row.records if metric in r.metrics]
    sizes = " or ".join(f"{n:,}" for n in section.num_sequences(metric))
    size = f"{sizes} test sequences {where(metric, section)}"
    return {
        "x": length,
        "y": _number(100 * summary.mean),
        "low": _number(100 * max(0.0, summary.mean - half)),
        "high": _number(100 * min(1.0, summary.mean + half)),
        "note": f"{_mean_text(summary)}, n = {summary.n}, {size}",
        "config": short_config(row.first),
        "seeds": seeds,
    }


def _mean_text(summary: Summary) -> str:
    interval = "" if summary.half_width is None else f" ± {percent(summary.half_width)}"
    return f"{percent(summary.mean)}{interval} %"


def short_config(record: Record) -> str:
    """Size, rate and steps: what a reader asks first. The record holds the rest."""
    rate = record.config.get("optim", {}).get("lr")
    return ", ".join(
        filter(None, [f"{record.num_params:,} parameters", rate and f"lr {rate:g}", f"{record.steps:,} steps"])
    )


def _curves(section: Section) -> list[Spec]:
    """Validation accuracy during training, a line for each seed."""
    with_curve = [(row, record) for row in section.drawn for record in row.records if len(record.curve) > 1]
    if not with_curve:
        return []
    keep = max(2, MAX_POINTS // len(with_curve))
    lines = []
    for row, record in with_curve:
        every = -(-len(record.curve) // keep)
        points = [[step, _number(100 * acc)] for step, acc in record.curve[::-1][::every][::-1]]
        label = f"{section.label(row)}, seed {record.seed}"
        lines.append({"model": row.model, "label": label, "link": record.link, "points": points})
    about = {"title": "Learning: validation accuracy during training", "x": "step", "y": "validation accuracy (%)"}
    return [{"kind": "curves", **about, "lines": lines}]


def _costs(section: Section) -> list[Spec]:
    """Accuracy at the longest length against speed, a figure for each machine, and against saved activations."""
    metric = section.accuracy_metrics[-1]
    y = f"test accuracy {where(metric, section)} (%)" if section.lengths else "test accuracy (%)"
    found = [(row, summary) for row in section.drawn if (summary := row.summary(metric))]
    figures = []
    for machine in sorted({record.machine for row, _ in found for record in row.records}):
        speeds = [
            (row, summary, middle(records, "throughput", "train_tokens_per_s"))
            for row, summary in found
            for name, records in row.by_machine()
            if name == machine
        ]
        points = _front([_cost(section, *point) for point in speeds if point[2]], fewer_is_better=False)
        title = f"Accuracy against training speed ({machine})"
        figures.append({"kind": "scatter", "title": title, "x": "training speed (tokens/s)", "y": y, "points": points})
    saved = [(row, summary, middle(row.records, "memory", "activation_bytes_per_token")) for row, summary in found]
    points = _front([_cost(section, *point) for point in saved if point[2]], fewer_is_better=True)
    title, x = "Accuracy against memory for training", "activations saved (bytes/token)"
    figures.append({"kind": "scatter", "title": title, "x": x, "y": y, "points": points})
    return [figure for figure in figures if len(figure["points"]) > 1]


def _cost(section: Section, row: Row, summary: Summary, cost: float | None) -> Spec:
    return {
        "model": row.model,
        "label": f"{section.label(row)}: {_mean_text(summary)} at {cost:,.0f}\n{short_config(row.first)}",
        "x": _number(cost or 0.0),
        "y": _number(100 * summary.mean),
        "link": row.first.link.rpartition("/")[0],
    }


def _front(points: list[Spec], *, fewer_is_better: bool) -> list[Spec]:
    """Each point with whether no other is at least as good in both and better in one."""
    sign = -1 if fewer_is_better else 1

    def beats(a: Spec, b: Spec) -> bool:
        one, other = (sign * a["x"], a["y"]), (sign * b["x"], b["y"])
        return one != other and one[0] >= other[0] and one[1] >= other[1]

    return [point | {"front": not any(beats(other, point) for other in points)} for point in points]


def _number(value: float) -> float:
    return float(f"{value:.6g}")
