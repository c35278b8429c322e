"""Memory against sequence length as PNG: what a process or a GPU held at most while rows of one length were tested."""

import io

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lra_mru.report.figures.style import GREY, STYLE, WIDTH
from lra_mru.report.order import look_of
from lra_mru.report.sections import Section

ABOUT = "Most bytes in use while rows of one length were tested: median over seeds. On a CPU of the whole process."


def draw_memory(section: Section) -> bytes:
    """A line for each row, above 0."""
    png = io.BytesIO()
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for row in section.drawn:
            if points := section.memory(row):
                look = look_of(row.model)
                axes.plot(
                    [section.places[length] for length, _ in points],
                    [used / 2**20 for _, used in points],
                    color=look.colour,
                    marker=look.marker,
                    markersize=5,
                    linewidth=1.4,
                    label=section.label(row),
                )
        axes.set(xscale="log", xlabel="sequence length T", ylabel="memory (MiB)")
        axes.set_xticks(list(section.places.values()), [f"{length:,}" for length in section.places], fontsize=8)
        axes.minorticks_off()
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.set_title(section.title, loc="left", fontsize=11, fontweight="bold", pad=18)
        axes.text(0, 1.03, ABOUT, fontsize=7.5, color=GREY, transform=axes.transAxes)
        figure.legend(loc="outside right center", frameon=False)
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return png.getvalue()
