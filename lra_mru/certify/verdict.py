"""What follows from a walk: right on every word, right from some length on, right once settled, or wrong, and where."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lra_mru.certify.walk import Walk

MOST_WORDS = 20  # counterexamples that a verdict names


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """grade: "every word"       no reachable step answers wrongly
              "from length n"    every word of n or more letters is answered rightly
              "once settled"     words can answer wrongly at any length, but no longer once they have entered the
                                 recurrent part, which random words enter sooner or later and never leave
              "wrong"            words that have settled still answer wrongly
              "open"             the walk met a limit before it closed
    from_length:     n of the second grade; None for the others
    num_wrong:       steps (pair, letter) that answer wrongly
    num_recurrent:   pairs that lie in the recurrent part
    counterexamples: shortest words whose last letter is answered wrongly, shortest first
    """

    grade: str
    from_length: int | None
    num_wrong: int
    num_recurrent: int | None
    counterexamples: list[list[int]]


def judge(walk: Walk) -> Verdict:
    """The verdict on a walk, with the shortest words that fail."""
    wrong = np.flatnonzero(walk.wrong)
    wrong = wrong[np.argsort(walk.depths[walk.sources[wrong]], kind="stable")]
    grade, from_length, num_recurrent = _grade(walk, walk.sources[wrong])
    return Verdict(
        grade=grade,
        from_length=from_length,
        num_wrong=len(wrong),
        num_recurrent=num_recurrent,
        counterexamples=[[*walk.word_to(int(walk.sources[e])), int(walk.by[e])] for e in wrong[:MOST_WORDS]],
    )


def _grade(walk: Walk, wrong_at: NDArray[np.int64]) -> tuple[str, int | None, int | None]:
    """Grade, its length, and the size of the recurrent part; wrong_at: pairs with a wrong answer on some letter."""
    if not walk.closed:
        return "open", None, None
    recurring, recurrent = _parts(walk)
    size = int(recurrent.sum())
    if not len(wrong_at):
        return "every word", None, size
    if not recurring[wrong_at].any():
        longest = int(_longest_words(walk, recurring)[wrong_at].max()) + 1  # of the words that fail
        return "from length n", longest + 1, size
    return ("wrong" if recurrent[wrong_at].any() else "once settled"), None, size


def _parts(walk: Walk) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each pair, whether words of any length reach it, and whether it lies in a part that no word leaves."""
    num = len(walk.codes)
    graph = coo_array((np.ones(len(walk.sources), dtype=np.int8), (walk.sources, walk.targets)), shape=(num, num))
    num_parts, part = connected_components(graph.tocsr(), connection="strong")
    sources, targets = part[walk.sources], part[walk.targets]
    left = np.zeros(num_parts, dtype=bool)
    left[sources[sources != targets]] = True
    reached = np.zeros(num_parts, dtype=bool)  # from a cycle
    reached[sources[sources == targets]] = True
    while True:  # few rounds: the parts form no cycle
        grown = reached.copy()
        grown[targets[reached[sources]]] = True
        if (grown == reached).all():
            return reached[part], ~left[part]
        reached = grown


def _longest_words(walk: Walk, recurring: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Letters of the longest word that reaches each pair that is not recurring; these pairs form no cycle."""
    kept = ~recurring[walk.targets]
    sources, targets = walk.sources[kept], walk.targets[kept]
    longest = np.zeros(len(walk.codes), dtype=np.int64)
    while True:
        grown = longest.copy()
        np.maximum.at(grown, targets, longest[sources] + 1)
        if (grown == longest).all():
            return longest
        longest = grown
