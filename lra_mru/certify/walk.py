"""Every pair (model state, task state) that some word reaches, breadth first from the start.

A step is taken by several evaluations of the model, which round differently: in another dtype, at another batch size.
Where they differ, the walk follows each: what it shows of every word holds whichever of them takes any of its steps.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lra_mru.certify.model_machine import Codes, ModelMachine
from lra_mru.spec import NO_TARGET
from lra_mru.tasks.machine import NO_STATE, Machine

START = -1  # the parent of the first pair


@dataclass(kw_only=True)
class Walk:
    """What a walk has found; pair 0 is the start.

    codes, task_states: (P, K), (P,) of each pair found
    parents, letters:   (P,) the pair and the letter by which it was found first, so along a shortest word
    depths:             (P,) letters of that word
    sources, by, targets, wrong: (E,) each step from an expanded pair: its pair, letter, next pair, and whether the
                        model's answer is not the task's. Once by the first evaluation, and again by each that differs
    num_steps:          pairs of an expanded pair and a letter
    differing:          of each evaluation, how many steps it takes otherwise than the first, by next pair or by answer
    gaps, margins:      of each evaluation the smallest met, wherever an answer is asked for, and anywhere
    closed:             whether every pair was expanded: then nothing else can be reached, by a word of any length
    limit:              what ended a walk that is not closed
    """

    codes: Codes
    task_states: NDArray[np.int64]
    parents: NDArray[np.int64]
    letters: NDArray[np.int64]
    depths: NDArray[np.int64]
    sources: NDArray[np.int64]
    by: NDArray[np.int64]
    targets: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    num_steps: int
    differing: list[int]
    gaps: list[float]
    margins: list[float]
    closed: bool
    limit: str = ""

    def word_to(self, pair: int) -> list[int]:
        """A shortest word that reaches the pair."""
        word = []
        while self.parents[pair] != START:
            word.append(int(self.letters[pair]))
            pair = int(self.parents[pair])
        return word[::-1]


@dataclass
class _Found:
    """Pairs in the order in which they are found, and where each one stands."""

    index: dict[bytes, int] = field(default_factory=dict)
    codes: list[Codes] = field(default_factory=list)
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)  # task state, parent, letter, depth

    def add(self, codes: Codes, row: tuple[int, int, int, int]) -> int:
        number = self.index.setdefault(codes.tobytes() + row[0].to_bytes(8, "little"), len(self.rows))
        if number == len(self.rows):
            self.codes.append(codes)
            self.rows.append(row)
        return number


class _Evaluations:
    """Takes steps in every evaluation; keeps how often each differs from the first, and the smallest gap and margin."""

    def __init__(self, models: Sequence[ModelMachine]) -> None:
        self.models, self.differing = models, [0] * len(models)
        self.gaps, self.margins = [np.inf] * len(models), [np.inf] * len(models)

    def steps(
        self, codes: Codes, letters: NDArray[np.int64], answers: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], Codes, NDArray[np.bool_]]]:
        """codes (F, K), letters (F,), the right answers (F,) -> all steps as the first takes them, then those that
        another takes otherwise: which of the F, the codes after them, and whether they answer wrongly.

        Raises: ValueError where the model answers NaN
        """
        asked, first = answers != NO_TARGET, None
        for number, model in enumerate(self.models):
            done = model.step(codes, letters)
            if np.isnan(done.gaps).any() or np.isnan(done.margins).any():
                raise ValueError("the model answers NaN: a run that diverged has nothing to prove")
            wrong = asked & (done.answers != answers)
            first = first or (done.codes, wrong)
            other = (done.codes != first[0]).any(axis=1) | (wrong != first[1])
            self.differing[number] += int(other.sum())
            self.gaps[number] = min(self.gaps[number], float(done.gaps[asked].min(initial=np.inf)))
            self.margins[number] = min(self.margins[number], float(done.margins.min()))
            which = np.flatnonzero(other) if number else np.arange(len(codes))
            yield which, done.codes[which], wrong[which]


def walk(
    models: Sequence[ModelMachine],
    task: Machine,
    *,
    max_states: int,
    max_seconds: float,
    batch: int,
    progress: Callable[[str], None],
) -> Walk:
    """Walks until nothing new is reached, or a limit is met.

    models: evaluations of one model; the first is the one that the others are compared with
    batch:  steps that are computed at a time
    Raises: ValueError for a limit or a batch below 1
    """
    for name, value in {"max_states": max_states, "max_seconds": max_seconds, "batch": batch}.items():
        if not value >= 1:
            raise ValueError(f"{name}={value} must be at least 1")
    began = time.monotonic()
    found, taken = _Found(), _Evaluations(models)
    found.add(models[0].start()[0], (0, START, START, 0))
    edges: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
    first, depth, num_steps, limit = 0, 0, 0, ""
    while first < len(found.rows) and not limit:  # one level of the breadth-first search
        level = np.arange(first, len(found.rows))
        task_states = np.array([found.rows[pair][0] for pair in level])
        which, letters = np.nonzero(task.step[task_states] != NO_STATE)
        progress(f"{len(found.rows):,} states, frontier {len(level):,}, depth {depth}")
        for at in range(0, len(which), batch):
            source, letter = level[which[at : at + batch]], letters[at : at + batch]
            state, codes = task_states[which[at : at + batch]], np.stack([found.codes[pair] for pair in source])
            num_steps += len(source)
            for rows, after, wrong in taken.steps(codes, letter, task.answer[state, letter]):
                goals = task.step[state[rows], letter[rows]].tolist()
                names = zip(goals, source[rows].tolist(), letter[rows].tolist(), strict=True)
                target = [found.add(c, (*name, depth + 1)) for c, name in zip(after, names, strict=True)]
                edges.append((source[rows], letter[rows], np.array(target, dtype=np.int64), wrong))
            if len(found.rows) > max_states:
                limit = f"{max_states:,} states"
            elif time.monotonic() - began > max_seconds:
                limit = f"{max_seconds:g} seconds"
            if limit:
                break
        first, depth = int(level[-1]) + 1, depth + 1
    table = np.array(found.rows)
    sources, by, targets, wrongs = (np.concatenate(column) for column in zip(*edges, strict=True))
    return Walk(
        codes=np.stack(found.codes),
        task_states=table[:, 0],
        parents=table[:, 1],
        letters=table[:, 2],
        depths=table[:, 3],
        sources=sources,
        by=by,
        targets=targets,
        wrong=wrongs,
        num_steps=num_steps,
        differing=taken.differing,
        gaps=taken.gaps,
        margins=taken.margins,
        closed=first >= len(found.rows) and not limit,
        limit=limit,
    )
