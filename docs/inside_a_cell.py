"""What trained cells keep of one write, unit by unit.

    python docs/inside_a_cell.py BMRU_RUN LRU_RUN     # folders of finished runs of task=copy_first, below runs/
    python docs/inside_a_cell.py                      # the picture alone, from figures/inside_a_cell.json

Two words have another first symbol and the same distractors behind it. A unit that still knows the symbol is in another
state for one word than for the other. Shown are the three units of each model that differ most at the trained length.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from lra_mru.certify.run import load_run
from lra_mru.model import SequenceModel

FIGURES = Path(__file__).parent / "figures"
STEPS = 30_000
UNITS = 3
COLOURS = ("#0072B2", "#D55E00", "#009E73")


def states(model: SequenceModel, words: Tensor, steps: list[int]) -> Tensor:
    """The real part of every unit's state after each of `steps`: (2 words, steps, units)."""
    state, read, found = model.initial_state(len(words)), 0, []
    with torch.no_grad():
        for step in steps:
            _, state = model.advance(words[:, read:step], state)
            found.append(torch.cat([unit.flatten(1).real for unit in state.mixers], dim=1).float())
            read = step
    return torch.stack(found, dim=1)


def trajectories(folder: Path, steps: list[int]) -> dict[str, Any]:
    """The states of the units that differ most at the trained length, for both words."""
    run = load_run(folder)
    task: Any = run.task
    rng = np.random.default_rng(0)
    words = np.tile(rng.integers(task.num_distractors, size=STEPS) + task.num_symbols, (2, 1))
    words[:, 0] = 0, 1
    found = states(run.model, torch.from_numpy(words), steps)
    at = steps.index(task.T)
    chosen = (found[0, at] - found[1, at]).abs().topk(UNITS).indices
    return {"trained": task.T, "states": found[:, :, chosen].permute(2, 0, 1).double().numpy().round(4).tolist()}


def measure(bmru: Path, lru: Path) -> dict[str, Any]:
    steps = sorted({*np.geomspace(1, STEPS, 150).astype(int).tolist(), 300})
    return {"steps": steps, "bmru": trajectories(bmru, steps), "lru": trajectories(lru, steps)}


def draw(found: dict[str, Any]) -> None:
    """A panel for each model: a colour for each unit, a full line for one word and a dashed one for the other."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharex=True)
    for axes, (model, what) in zip(panels, [("bmru", "holds"), ("lru", "fades")], strict=True):
        for colour, (one, other) in zip(COLOURS, found[model]["states"], strict=True):
            scale = max(map(abs, [*one, *other]))
            axes.plot(found["steps"], [value / scale for value in one], color=colour, linewidth=1.6)
            axes.plot(found["steps"], [value / scale for value in other], color=colour, linewidth=1.6, linestyle="--")
        axes.axvline(found[model]["trained"], color="#666666", linewidth=0.9, linestyle=":")
        axes.set(xscale="log", xlabel="steps since the first symbol", ylim=(-1.1, 1.1), yticks=(-1, 0, 1))
        axes.set_title(f"{model}: {what}", loc="left", fontsize=10, fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("state of a unit, over its largest")
    panels[0].text(found["bmru"]["trained"] * 1.1, -1.05, "trained length", fontsize=8, color="#666666")
    figure.savefig(FIGURES / "inside_a_cell.png", dpi=140, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    data = FIGURES / "inside_a_cell.json"
    if len(sys.argv) == 3:
        data.write_text(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
    draw(json.loads(data.read_text()))


if __name__ == "__main__":
    main()
