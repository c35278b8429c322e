"""copy_first: which symbol came first, T distractors ago?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.common.checks import check_int
from data_prep.common.counter_rng import stream_key
from lra_mru.spec import NO_TARGET, TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.machine import NO_STATE, Machine
from lra_mru.tasks.parts import Array, Spans

DISTRACTORS = ("symbols", "gaussian")


@dataclass(kw_only=True, eq=False, repr=False)
class CopyFirst(GeneratedTask):
    """Which of num_symbols symbols came first, T distractors ago?

        symbols:   x[0] = s,    x[t] ~ U{num_symbols .. num_symbols + num_distractors - 1}   for t = 1 .. T
        gaussian:  x[0] = E[s], x[t] ~ N(0, I)      E[s] drawn once from N(0, I), (num_symbols, d_input)
        target:    s ~ U{0 .. num_symbols - 1}

    Chance is 1 / num_symbols, and nothing but step 0 tells more. The model must take the symbol in and let none of
    the T distractors move its memory. It is also tested at T far longer than trained (`eval_lengths`). A finite
    alphabet of distractors is held for ever once it is held for one pass over the alphabet; noise has tails, and
    E[s] has the norm of noise and no marker, so that `gaussian` is the harder claim.

    Shapes:  symbols (B, T + 1) int64; gaussian (B, T + 1, d_input) float32
    Units:   T and eval_lengths in distractors, test_sets in steps: T + 1
    Raises:  ValueError for T < 1, unknown distractors, counts below 1, or lists of different length
    Source:  the latching problem of Bengio, Simard, Frasconi (1994), sections II and III, with 8 classes instead of
             2; set up as in De Geeter et al. (arXiv 2601.09495): hold a first input through noise
    """

    distractors: str
    num_symbols: int
    num_distractors: int
    d_input: int

    name = "copy_first"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distractors not in DISTRACTORS:
            raise ValueError(f"distractors={self.distractors!r} must be one of {', '.join(DISTRACTORS)}")
        check_int("num_symbols", self.num_symbols, minimum=2)
        check_int("num_distractors", self.num_distractors, minimum=1)
        check_int("d_input", self.d_input, minimum=1)
        self.symbolic = self.distractors == "symbols"
        detail = (
            f"{self.num_symbols} + {self.num_distractors} tokens"
            if self.symbolic
            else f"{self.num_symbols} codes of width {self.d_input}"
        )
        self.variant = f"{self.distractors}, T = {self.T}, {detail}"
        self.spec = TaskSpec(
            kind="tokens" if self.symbolic else "vectors",
            vocab_size=self.num_symbols + self.num_distractors if self.symbolic else None,
            d_input=None if self.symbolic else self.d_input,
            num_classes=self.num_symbols,
            max_length=self.num_steps(self.T),
            chance=1 / self.num_symbols,
        )

    def num_steps(self, T: int) -> int:
        return T + 1

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        symbols = draws.integers(self.num_symbols, 1)  # (B, 1)
        parts = self._tokens(draws, T, symbols, spans) if self.symbolic else self._vectors(draws, symbols, spans)
        for inputs in parts:
            yield inputs, symbols[:, 0]

    def _tokens(self, draws: Draws, T: int, symbols: Array, spans: Spans) -> Iterator[Array]:
        distractors = draws.block(T)
        for first, last in spans:
            tokens = distractors.integers(self.num_distractors, max(first, 1) - 1, last - 1) + self.num_symbols
            yield tokens if first else np.concatenate([symbols, tokens], axis=1)

    def _vectors(self, draws: Draws, symbols: Array, spans: Spans) -> Iterator[Array]:
        noise = draws.normals()
        for first, last in spans:
            vectors = np.empty((len(symbols), last - first, self.d_input), dtype=np.float32)
            if first == 0:
                vectors[:, 0] = self.codebook()[symbols[:, 0]]
            noise.fill(vectors if first else vectors[:, 1:])
            yield vectors

    def oracle(self, inputs: Array) -> Array:
        if self.symbolic:
            return inputs[:, 0]
        return (inputs[:, :1] == self.codebook()).all(axis=2).argmax(axis=1)

    def machine(self) -> Machine:
        """State 0 before the symbol, state 1 + k after symbol k, which is asked for at every step."""
        if not self.symbolic:
            return super().machine()
        S = self.num_symbols
        step = np.tile(np.arange(S + 1)[:, None], (1, S + self.num_distractors))
        step[0], step[1:, :S] = NO_STATE, NO_STATE
        step[0, :S] = np.arange(S) + 1
        return Machine(step=step, answer=np.where(step == NO_STATE, NO_TARGET, step - 1))

    def codebook(self) -> NDArray[np.float32]:
        """E, the vectors of the symbols: (num_symbols, d_input), a pure function of data_seed."""
        rng = np.random.Generator(np.random.SFC64(stream_key(self.name, "codebook", self.data_seed)))
        return rng.standard_normal((self.num_symbols, self.d_input), dtype=np.float32)
