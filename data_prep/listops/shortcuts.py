"""How far one gets on ListOps without following the nesting: floors to print beside any accuracy."""

import numpy as np
from numpy.typing import NDArray

from data_prep.listops.generate import CLOSE, MAX, MED, MIN, SM

Clue = NDArray[np.int64]  # (rows,), what the shortcut sees of a tree
Labels = NDArray[np.uint8]  # (rows,)
Split = tuple[NDArray[np.uint8], NDArray[np.int32], Labels]  # tokens, offsets (rows + 1,), labels (rows,)

NO_DIGIT = 10  # stands for the value of a root that has no digit of its own


def shortcut_floors(*, train: Split, test: Split) -> dict[str, float]:
    """Accuracy on test of the commonest label of train, given a clue of the tree.

    constant_guess:            nothing
    root_operator:             the first token
    root_operator_and_digits:  the first token, and its value on those arguments of its own that are digits
    """
    roots = [tokens[offsets[:-1]].astype(np.int64) for tokens, offsets, _ in (train, test)]
    values = [_value_of_own_digits(tokens, offsets) for tokens, offsets, _ in (train, test)]
    clues: dict[str, tuple[Clue, Clue]] = {
        "constant_guess": (0 * roots[0], 0 * roots[1]),
        "root_operator": (roots[0], roots[1]),
        "root_operator_and_digits": (roots[0] * 11 + values[0], roots[1] * 11 + values[1]),
    }
    return {name: _accuracy(*clue, train[2], test[2]) for name, clue in clues.items()}


def _accuracy(train_clue: Clue, test_clue: Clue, train_label: Labels, test_label: Labels) -> float:
    """Accuracy on test of the label that is commonest in train for the same clue; an unseen clue gets label 0."""
    counts = np.zeros((1 + max(train_clue.max(), test_clue.max()), 10), dtype=np.int64)  # (clues, labels)
    np.add.at(counts, (train_clue, train_label), 1)
    return float(np.mean(counts.argmax(axis=1)[test_clue] == test_label))


def _value_of_own_digits(tokens: NDArray[np.uint8], offsets: NDArray[np.int32]) -> NDArray[np.int64]:
    """The root's operator applied to those of its arguments that are digits, or NO_DIGIT: (rows,)."""
    nesting = np.zeros(CLOSE + 1, dtype=np.int8)
    nesting[[MIN, MAX, MED, SM]], nesting[CLOSE] = 1, -1
    depth = np.cumsum(nesting[tokens], dtype=np.int16)  # lists open after each token; 0 at the end of every row
    own = np.flatnonzero((tokens < 10) & (depth == 1))
    counts = np.zeros((len(offsets) - 1, 10), dtype=np.int64)  # (rows, digits)
    np.add.at(counts, (np.searchsorted(offsets, own, side="right") - 1, tokens[own]), 1)

    num_args, at_most = counts.sum(axis=1), counts.cumsum(axis=1)

    def ranked(rank: NDArray[np.int64]) -> NDArray[np.int64]:  # the digit at this rank, 0 the lowest
        return (at_most <= rank[:, None]).sum(axis=1)

    value = np.select(
        [tokens[offsets[:-1]] == operator for operator in (MIN, MAX, MED)],
        [ranked(0 * num_args), ranked(num_args - 1), (ranked((num_args - 1) // 2) + ranked(num_args // 2)) // 2],
        default=counts @ np.arange(10) % 10,
    )
    return np.where(num_args > 0, value, NO_DIGIT)
