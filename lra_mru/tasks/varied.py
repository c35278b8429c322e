"""Training words that reach every corner: of any length, and of few different letters."""

import numpy as np

from data_prep.common.counter_rng import stream_key
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.parts import Array

TRAIN_WORDS = ("plain", "varied")


def check_train_words(train_words: str) -> None:
    """Raises ValueError for a value that is not in TRAIN_WORDS."""
    if train_words not in TRAIN_WORDS:
        raise ValueError(f"train_words={train_words!r} must be one of {', '.join(TRAIN_WORDS)}")


def varied_length(name: str, seed: int, step: int, *, low: int, high: int) -> int:
    """A length from low to high, log-uniform, a pure function of (task's name, seed, step): short words are many."""
    [[u]] = Draws(stream_key(name, "length", seed), np.array([step])).uniforms(1)
    return low - 1 + int((high - low + 2) ** float(u))


class FewLetters:
    """Letters of which each row uses a random subset only, of a size that is uniform on 1 .. num_letters.

    Random words of all letters soon contain every letter. What a model does on the others, training never sees.
    """

    def __init__(self, draws: Draws, num_letters: int) -> None:
        ranks = draws.uniforms(num_letters)  # (B, A)
        self.order = np.argsort(ranks, axis=1, kind="stable")
        self.size = draws.integers(num_letters, 1) + 1  # (B, 1)

    def pick(self, u: Array) -> Array:
        """Letters for uniform numbers u on [0, 1): (B, steps) -> (B, steps)."""
        return np.take_along_axis(self.order, (u * self.size).astype(np.int64), axis=1)
