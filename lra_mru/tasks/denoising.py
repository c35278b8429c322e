"""denoising: pick the marked numbers out of the noise, and say them again in their order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.common.checks import check_int
from lra_mru.spec import NO_TARGET, TaskSpec
from lra_mru.tasks.copy_value import share_of_zero
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.parts import Array, Spans, write_at, write_run

NOISE, MARKED, ASKED = -1, 0, 1


@dataclass(kw_only=True, eq=False, repr=False)
class Denoising(GeneratedTask):
    """Recall num_items real numbers that were marked at random places among T, in their order.

        x[t] = (v[t], m[t])   v[t] ~ N(0, 1), m[t] = 0 at K random places before step T - min_delay, else -1   for t < T
        x[t] = (0, 1)         for t = T .. T + K - 1                                                       K = num_items
        y    = no target for T steps, then the marked numbers in their order

    At another T the marked numbers are as many: a longer test is a longer memory. An answer counts as correct within
    `tolerance`; the best constant one is 0, and its share of correct answers is the chance stated. Loss: mean squared
    error. Floor latest_item: the last marked number, answered K times.

    Shapes:  (B, T + K, 2) float32; targets per step, float32
    Units:   T and the lengths of further sets in steps before the first question; test_sets in steps: T + K
    Raises:  ValueError where T - min_delay is below num_items, or tolerance not above 0
    Source:  Vecoven, Ernst, Drion, arXiv 2006.05252: T = 400, K = 5, and no marked number in the last 0 or 200 steps.
             There one step asks for all K numbers at once; here K steps ask for one each, so that the order counts and
             a model needs one output.
    """

    num_items: int
    min_delay: int
    tolerance: float

    name = "denoising"

    def __post_init__(self) -> None:
        check_int("num_items", self.num_items, minimum=1)
        check_int("min_delay", self.min_delay, minimum=0)
        super().__post_init__()
        self.check_lengths(minimum=self.num_items + self.min_delay, reason="num_items and min_delay")
        delay = f", {self.min_delay} at the end without" if self.min_delay else ""
        self.variant = f"{self.num_items} numbers within {self.tolerance:g}, T = {self.T}{delay}"
        self.spec = TaskSpec(
            kind="vectors",
            d_input=2,
            num_classes=1,
            max_length=self.num_steps(self.T),
            per_step=True,
            tolerance=self.tolerance,
            chance=share_of_zero(self.tolerance),
        )

    def num_steps(self, T: int) -> int:
        return T + self.num_items

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        places, numbers = draws.subsets(T - self.min_delay, self.num_items), draws.normals()  # (B, K)
        items = np.empty(places.shape, dtype=np.float32)  # the marked numbers, as far as they have been shown
        for first, last in spans:
            shown = np.empty((len(items), max(0, min(last, T) - first)), dtype=np.float32)
            numbers.fill(shown)
            rows, k = np.nonzero((places >= first) & (places < last))
            items[rows, k] = shown[rows, places[rows, k] - first]
            values = np.zeros((len(items), last - first), dtype=np.float32)
            values[:, : shown.shape[1]] = shown
            marks = np.full_like(values, NOISE)
            write_at(marks, first, places, MARKED)
            write_run(marks, first, T, np.full_like(items, ASKED))
            targets = np.full_like(values, NO_TARGET)
            write_run(targets, first, T, items)
            yield np.stack([values, marks], axis=2), targets

    def oracle(self, inputs: Array) -> Array:
        answers = np.zeros(inputs.shape[:2], dtype=np.float32)
        is_marked = inputs[:, :, 1] == MARKED
        answers[:, -self.num_items :] = inputs[:, :, 0][is_marked].reshape(-1, self.num_items)
        return answers

    def shortcuts(self, inputs: Array) -> dict[str, Array]:
        latest = self.oracle(inputs)[:, -1:]
        return {"latest_item": np.repeat(latest, inputs.shape[1], axis=1)}
