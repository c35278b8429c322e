"""induction_heads: what came after the trigger, the last time it was seen?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.common.checks import check_int
from lra_mru.spec import TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.parts import Array, Spans, write_at


@dataclass(kw_only=True, eq=False, repr=False)
class InductionHeads(GeneratedTask):
    """Name the token that followed the trigger, when the trigger comes again as the last step.

        x = T tokens, uniform on 0 .. V - 2, but the trigger V - 1 at step p and at the last    V = vocab_size
        y = x[p + 1]                                                                            p ~ U{0 .. T - 3}

    Chance is 1 / (V - 1). The model must join two neighbours (trigger, answer) and hold the answer while T - p - 2
    other tokens pass, each of which might have been the answer. Trained at T = 256, tested up to T = 2**20.

    Shapes:  (B, T) int64, one target
    Raises:  ValueError where T is below 3, or vocab_size below 3
    Source:  Fu et al., "Hungry Hungry Hippos", arXiv 2212.14052, section 3.1; T and V as in Gu, Dao, "Mamba",
             arXiv 2312.00752, section 4.1.2. Our 16 ids include the trigger.
    """

    vocab_size: int

    name = "induction_heads"

    def __post_init__(self) -> None:
        check_int("vocab_size", self.vocab_size, minimum=3)
        super().__post_init__()
        self.check_lengths(minimum=3, reason="a trigger, an answer and the trigger again")
        self.variant = f"{self.vocab_size - 1} tokens and a trigger, T = {self.T}"
        self.spec = TaskSpec(
            kind="tokens",
            vocab_size=self.vocab_size,
            num_classes=self.vocab_size - 1,
            max_length=self.T,
            chance=1 / (self.vocab_size - 1),
        )

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        place = draws.integers(T - 2, 1)  # (B, 1)
        tokens, trigger = draws.block(T), self.vocab_size - 1
        answers = tokens.integers_at(trigger, place + 1)[:, 0]
        triggers = np.concatenate([place, np.full_like(place, T - 1)], axis=1)
        for first, last in spans:
            inputs = tokens.integers(trigger, first, last)
            write_at(inputs, first, triggers, trigger)
            yield inputs, answers

    def oracle(self, inputs: Array) -> Array:
        first = (inputs == self.vocab_size - 1).argmax(axis=1)
        return inputs[np.arange(len(inputs)), first + 1]
