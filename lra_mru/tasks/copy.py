"""copy: say ten symbols again, in order, T steps later."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.common.checks import check_int
from lra_mru.spec import NO_TARGET, TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.parts import Array, Spans, write_run


@dataclass(kw_only=True, eq=False, repr=False)
class Copy(GeneratedTask):
    """Recall num_items symbols in their order, T steps after each was shown.

        x = s[1] .. s[K], T - 1 blanks, delimiter, K blanks        K = num_items, s[k] ~ U{0 .. num_symbols - 1}
        y = no target for K + T steps, then s[1] .. s[K]

    Chance is 1 / num_symbols at each of the K steps (`test/acc`) and its K-th power for all of them (`test/seq_acc`).
    Nothing happens in between: the blanks tell where a symbol stood only to a model that counts.

    Shapes:  (B, T + 2 K) int64; targets per step
    Units:   T and eval_lengths in steps from a symbol to its recall, less K; test_sets in steps: T + 2 K
    Source:  Hochreiter, Schmidhuber (1997); as in Arjovsky, Shah, Bengio (arXiv 1511.06464), section 5.1. They also
             score the blanks; here only the recall counts.
    """

    num_symbols: int
    num_items: int

    name = "copy"

    def __post_init__(self) -> None:
        check_int("num_symbols", self.num_symbols, minimum=2)
        check_int("num_items", self.num_items, minimum=1)
        super().__post_init__()
        self.variant = f"{self.num_items} of {self.num_symbols} symbols, T = {self.T}"
        self.spec = TaskSpec(
            kind="tokens",
            vocab_size=self.num_symbols + 2,
            num_classes=self.num_symbols,
            max_length=self.num_steps(self.T),
            per_step=True,
            chance=1 / self.num_symbols,
        )

    def num_steps(self, T: int) -> int:
        return T + 2 * self.num_items

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        symbols = draws.integers(self.num_symbols, self.num_items)  # (B, K)
        blank, delimiter = self.num_symbols, np.full((len(symbols), 1), self.num_symbols + 1)
        recall = T + self.num_items  # first step of the recall
        for first, last in spans:
            inputs = np.full((len(symbols), last - first), blank)
            write_run(inputs, first, 0, symbols)
            write_run(inputs, first, recall - 1, delimiter)
            targets = np.full_like(inputs, NO_TARGET)
            write_run(targets, first, recall, symbols)
            yield inputs, targets

    def oracle(self, inputs: Array) -> Array:
        return np.roll(inputs, -self.num_items, axis=1)
