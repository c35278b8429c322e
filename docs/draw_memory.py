"""The three pictures of memory.md, made from the suite's own operations: python docs/draw_memory.py"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes

from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan

FIGURES = Path(__file__).parent / "figures"
BISTABLE, FADING, GREY = "#d1495b", "#30638e", "#8d99ae"
DECAY = 0.99
STEPS = 600


def hysteresis(axes: Axes) -> None:
    """The state of one unit while its input rises and falls."""
    sweep = torch.cat([torch.linspace(-2, 2, 400), torch.linspace(2, -2, 400)])
    c = torch.cat([torch.tensor([-2.0]), sweep]).reshape(1, -1, 1)
    h = bmru_scan(c, torch.ones_like(c), torch.ones(1))[0, 1:, 0]
    for half, colour, label in [(slice(0, 400), BISTABLE, "rising"), (slice(400, 800), FADING, "falling")]:
        axes.plot(sweep[half], h[half], color=colour, label=f"input {label}", linewidth=2)
    for threshold in (-1, 1):
        axes.axvline(threshold, color=GREY, linestyle=":")
    axes.annotate("held", (0, 0), ha="center", color=GREY)
    axes.set(xlabel="candidate c", ylabel="state h", xticks=[-2, -1, 0, 1, 2], yticks=[-1, 1])
    axes.set_yticklabels([r"$-\alpha$", r"$+\alpha$"])
    axes.set_xticklabels(["", r"$-\beta$", "0", r"$+\beta$", ""])
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=2)


def hold_or_fade(axes: Axes) -> None:
    """One write at step 20, then noise: a unit that holds, and one that fades."""
    noise = 0.25 * torch.randn(STEPS, generator=torch.Generator().manual_seed(0))
    c = noise.clone()
    c[20] = 2.0
    c = c.reshape(1, -1, 1)
    holds = bmru_scan(c, torch.ones_like(c), torch.ones(1), -torch.ones(1, 1))[0, :, 0]
    scale = (1 - DECAY**2) ** 0.5  # so that the fading unit's noise has a spread of its own size
    b = scale * noise
    b[20] = 2.0
    fades = linear_scan(torch.full((1,), DECAY), b.reshape(1, -1, 1), -torch.ones(1, 1))[0, :, 0]
    axes.plot(c[0, :, 0], color=GREY, linewidth=0.6, label="input")
    axes.plot(fades, color=FADING, linewidth=1.5, label=f"fading, a = {DECAY}")
    axes.plot(holds, color=BISTABLE, linewidth=2, label="bistable")
    axes.set(xlabel="step", ylabel="state", xlim=(0, STEPS))
    axes.legend(loc="upper right", frameon=False, ncols=3)


def walk(axes: Axes) -> None:
    """flip_flop's machine, as a model with one unit walks through it."""
    places = {"start": (0, 0), "holds 0": (2.2, 0.9), "holds 1": (2.2, -0.9)}
    for name, (x, y) in places.items():
        axes.add_patch(plt.Circle((x, y), 0.42, fill=False, color=GREY if name == "start" else BISTABLE, linewidth=2))
        axes.text(x, y, name, ha="center", va="center")
    arrow = {"arrowstyle": "-|>", "color": "#2b2d42", "shrinkA": 32, "shrinkB": 32}
    for source, target, text, bend, at in [
        ("start", "holds 0", "write 0", 0.1, (0.8, 0.75)),
        ("start", "holds 1", "write 1", -0.1, (0.8, -0.85)),
        ("holds 0", "holds 1", "write 1", -0.3, (3.05, 0)),
        ("holds 1", "holds 0", "write 0", -0.3, (1.35, 0)),
    ]:
        style = arrow | {"connectionstyle": f"arc3,rad={bend}"}
        axes.annotate("", places[target], places[source], arrowprops=style)
        axes.text(*at, text, ha="center", va="center", fontsize=9)
    for name, answer in [("holds 0", 0), ("holds 1", 1)]:
        x, y = places[name]
        axes.text(
            x + 0.6, y, f"write {answer}, ignore 0, ignore 1: stays\nread: answers {answer}", va="center", fontsize=9
        )
    axes.set(xlim=(-0.7, 5.6), ylim=(-1.6, 1.6), aspect="equal")
    axes.axis("off")


def main() -> None:
    FIGURES.mkdir(exist_ok=True)
    for draw, size in [(hysteresis, (5, 3)), (hold_or_fade, (7, 3)), (walk, (7, 3.4))]:
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        draw(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(FIGURES / f"{draw.__name__}.png", dpi=120, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
