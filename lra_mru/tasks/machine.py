"""A task of a finite alphabet as a finite machine: what it asks after every word."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_STATE = -1  # where no word of the task goes on with this letter


@dataclass(frozen=True, kw_only=True)
class Machine:
    """S states, of which 0 is the start, and A letters, which are the task's token ids.

    step:   (S, A) state after reading letter a in state s, or NO_STATE
    answer: (S, A) class that is asked for after reading letter a in state s, or NO_TARGET
    """

    step: NDArray[np.int64]
    answer: NDArray[np.int64]

    def __post_init__(self) -> None:
        num_states, num_letters = self.step.shape
        assert self.answer.shape == (num_states, num_letters)
        assert self.step.min() >= NO_STATE
        assert self.step.max() < num_states

    @property
    def num_letters(self) -> int:
        return self.step.shape[1]

    def read(self, word: NDArray[np.int64]) -> list[int]:
        """What is asked after each letter of the word.

        Raises:  ValueError if no word of the task begins so
        """
        state, answers = 0, []
        for t, letter in enumerate(word):
            answers.append(int(self.answer[state, letter]))
            state = int(self.step[state, letter])
            if state == NO_STATE:
                raise ValueError(f"letter {letter} at step {t}: no word of the task has it there")
        return answers
