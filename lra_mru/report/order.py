"""What stands first, and what a model looks like in every figure: the one place that declares both."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

FIRST_TASKS = ("delayed_mnist", "flip_flop", "copy_first", "state_tracking")  # what the suite is about; others by name


@dataclass(frozen=True)
class Look:
    """A colour and a marker; `marker` is one of matplotlib's letters, and the page draws the same shapes."""

    colour: str
    marker: str


BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
VIOLET, BROWN, LIME = "#8A5FB0", "#94702C", "#7E9F00"
COLOURS = (BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY, VIOLET, BROWN, LIME)
MARKERS = ("o", "s", "^", "D", "v", "P", "*", "X", "p", "h", "<", ">")
# The first six colours are Okabe and Ito's, which colour-blind readers can tell apart; markers tell the rest.
# The first nine models share no colour; a relative of one has its colour and another marker.
LOOKS = {
    "bmru": Look(BLUE, "o"),
    "lru": Look(VERMILLION, "s"),
    "mamba": Look(GREEN, "^"),
    "transformer": Look(PINK, "D"),
    "hybrid": Look(ORANGE, "v"),
    "hybrid_mamba": Look(SKY, "P"),
    "nfsm": Look(VIOLET, "*"),
    "fq_bmru": Look(BROWN, "X"),
    "mamba_signed": Look(LIME, "h"),
    "bmru_carry": Look(BLUE, "p"),
    "cmru": Look(BROWN, "h"),
    "gru": Look(VERMILLION, ">"),
    "mingru": Look(VERMILLION, "<"),
    "hybrid_parallel": Look(ORANGE, "p"),
    "hybrid_nfsm": Look(VIOLET, "D"),
}
FREE = [look for look in map(Look, *zip(*product(COLOURS, MARKERS), strict=True)) if look not in LOOKS.values()]


def look_of(model: str) -> Look:
    """The declared look; for a model of one's own one that only its name decides, and that no shipped model has."""
    number = int.from_bytes(hashlib.sha256(model.encode()).digest()[:8], "big")
    return LOOKS.get(model) or FREE[number % len(FREE)]


def task_rank(task: str) -> tuple[int, str]:
    """Sorts tasks: the declared ones first, in their order, then all others by name."""
    return (FIRST_TASKS.index(task) if task in FIRST_TASKS else len(FIRST_TASKS), task)


def in_order(models: Iterable[str]) -> list[str]:
    """Each model once: the declared ones first, in their order, then all others by name."""
    declared = list(LOOKS)
    return sorted(set(models), key=lambda m: (declared.index(m) if m in LOOKS else len(declared), m))
