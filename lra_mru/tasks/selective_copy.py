"""selective_copy: pick the data out of the noise, and say them again in their order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.common.checks import check_int
from lra_mru.spec import NO_TARGET, TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.parts import Array, Spans, write_at, write_run

NOISE = 0


@dataclass(kw_only=True, eq=False, repr=False)
class SelectiveCopy(GeneratedTask):
    """Recall num_items data tokens that stand at random places among T steps of noise.

        x = T steps: data at K random places, the noise token 0 elsewhere; then K times the marker V - 1
        y = no target for T steps, then the data in their order     K = num_items, data ~ U{1 .. V - 2}, V = vocab_size

    Class c stands for token c + 1. Chance is 1 / (V - 2) at each of the K steps. Unlike in `copy` the places vary, so
    that counting steps does not help: what enters the memory must depend on the input.

    Shapes:  (B, T + K) int64; targets per step
    Units:   T and eval_lengths in steps before the first marker; test_sets in steps: T + K
    Raises:  ValueError where T is below num_items, or vocab_size below 4
    Source:  Gu, Dao, "Mamba", arXiv 2312.00752, section 4.1.1; noise, data and marker as in the code of S4
    """

    vocab_size: int
    num_items: int

    name = "selective_copy"

    def __post_init__(self) -> None:
        check_int("vocab_size", self.vocab_size, minimum=4)
        check_int("num_items", self.num_items, minimum=1)
        super().__post_init__()
        self.check_lengths(minimum=self.num_items, reason="num_items")
        self.num_data = self.vocab_size - 2
        self.variant = f"{self.num_items} of {self.num_data} tokens, T = {self.T}"
        self.spec = TaskSpec(
            kind="tokens",
            vocab_size=self.vocab_size,
            num_classes=self.num_data,
            max_length=self.num_steps(self.T),
            per_step=True,
            chance=1 / self.num_data,
        )

    def num_steps(self, T: int) -> int:
        return T + self.num_items

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        data, places = draws.integers(self.num_data, self.num_items), draws.subsets(T, self.num_items)  # (B, K)
        marker = np.full_like(data, self.vocab_size - 1)
        for first, last in spans:
            inputs = np.full((len(data), last - first), NOISE)
            write_at(inputs, first, places, data + 1)
            write_run(inputs, first, T, marker)
            targets = np.full_like(inputs, NO_TARGET)
            write_run(targets, first, T, data)
            yield inputs, targets

    def oracle(self, inputs: Array) -> Array:
        answers = np.empty_like(inputs)
        is_data = (inputs != NOISE) & (inputs != self.vocab_size - 1)
        answers[:, -self.num_items :] = inputs[is_data].reshape(-1, self.num_items) - 1
        return answers
