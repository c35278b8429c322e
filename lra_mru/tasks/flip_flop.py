"""flip_flop: write, ignore, read. The task that a bistable unit is made for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.common.checks import check_int
from lra_mru.spec import NO_TARGET, TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.machine import NO_STATE, Machine
from lra_mru.tasks.parts import Array, Spans


@dataclass(kw_only=True, eq=False, repr=False)
class FlipFlop(GeneratedTask):
    """At every read, name the symbol of the latest write, whatever was to be ignored since.

        x[t]:  write s -> id s,   ignore s -> id S + s,   read -> id 2 S            s ~ U{0 .. S - 1}, S = num_symbols
        y[t]:  the symbol of the latest write where x[t] is a read, else no target

    The first instruction is a write, the last a read; each other one is to be ignored with probability p_ignore, else a
    read or a write, one as often as the other. At T' other than T, p_ignore grows until writes and reads are as many as
    at T: a longer test is a longer memory, not more of the same. T' = 10 T at p_ignore = 0.8 gives 0.98, the sparse
    test of the paper.

    Chance is 1 / S. Floor latest_symbol: the symbol shown last, written or to be ignored.

    Shapes:  (B, T) int64; targets per step
    Raises:  ValueError where T or an eval length is below 2, or p_ignore outside [0, 1)
    Source:  Liu et al., "Exposing attention glitches with flip-flop language modeling", arXiv 2306.00946: T = 256
             instructions and their symbols in 512 tokens, p_ignore = 0.8. Here an instruction and its symbol are one
             token, and no read shows its answer: so a model may look ahead and learn nothing by it.
    """

    num_symbols: int
    p_ignore: float

    name = "flip_flop"

    def __post_init__(self) -> None:
        check_int("num_symbols", self.num_symbols, minimum=2)
        if not 0 <= self.p_ignore < 1:
            raise ValueError(f"p_ignore={self.p_ignore} must be in [0, 1)")
        super().__post_init__()
        self.check_lengths(minimum=2, reason="a write and a read")
        self.variant = f"{self.num_symbols} symbols, {self.p_ignore:g} ignored, T = {self.T}"
        self.spec = TaskSpec(
            kind="tokens",
            vocab_size=2 * self.num_symbols + 1,
            num_classes=self.num_symbols,
            max_length=self.T,
            per_step=True,
            chance=1 / self.num_symbols,
        )

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        p_write = min(1.0, (1 - self.p_ignore) * self.T / T) / 2
        read = 2 * self.num_symbols
        kinds, shown = draws.block(T), draws.block(T)
        held = shown.integers(self.num_symbols, 0, 1)  # (B, 1): symbol of the latest write before the part
        for first, last in spans:
            u, symbols = kinds.uniforms(first, last), shown.integers(self.num_symbols, first, last)  # (B, steps)
            inputs = np.select([u < p_write, u < 2 * p_write], [symbols, read], symbols + self.num_symbols)
            if first == 0:
                inputs[:, 0] = symbols[:, 0]
            if last == T:
                inputs[:, -1] = read
            written = np.concatenate([held, inputs], axis=1)
            answers = latest(written, written < self.num_symbols)[:, 1:]
            held = answers[:, -1:]
            yield inputs, np.where(inputs == read, answers, NO_TARGET)

    def oracle(self, inputs: Array) -> Array:
        answers, held = np.empty_like(inputs), inputs[:, 0]
        for t, token in enumerate(inputs.T):  # the two-state machine itself, step by step
            held = answers[:, t] = np.where(token < self.num_symbols, token, held)
        return answers

    def shortcuts(self, inputs: Array) -> dict[str, Array]:
        shown = latest(inputs, inputs < 2 * self.num_symbols) % self.num_symbols
        return {"latest_symbol": shown}

    def machine(self) -> Machine:
        """State 0 before the first write, state 1 + s while s is held; a word begins with a write."""
        S = self.num_symbols
        step = np.tile(np.arange(S + 1)[:, None], (1, 2 * S + 1))
        step[:, :S] = np.arange(S) + 1
        step[0, S:] = NO_STATE
        answer = np.full_like(step, NO_TARGET)
        answer[1:, 2 * S] = np.arange(S)
        return Machine(step=step, answer=answer)


def latest(values: Array, wanted: Array) -> Array:
    """At every step, the value at the latest wanted step, that one included; step 0 must be wanted. (B, T) -> (B, T)"""
    steps = np.where(wanted, np.arange(values.shape[1]), 0)
    return np.take_along_axis(values, np.maximum.accumulate(steps, axis=1), axis=1)
