"""Figures of the leaderboard as PNG bytes: accuracy against length, or accuracy beside the floors.

A model keeps its colour and its marker in every figure (report/order.py).
"""

import io
import math
from itertools import pairwise

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lra_mru.report.figures.style import DASHES, GREY, LINE, STYLE, WIDTH, blank, seeds_and_interval, spread
from lra_mru.report.load import ACC
from lra_mru.report.order import Look, look_of
from lra_mru.report.sections import Section
from lra_mru.report.tables.cells import percent

CHARACTER, GAP = 0.072, 0.08  # inches: of a tick label on average, and between two
LINES = ("-", "--", ":", "-.")  # of several rows of one model
KEY = "Dots: seeds. Line or mark: mean. Bar: 95 % interval of the mean, drawn within 0 to 100 %. Dashed: floors."


def draw(section: Section) -> bytes:
    """The figure of a section as PNG."""
    png = io.BytesIO()
    with rc_context(STYLE):
        make_figure(section).savefig(png, format="png", dpi=160, metadata={"Software": None})
    return png.getvalue()


def make_figure(section: Section) -> Figure:
    """Accuracy against length where a section has further lengths, else accuracy beside the floors."""
    return _against_length(section) if section.lengths else _beside_floors(section)


def _against_length(section: Section) -> Figure:
    """Accuracy against sequence length on a logarithmic axis; a row ends where it was not evaluated further."""
    rows = section.drawn
    height = max(4.0, 1.3 + LINE * (len(rows) + 1))
    figure, axes = blank(left=0.65, right=2.35, top=0.7, bottom=0.72, height=height)
    places = section.places
    last, apart = max(places), _apart(list(places.values()), len(rows))
    ends = []  # (accuracy at the right edge, label, colour, marker, whether the row reaches that edge)
    for i, row in enumerate(rows):
        look, line = look_of(row.model), LINES[section.namesakes(row, rows).index(row) % len(LINES)]
        shift = apart ** (i - (len(rows) - 1) / 2)  # side by side, so that equal results stay visible
        points = [(length, found) for length, metric in section.points if (found := row.summary(metric))]
        means = [100 * summary.mean for _, summary in points]
        xs = [places[length] * shift for length, _ in points]
        axes.plot(xs, means, color=look.colour, linestyle=line, linewidth=1.6, zorder=3)
        for x, (_, summary) in zip(xs, points, strict=True):
            seeds_and_interval(axes, summary, look, x, upwards=True)
        reached = points[-1][0]
        until = "" if reached == last else f" (to {reached:,})"
        until += f", ∞ proven {len(row.proven_seeds)} of {len(row.records)}" if row.proven_seeds else ""
        ends.append((means[-1], f"{section.label(row)}{until}", look, reached == last))
    if (floor := section.best_floor()) is not None:
        axes.axhline(100 * floor, color=GREY, linewidth=0.9, linestyle=DASHES, zorder=1)
        ends.append((100 * floor, f"best floor, {percent(floor)} %", Look(GREY, ""), True))
    axes.axvline(section.trained_length, color=GREY, linewidth=0.9, linestyle=":", zorder=1)
    low, high = min(places.values()) / 1.6, max(places.values()) * 1.6
    axes.set(xscale="log", xlim=(low, high), ylim=(-4, 106), yticks=range(0, 101, 25))
    axes.set_xticks(list(places.values()), _tick_labels(section, places, math.log(high / low)))
    axes.minorticks_off()
    axes.set(xlabel="sequence length T, and n test sequences of it", ylabel="test accuracy (%)")
    _label_ends(axes, ends, gap=110 * LINE / (height - 1.42))
    return _titled(figure, section)


def _apart(places: list[float], num_rows: int) -> float:
    """The factor from one row to the next: a hundredth of the axis, and less where lengths stand close together."""
    closest = min(b / a for a, b in pairwise(places))
    return min((places[-1] / places[0]) ** 0.012, closest ** (0.5 / num_rows))


def _tick_labels(section: Section, places: dict[int, float], span: float) -> list[str]:
    """Length and number of sequences where there is room, else nothing; the trained length and the last come first.

    span: of the axis, natural logarithm
    """
    scale = (WIDTH - 3.0) / span  # 3 inches of margins
    labels, half = {}, {}
    for length, metric in section.points:
        name = f"{length:,} (trained)" if metric == ACC else f"{length:,}"
        size = f"n = {' or '.join(f'{n:,}' for n in section.num_sequences(metric))}"
        labels[length], half[length] = f"{name}\n{size}", CHARACTER * max(len(name), len(size)) / 2
    at = {length: math.log(place) * scale for length, place in places.items()}
    kept: list[int] = []
    for length in [section.trained_length, max(places), *places]:
        if all(abs(at[length] - at[other]) >= half[length] + half[other] + GAP for other in kept):
            kept.append(length)
    return [label if length in kept else "" for length, label in labels.items()]


def _label_ends(axes: Axes, ends: list[tuple[float, str, Look, bool]], gap: float) -> None:
    """Names in the right margin, beside the place where each line leaves the axes."""
    transform = axes.get_yaxis_transform()
    places = spread([y for y, *_ in ends], gap=gap, low=0, high=104)
    for (y, text, look, reaches_edge), place in zip(ends, places, strict=True):
        if reaches_edge:
            axes.plot([1.0, 1.035], [y, place], color=look.colour, linewidth=0.8, clip_on=False, transform=transform)
        axes.plot(
            1.055, place, marker=look.marker, color=look.colour, markersize=5.5, clip_on=False, transform=transform
        )
        axes.text(1.08, place, text, va="center", transform=transform)


def _beside_floors(section: Section) -> Figure:
    """One line per row, best on top; floors as vertical lines, named above."""
    rows = section.drawn
    num_rows = len(rows)
    summaries = [summary for row in rows if (summary := row.summary(ACC))]
    floors = [(100 * highest, f"{name}, {percent(highest)} %") for name, _, highest in section.floors()]
    head = 0.75 + 0.04 * max([len(name) for _, name in floors], default=0)
    figure, axes = blank(left=1.75, right=1.75, top=head, bottom=0.5, height=head + 0.5 + 0.36 * num_rows)
    for i, (row, summary) in enumerate(zip(rows, summaries, strict=True)):
        seeds_and_interval(axes, summary, look_of(row.model), i, upwards=False)
        interval = "" if summary.half_width is None else f" ± {percent(summary.half_width)}"
        text = f"{percent(summary.mean)}{interval}  (n = {summary.n})"
        axes.text(1.03, i, text, transform=axes.get_yaxis_transform(), va="center")
    reach = [value + (summary.half_width or 0) for summary in summaries for value in summary.per_seed.values()]
    highest = max([100 * value for value in reach] + [x for x, _ in floors])
    right = min(100.0, 10 * (1 + highest // 10))
    axes.set(xlim=(0, right), ylim=(num_rows - 0.5, -0.5), xlabel="test accuracy (%)")
    axes.set_yticks(range(num_rows), [section.label(row) for row in rows])
    axes.tick_params(axis="y", length=0, labelcolor="#222222")
    places = spread([x for x, _ in floors], gap=0.065 * right, low=0, high=right)
    foot, transform = 1 + 0.12 / (0.36 * num_rows), axes.get_xaxis_transform()
    for (x, name), place in zip(floors, places, strict=True):
        axes.axvline(x, color=GREY, linewidth=0.9, linestyle=DASHES, zorder=1)
        axes.plot([x, place], [1.0, foot], color=GREY, linewidth=0.8, clip_on=False, transform=transform)
        label = axes.text(place, foot, f" {name}", fontsize=8, color=GREY, transform=transform)
        label.set(rotation=42, rotation_mode="anchor")
    return _titled(figure, section)


def _titled(figure: Figure, section: Section) -> Figure:
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.13 / height, section.title, fontsize=11, fontweight="bold", va="top")
    figure.text(0.02, 1 - 0.38 / height, KEY, fontsize=7.5, color=GREY, va="top")
    return figure
