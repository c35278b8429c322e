"""Cost against length as PNG, a panel for each cost."""

import io

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lra_mru.report.figures.style import STYLE
from lra_mru.report.order import look_of
from lra_mru.report.tables.lengths import COSTS, Bench


def draw_bench(bench: Bench) -> bytes:
    """Both axes are logarithmic: a line that rises by one square for each is linear in the length."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.8, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(COSTS), squeeze=False)[0]
        for axes, (cost, (label, _)) in zip(panels, COSTS.items(), strict=True):
            for model in bench.models:
                look, found = look_of(model), sorted(bench.values[cost][model].items())
                name = model if axes is panels[0] else None
                xs, ys = [length for length, _ in found], [value for _, value in found]
                axes.plot(xs, ys, color=look.colour, marker=look.marker, markersize=5, linewidth=1.4, label=name)
            axes.set(xscale="log", yscale="log", xlabel="sequence length L", ylabel=label)
            axes.set_xticks(list(bench.lengths), [f"{length:,}" for length in bench.lengths])
            axes.minorticks_off()
            axes.grid(color="#e6e6e6", linewidth=0.6)
        figure.legend(loc="outside right upper", frameon=False)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return png.getvalue()
