"""A sweep as Markdown and as a figure: the Pareto front, and how many trials stand behind it."""

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lra_mru.report.cells import markdown_table, percent
from lra_mru.report.figures import COLOURS, GREY, MARKERS, STYLE
from lra_mru.report.pareto import Candidate, Sweep

LABELS = {
    "val/acc": "validation (%)",
    "train_tokens_per_s": "train (tokens/s)",
    "eval_tokens_per_s": "eval (tokens/s)",
    "step_ms": "step (ms)",
    "peak_bytes": "peak memory (MiB)",
    "activation_bytes_per_token": "activations (bytes/token)",
    "state_bytes": "state (bytes)",
    "num_params": "parameters",
}
BETTER = {"maximize": "more is better", "minimize": "less is better"}
SCALES = {"val/acc": 100.0, "peak_bytes": 2.0**-20}  # from a record's unit to the label's


def front_table(sweep: Sweep) -> str:
    """The Pareto front, best first."""
    head = ["model", *(LABELS[name] for name in sweep.goals), "settings", "seeds", "trials"]
    lines = []
    for candidate in sweep.front:
        cells = [_cell(name, candidate.values[name]) for name in sweep.goals]
        trials = ", ".join(map(str, candidate.trials))
        lines.append([candidate.model, *cells, candidate.settings, f"n = {len(candidate.trials)}", trials])
    return markdown_table(head, lines)


def sweep_section(sweep: Sweep) -> str:
    """Heading, counts, table and figure of one sweep for the leaderboard."""
    total = sum(sweep.states.values())
    states = ", ".join(f"{count} {state}" for state, count in sorted(sweep.states.items()))
    models = ", ".join(f"{model} {count}" for model, count in sweep.per_model.items())
    together = f"; {sweep.jobs} trials at once share the machine, which slows each" if sweep.jobs > 1 else ""
    if not sweep.candidates:
        body = "No trial has finished yet.\n"
    else:
        goals = ", ".join(f"{LABELS[name]}, {BETTER[goal]}" for name, goal in sweep.goals.items())
        body = (
            f"Pareto front, {len(sweep.front)} of {len(sweep.candidates)} configurations by {goals}. "
            f"Means over seeds, chosen by validation alone{together}.\n\n{front_table(sweep)}\n"
            f"![Pareto front of {sweep.study}](figures/sweep_{sweep.study}.png)\n"
        )
    return (
        f"## Sweep {sweep.study}: {sweep.task} (budget: {sweep.budget})\n\n"
        f"{total} trials ({states}); by model: {models}.\n\n{body}"
    )


def draw_front(sweep: Sweep, models: list[str]) -> bytes:
    """The first objective against each other one as PNG: filled on the front, hollow where another beats it."""
    first, *others = sweep.goals
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9 * len(others), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, others, strict=True):
            _panel(axes, sweep, first, name, models)
        low, high = panels[0].get_ylim()
        if first == "val/acc":
            panels[0].set_ylim(max(low, -2), min(high, 102))
        panels[0].set_ylabel(f"{LABELS[first]}, {BETTER[sweep.goals[first]]}")
        names = sorted({candidate.model for candidate in sweep.candidates}, key=models.index)
        for model in names:
            colour, marker = _look(model, models)
            panels[0].plot([], [], linestyle="", marker=marker, color=colour, label=model)
        figure.legend(loc="outside right upper", frameon=False)
        figure.suptitle(
            f"Sweep {sweep.study}: filled is the Pareto front, numbers are trials", x=0.01, ha="left", fontsize=9.5
        )
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return png.getvalue()


def _panel(axes: Axes, sweep: Sweep, first: str, name: str, models: list[str]) -> None:
    front = sweep.front
    for number, candidate in enumerate(sorted(sweep.candidates, key=lambda c: c.values[name])):
        colour, marker = _look(candidate.model, models)
        x, y = _scaled(candidate, name), _scaled(candidate, first)
        fill = colour if candidate in front else "none"
        axes.plot(x, y, linestyle="", marker=marker, markerfacecolor=fill, markeredgecolor=colour, markersize=7)
        label = ", ".join(map(str, candidate.trials))
        side = 6 if number % 2 == 0 else -12  # neighbours on a line: one number above, the next below
        axes.annotate(label, (x, y), (0, side), textcoords="offset points", fontsize=7, color=GREY, ha="center")
    places = [_scaled(candidate, name) for candidate in sweep.candidates]
    wide = min(places) > 0 and max(places) > 10 * min(places)
    axes.set(xscale="log" if wide else "linear", xlabel=f"{LABELS[name]}, {BETTER[sweep.goals[name]]}")
    if not wide:
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: _number(value))
    axes.margins(0.12)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)


def _look(model: str, models: list[str]) -> tuple[str, str]:
    index = models.index(model)
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def _scaled(candidate: Candidate, name: str) -> float:
    return candidate.values[name] * SCALES.get(name, 1.0)


def _cell(name: str, value: float) -> str:
    if name == "val/acc":
        return percent(value)
    return _number(value * SCALES.get(name, 1.0))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
