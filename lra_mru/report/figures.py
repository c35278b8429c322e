"""Figures of the leaderboard as PNG bytes: accuracy against length, or accuracy beside the floors.

Colours are Okabe and Ito's, safe for colour-blind readers; a model keeps its colour in every figure, and each also has
a marker of its own. Dots are seeds, lines and diamonds their mean, bars its 95 % interval.
"""

import io
from itertools import pairwise
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lra_mru.report.cells import percent
from lra_mru.report.load import ACC
from lra_mru.report.rows import Row
from lra_mru.report.sections import Section
from lra_mru.report.stats import Summary

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195"]
MARKERS = ["o", "s", "^", "D", "v", "p", "<", ">", "h"]
GREY, DASHES = "#666666", (0, (4, 3))
CLOSE_TICKS = 3  # lengths of a smaller ratio have no room for centred labels
KEY = "Dots: seeds. Line or mark: mean. Bar: 95 % interval of the mean, drawn within 0 to 100 %. Dashed: floors."
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


def draw(section: Section, models: list[str]) -> bytes:
    """The figure of a section as PNG.

    models:  names of all models of the leaderboard; their order gives the colours
    """
    png = io.BytesIO()
    with rc_context(STYLE):
        make_figure(section, models).savefig(png, format="png", dpi=160, metadata={"Software": None})
    return png.getvalue()


def make_figure(section: Section, models: list[str]) -> Figure:
    """Accuracy against length where a section has further lengths, else accuracy beside the floors."""
    return _against_length(section, models) if section.lengths else _beside_floors(section, models)


def _against_length(section: Section, models: list[str]) -> Figure:
    """Accuracy against sequence length on a logarithmic axis; a row ends where it was not evaluated further."""
    height = max(4.0, 1.3 + LINE * (len(section.rows) + 1))
    figure, axes = _blank(left=0.65, right=2.35, top=0.7, bottom=0.72, height=height)
    lengths = [section.trained_length, *section.lengths]
    ends = []  # (accuracy at the right edge, label, colour, marker, whether the row reaches that edge)
    for i, row in enumerate(section.rows):
        colour, marker = _look(row, i, models)
        shift = 10 ** (0.035 * (i - (len(section.rows) - 1) / 2))  # side by side, so that equal results stay visible
        metrics = zip(lengths, section.accuracy_metrics, strict=True)
        points = [(length, found) for length, metric in metrics if (found := row.summary(metric))]
        means = [100 * summary.mean for _, summary in points]
        axes.plot([length * shift for length, _ in points], means, color=colour, linewidth=1.6, zorder=3)
        for length, summary in points:
            _seeds_and_interval(axes, summary, colour, marker, length * shift, upwards=True)
        reached = points[-1][0]
        until = "" if reached == lengths[-1] else f" (to {reached:,})"
        ends.append((means[-1], f"{section.label(row)}{until}", colour, marker, not until))
    if (floor := section.best_floor()) is not None:
        axes.axhline(100 * floor, color=GREY, linewidth=0.9, linestyle=DASHES, zorder=1)
        ends.append((100 * floor, f"best floor, {percent(floor)} %", GREY, "", True))
    axes.axvline(lengths[0], color=GREY, linewidth=0.9, linestyle=":", zorder=1)
    axes.set(xscale="log", xlim=(lengths[0] / 1.6, lengths[-1] * 1.6), ylim=(-4, 106), yticks=range(0, 101, 25))
    sizes = [" or ".join(f"{n:,}" for n in section.num_sequences(metric)) for metric in section.accuracy_metrics]
    names = [f"{lengths[0]:,} (trained)", *(f"{length:,}" for length in section.lengths)]
    axes.set_xticks(lengths, [f"{name}\n{size} sequences" for name, size in zip(names, sizes, strict=True)])
    axes.minorticks_off()
    for i, (left, right) in enumerate(pairwise(axes.get_xticklabels())):
        if lengths[i + 1] / lengths[i] < CLOSE_TICKS:  # side by side, they would run into each other
            left.set_horizontalalignment("right")
            right.set_horizontalalignment("left")
    axes.set(xlabel="sequence length T, number of test sequences", ylabel="test accuracy (%)")
    _label_ends(axes, ends, gap=110 * LINE / (height - 1.42))
    return _titled(figure, section)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str, str, bool]], gap: float) -> None:
    """Names in the right margin, beside the place where each line leaves the axes."""
    transform = axes.get_yaxis_transform()
    places = _spread([y for y, *_ in ends], gap=gap, low=0, high=104)
    for (y, text, colour, marker, reaches_edge), place in zip(ends, places, strict=True):
        if reaches_edge:
            axes.plot([1.0, 1.035], [y, place], color=colour, linewidth=0.8, clip_on=False, transform=transform)
        axes.plot(1.055, place, marker=marker, color=colour, markersize=5.5, clip_on=False, transform=transform)
        axes.text(1.08, place, text, va="center", transform=transform)


def _beside_floors(section: Section, models: list[str]) -> Figure:
    """One line per row, best on top; floors as vertical lines, named above."""
    num_rows = len(section.rows)
    summaries = [summary for row in section.rows if (summary := row.summary(ACC))]
    floors = [(100 * highest, f"{name}, {percent(highest)} %") for name, _, highest in section.floors()]
    head = 0.75 + 0.04 * max([len(name) for _, name in floors], default=0)
    figure, axes = _blank(left=1.75, right=1.75, top=head, bottom=0.5, height=head + 0.5 + 0.36 * num_rows)
    for i, (row, summary) in enumerate(zip(section.rows, summaries, strict=True)):
        colour, marker = _look(row, i, models)
        _seeds_and_interval(axes, summary, colour, marker, i, upwards=False)
        interval = "" if summary.half_width is None else f" ± {percent(summary.half_width)}"
        text = f"{percent(summary.mean)}{interval}  (n = {summary.n})"
        axes.text(1.03, i, text, transform=axes.get_yaxis_transform(), va="center")
    reach = [value + (summary.half_width or 0) for summary in summaries for value in summary.per_seed.values()]
    highest = max([100 * value for value in reach] + [x for x, _ in floors])
    right = min(100.0, 10 * (1 + highest // 10))
    axes.set(xlim=(0, right), ylim=(num_rows - 0.5, -0.5), xlabel="test accuracy (%)")
    axes.set_yticks(range(num_rows), [section.label(row) for row in section.rows])
    axes.tick_params(axis="y", length=0, labelcolor="#222222")
    places = _spread([x for x, _ in floors], gap=0.065 * right, low=0, high=right)
    foot, transform = 1 + 0.12 / (0.36 * num_rows), axes.get_xaxis_transform()
    for (x, name), place in zip(floors, places, strict=True):
        axes.axvline(x, color=GREY, linewidth=0.9, linestyle=DASHES, zorder=1)
        axes.plot([x, place], [1.0, foot], color=GREY, linewidth=0.8, clip_on=False, transform=transform)
        label = axes.text(place, foot, f" {name}", fontsize=8, color=GREY, transform=transform)
        label.set(rotation=42, rotation_mode="anchor")
    return _titled(figure, section)


def _blank(*, left: float, right: float, top: float, bottom: float, height: float) -> tuple[Figure, Axes]:
    """Axes with margins in inches, in a figure of its own canvas: no pyplot, no window, no global state."""
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=left / WIDTH, right=1 - right / WIDTH, top=1 - top / height, bottom=bottom / height)
    axes = figure.add_subplot()
    axes.grid(axis="both", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _titled(figure: Figure, section: Section) -> Figure:
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.13 / height, section.title, fontsize=11, fontweight="bold", va="top")
    figure.text(0.02, 1 - 0.38 / height, KEY, fontsize=7.5, color=GREY, va="top")
    return figure


def _look(row: Row, index: int, models: list[str]) -> tuple[str, str]:
    return COLOURS[models.index(row.model) % len(COLOURS)], MARKERS[index % len(MARKERS)]


def _seeds_and_interval(axes: Axes, summary: Summary, colour: str, marker: str, place: float, *, upwards: bool) -> None:
    """Seeds, mean and interval at `place` of the other axis; accuracy runs upwards or to the right."""

    def points(values: list[float]) -> tuple[list[float], list[float]]:
        return ([place] * len(values), values) if upwards else (values, [place] * len(values))

    mean, seeds = 100 * summary.mean, [100 * value for value in summary.per_seed.values()]
    if summary.half_width is not None:
        half = 100 * summary.half_width
        low_high = points([max(0.0, mean - half), min(100.0, mean + half)])
        axes.plot(*low_high, color=colour, linewidth=3.2, alpha=0.3, solid_capstyle="butt", zorder=2)
    axes.plot(*points(seeds), "o", color=colour, markersize=3.4, mew=0, alpha=0.55, zorder=4, clip_on=False)
    axes.plot(*points([mean]), marker, color=colour, markersize=5.5, zorder=5, mec="white", mew=0.6, clip_on=False)


def _spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
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
