"""parity: has the number of ones so far been odd?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lra_mru.spec import TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.machine import Machine
from lra_mru.tasks.parts import Array, Spans


@dataclass(kw_only=True, eq=False, repr=False)
class Parity(GeneratedTask):
    """At every step, the parity of the bits so far: state that every input may change, and none may blur.

        x[t] ~ U{0, 1}
        y[t] = (x[0] + .. + x[t]) mod 2

    Chance is 1/2. The counterpart of flip_flop: there an input sets the state, here it turns it over. A unit whose gate
    sees the input alone can set and hold but not toggle, whatever its gains: by Krohn and Rhodes no cascade of such
    units, however deep, has parity at every length. What a deep stack learns at T it need not keep beyond.
    Floor latest_bit: the bit itself, right at the first step and at every step with an even past.

    Shapes:  (B, T) int64; targets per step
    Source:  Deletang et al., "Neural networks and the Chomsky hierarchy", arXiv 2207.02098 (lengths up to 40 in
             training, up to 500 in the test; one target a sequence); a target per step as in Merrill, Petty, Sabharwal,
             "The illusion of state", arXiv 2404.08819, of whose word problems this is Z2
    """

    name = "parity"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.variant = f"every prefix, T = {self.T}"
        self.spec = TaskSpec(kind="tokens", vocab_size=2, num_classes=2, max_length=self.T, per_step=True, chance=1 / 2)

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        bits, odd = draws.block(T), np.zeros((len(draws.index), 1), dtype=np.int64)
        for first, last in spans:
            inputs = bits.integers(2, first, last)
            targets = np.bitwise_xor.accumulate(inputs, axis=1) ^ odd
            odd = targets[:, -1:]
            yield inputs, targets

    def oracle(self, inputs: Array) -> Array:
        return inputs.cumsum(axis=1) % 2

    def shortcuts(self, inputs: Array) -> dict[str, Array]:
        return {"latest_bit": inputs}

    def machine(self) -> Machine:
        """Two states, the parities; bit 1 turns one into the other."""
        table = np.array([[0, 1], [1, 0]])
        return Machine(step=table, answer=table)
