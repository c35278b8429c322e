"""Figures of costs: accuracy against speed and memory, cost against length, and the fronts of sweeps."""

from lra_mru.report.page.values import Spec, mean_text, rounded, short_config
from lra_mru.report.pareto import Sweep
from lra_mru.report.rows import Row, middle
from lra_mru.report.sections import Section
from lra_mru.report.stats import Summary
from lra_mru.report.tables.cells import where
from lra_mru.report.tables.lengths import COSTS, Bench
from lra_mru.report.tables.sweeps import LABELS, scaled


def cost_figures(section: Section) -> list[Spec]:
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
        "label": f"{section.label(row)}: {mean_text(summary)} at {cost:,.0f}\n{short_config(row.first)}",
        "x": rounded(cost or 0.0),
        "y": rounded(100 * summary.mean),
        "link": row.first.link.rpartition("/")[0],
    }


def _front(points: list[Spec], *, fewer_is_better: bool) -> list[Spec]:
    """Each point with whether no other is at least as good in both and better in one."""
    sign = -1 if fewer_is_better else 1

    def beats(a: Spec, b: Spec) -> bool:
        one, other = (sign * a["x"], a["y"]), (sign * b["x"], b["y"])
        return one != other and one[0] >= other[0] and one[1] >= other[1]

    return [point | {"front": not any(beats(other, point) for other in points)} for point in points]


def memory_figure(section: Section) -> Spec:
    """Memory of the test against length, a line for each row."""
    return {
        "kind": "costs",
        "from_zero": True,
        "title": "Memory against sequence length",
        "x": "sequence length T",
        "y": "memory (MiB)",
        "series": [
            {"model": row.model, "label": section.label(row), "points": [[n, rounded(v / 2**20)] for n, v in found]}
            for row in section.drawn
            if (found := section.memory(row))
        ],
    }


def sweep_figures(sweep: Sweep) -> list[Spec]:
    """The first objective against each other one; what another configuration beats is hollow."""
    first, *others = sweep.goals
    figures = []
    for name in others:
        points = [
            {
                "model": c.model,
                "label": f"{c.model}, {c.settings}, trials {', '.join(map(str, c.trials))}",
                "x": rounded(scaled(c, name)),
                "y": rounded(scaled(c, first)),
                "front": c in sweep.front,
            }
            for c in sweep.candidates
        ]
        figures.append(
            {"kind": "scatter", "title": LABELS[name], "x": LABELS[name], "y": LABELS[first], "points": points}
        )
    return figures


def bench_figures(bench: Bench) -> list[Spec]:
    """A line for each model, on logarithmic axes."""
    return [
        {"kind": "costs", "title": label, "x": "sequence length L", "y": label, "series": [
            {"model": model, "label": model, "points": [[n, rounded(v)] for n, v in sorted(found.items())]}
            for model, found in bench.values[cost].items() if found
        ]}
        for cost, (label, _) in COSTS.items()
    ]  # fmt: skip
