"""copy_value: which number came first, T numbers ago?"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np

from lra_mru.spec import TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.parts import Array, Spans


@dataclass(kw_only=True, eq=False, repr=False)
class CopyValue(GeneratedTask):
    """Name the first of T + 1 real numbers: copy_first for a memory that must hold a quantity.

        x[t] ~ N(0, 1)   for t = 0 .. T
        y    = x[0]

    An answer counts as correct within `tolerance` of y; the best constant one is 0, and its share of correct answers is
    the chance stated. Loss: mean squared error D, recorded as test/loss. How many bits does the memory hold? To answer
    with error D takes at least R(D) = log2(1 / D) / 2 bits of x[0]: that is the rate-distortion function of N(0, 1).
    A memory of two-state units is quantised: it holds few bits, but at every length. Nothing but its place marks x[0].

    Shapes:  (B, T + 1, 1) float32, one target, float32
    Units:   T and the lengths of further sets in numbers after the first; test_sets in steps: T + 1
    Raises:  ValueError where tolerance is not above 0
    Source:  copy first input, Vecoven, Ernst, Drion, arXiv 2006.05252 (T up to 600); rate-distortion: Cover, Thomas,
             Elements of Information Theory, theorem 10.3.2
    """

    tolerance: float

    name = "copy_value"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.variant = f"within {self.tolerance:g}, T = {self.T}"
        self.spec = TaskSpec(
            kind="vectors",
            d_input=1,
            num_classes=1,
            max_length=self.num_steps(self.T),
            tolerance=self.tolerance,
            chance=share_of_zero(self.tolerance),
        )

    def num_steps(self, T: int) -> int:
        return T + 1

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        numbers, value = draws.normals(), np.empty(len(draws.index), dtype=np.float32)
        for first, last in spans:
            inputs = np.empty((len(value), last - first, 1), dtype=np.float32)
            numbers.fill(inputs)
            if first == 0:
                value = inputs[:, 0, 0].copy()
            yield inputs, value

    def oracle(self, inputs: Array) -> Array:
        return inputs[:, 0, 0]


def share_of_zero(tolerance: float) -> float:
    """Probability that a number drawn from N(0, 1) lies within `tolerance` of 0, its best constant guess."""
    return erf(tolerance / sqrt(2))
