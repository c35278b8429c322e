"""What all figures share: fonts and colours, empty axes, seeds with their interval, and labels that keep apart.

No pyplot, no window, no global state: a figure has a canvas of its own.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lra_mru.report.order import Look
from lra_mru.report.stats import Summary

GREY, DASHES = "#666666", (0, (4, 3))
WIDTH, LINE = 7.8, 0.2  # inches: of a figure, and from one label to the next
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": "#222222",
    "axes.labelcolor": "#222222",
}


def blank(*, left: float, right: float, top: float, bottom: float, height: float) -> tuple[Figure, Axes]:
    """A figure of the common width, and its axes, with margins in inches."""
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=left / WIDTH, right=1 - right / WIDTH, top=1 - top / height, bottom=bottom / height)
    axes = figure.add_subplot()
    axes.grid(axis="both", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def seeds_and_interval(axes: Axes, summary: Summary, look: Look, place: float, *, upwards: bool) -> None:
    """Seeds, mean and interval at `place` of the other axis; accuracy runs upwards or to the right."""

    def points(values: list[float]) -> tuple[list[float], list[float]]:
        return ([place] * len(values), values) if upwards else (values, [place] * len(values))

    mean, seeds = 100 * summary.mean, [100 * value for value in summary.per_seed.values()]
    if summary.half_width is not None:
        half = 100 * summary.half_width
        low_high = points([max(0.0, mean - half), min(100.0, mean + half)])
        axes.plot(*low_high, color=look.colour, linewidth=3.2, alpha=0.3, solid_capstyle="butt", zorder=2)
    axes.plot(*points(seeds), "o", color=look.colour, markersize=3.4, mew=0, alpha=0.55, zorder=4, clip_on=False)
    axes.plot(
        *points([mean]), look.marker, color=look.colour, markersize=5.5, zorder=5, mec="white", mew=0.6, clip_on=False
    )


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart within low..high, in the order of `wanted` and nearest to it: labels never overlap.

    Less `gap` times its rank, a place must only not fall: least squares under that order is isotonic regression, by
    pooling neighbours that violate it.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], -i))  # of equals the first is the highest
    pools: list[tuple[float, int]] = []  # mean, size
    for rank, i in enumerate(order):
        pools.append((wanted[i] - rank * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, size), (other, more) = pools.pop(), pools.pop()
            pools.append(((mean * size + other * more) / (size + more), size + more))
    top = high - gap * (len(wanted) - 1)
    level = [max(low, min(mean, top)) for mean, size in pools for _ in range(size)]
    places = {i: level[rank] + rank * gap for rank, i in enumerate(order)}
    return [places[i] for i in range(len(wanted))]
