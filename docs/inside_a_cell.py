"""What trained cells keep of one write, unit by unit.

    python docs/inside_a_cell.py BMRU_RUN LRU_RUN     # folders of finished runs of task=copy_first, below runs/
    python docs/inside_a_cell.py                      # the picture alone, from figures/inside_a_cell.json

Two words have another first symbol and the same distractors behind it. A unit that still knows the symbol is in another
state for one word than for the other: their difference is what is left of the write.
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
UNITS = 8
FOOT = 1e-9  # below float32's rounding of states of about 1
COLOURS = {"bmru": "#0072B2", "lru": "#D55E00"}


def differences(folder: Path, steps: list[int]) -> dict[str, Any]:
    """|state for one word - state for the other| after each of `steps`, over the largest, of a few units: those for
    which it is greatest at the trained length."""
    run = load_run(folder)
    task: Any = run.task
    rng = np.random.default_rng(0)
    words = np.tile(rng.integers(task.num_distractors, size=STEPS) + task.num_symbols, (2, 1))
    words[:, 0] = 0, 1
    found = states(run.model, torch.from_numpy(words), steps)
    left = (found[0] - found[1]).abs().double()
    at = left[steps.index(task.T)]
    chosen = at.topk(min(UNITS, int((at > 0).sum()))).indices
    return {
        "trained": task.T,
        "units": [[float(f"{v:.3g}") for v in unit] for unit in (left / left.max())[:, chosen].T],
    }


def states(model: SequenceModel, words: Tensor, steps: list[int]) -> Tensor:
    """Every unit's state after each of `steps`, real or complex: (2 words, steps, units)."""
    state, read, found = model.initial_state(len(words)), 0, []
    with torch.no_grad():
        for step in steps:
            _, state = model.advance(words[:, read:step], state)
            found.append(torch.cat([unit.flatten(1) for unit in state.mixers], dim=1))
            read = step
    return torch.stack(found, dim=1)


def measure(bmru: Path, lru: Path) -> dict[str, Any]:
    steps = sorted({*np.geomspace(1, STEPS, 150).astype(int).tolist(), 300})
    return {"steps": steps, "bmru": differences(bmru, steps), "lru": differences(lru, steps)}


def draw(found: dict[str, Any]) -> None:
    """A panel for each model, a line for each unit; what is exactly 0 stands at the foot."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharex=True, sharey=True)
    for axes, (model, what) in zip(panels, [("bmru", "holds"), ("lru", "fades")], strict=True):
        for unit in found[model]["units"]:
            axes.plot(found["steps"], [max(value, FOOT) for value in unit], color=COLOURS[model], alpha=0.6)
        axes.axvline(found[model]["trained"], color="#666666", linewidth=0.9, linestyle=":")
        axes.set(xscale="log", yscale="log", xlabel="steps since the write", ylim=(FOOT / 3, 3))
        axes.set_title(f"{model}: {what}", loc="left", fontsize=10, fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("what is left of the write")
    panels[0].text(found["bmru"]["trained"] * 1.1, 1e-5, "trained length", fontsize=8, color="#666666")
    figure.savefig(FIGURES / "inside_a_cell.png", dpi=140, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    data = FIGURES / "inside_a_cell.json"
    if len(sys.argv) == 3:
        data.write_text(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
    draw(json.loads(data.read_text()))


if __name__ == "__main__":
    main()
