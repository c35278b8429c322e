"""The Pareto front of a sweep as PNG."""

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lra_mru.report.figures.style import GREY, STYLE
from lra_mru.report.order import in_order, look_of
from lra_mru.report.pareto import Sweep
from lra_mru.report.tables.sweeps import BETTER, LABELS, scaled, short_number


def draw_front(sweep: Sweep) -> bytes:
    """The first objective against each other one as PNG: filled on the front, hollow where another beats it."""
    first, *others = sweep.goals
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9 * len(others), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, others, strict=True):
            _panel(axes, sweep, first, name)
        low, high = panels[0].get_ylim()
        if first == "val/acc":
            panels[0].set_ylim(max(low, -2), min(high, 102))
        panels[0].set_ylabel(f"{LABELS[first]}, {BETTER[sweep.goals[first]]}")
        for model in in_order(candidate.model for candidate in sweep.candidates):
            look = look_of(model)
            panels[0].plot([], [], linestyle="", marker=look.marker, color=look.colour, label=model)
        figure.legend(loc="outside right upper", frameon=False)
        figure.suptitle(
            f"Sweep {sweep.study}: filled is the Pareto front, numbers are trials", x=0.01, ha="left", fontsize=9.5
        )
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return png.getvalue()


def _panel(axes: Axes, sweep: Sweep, first: str, name: str) -> None:
    front = sweep.front
    for number, candidate in enumerate(sorted(sweep.candidates, key=lambda c: c.values[name])):
        look = look_of(candidate.model)
        x, y = scaled(candidate, name), scaled(candidate, first)
        fill = look.colour if candidate in front else "none"
        axes.plot(x, y, ls="", marker=look.marker, markerfacecolor=fill, markeredgecolor=look.colour, markersize=7)
        label = ", ".join(map(str, candidate.trials))
        side = 6 if number % 2 == 0 else -12  # neighbours on a line: one number above, the next below
        axes.annotate(label, (x, y), (0, side), textcoords="offset points", fontsize=7, color=GREY, ha="center")
    places = [scaled(candidate, name) for candidate in sweep.candidates]
    wide = min(places) > 0 and max(places) > 10 * min(places)
    axes.set(xscale="log" if wide else "linear", xlabel=f"{LABELS[name]}, {BETTER[sweep.goals[name]]}")
    if not wide:
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.margins(0.12)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
