"""adding: the sum of the two numbers that were marked."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lra_mru.spec import TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.parts import Array, Spans, write_at


@dataclass(kw_only=True, eq=False, repr=False)
class Adding(GeneratedTask):
    """Add two marked numbers among T: the one task of the family whose memory is not discrete.

        x[t] = (u[t], m[t]),  u ~ U[0, 1),  m = 1 at step i of the first half and step j of the second, else 0
        y    = u[i] + u[j],   i ~ U{0 .. T // 2 - 1},  j ~ U{T // 2 .. T - 1}

    An answer counts as correct within `tolerance` of y. Always answering 1, the mean, has squared error 1/6 and is
    right with probability 1 - (1 - tolerance)^2: that is the chance stated. Loss: mean squared error.

    Shapes:  (B, T, 2) float32, one target, float32
    Raises:  ValueError where T is below 2, or tolerance outside (0, 1)
    Source:  Hochreiter, Schmidhuber (1997), experiment 4 (tolerance 0.04); marks as in Arjovsky, Shah, Bengio
             (arXiv 1511.06464), section 5.2
    """

    tolerance: float

    name = "adding"

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance} must lie between 0 and 1")
        super().__post_init__()
        self.check_lengths(minimum=2, reason="two numbers to add")
        self.variant = f"within {self.tolerance:g}, T = {self.T}"
        self.spec = TaskSpec(
            kind="vectors",
            d_input=2,
            num_classes=1,
            max_length=self.T,
            tolerance=self.tolerance,
            chance=1 - (1 - self.tolerance) ** 2,
        )

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        one, other = draws.integers(T // 2, 1), draws.integers(T - T // 2, 1) + T // 2
        marked, numbers = np.concatenate([one, other], axis=1), draws.block(T)  # (B, 2)
        targets = numbers.uniforms_at(marked).sum(axis=1)
        for first, last in spans:
            inputs = np.zeros((len(marked), last - first, 2), dtype=np.float32)
            inputs[:, :, 0] = numbers.uniforms(first, last)
            write_at(inputs[:, :, 1], first, marked, 1)
            yield inputs, targets

    def oracle(self, inputs: Array) -> Array:
        return (inputs[:, :, 0] * inputs[:, :, 1]).sum(axis=1)
