"""Every pair (model state, task state) that some word reaches, breadth first from the start."""

import time
from collections.abc import Callable
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
                        model's answer is not the task's
    min_gap, min_margin: the smallest met wherever an answer is asked for, and anywhere
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
    min_gap: float
    min_margin: float
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

    def add(self, key: bytes, codes: Codes, row: tuple[int, int, int, int]) -> int:
        number = self.index.setdefault(key, len(self.rows))
        if number == len(self.rows):
            self.codes.append(codes)
            self.rows.append(row)
        return number


def walk(
    model: ModelMachine,
    task: Machine,
    *,
    max_states: int,
    max_seconds: float,
    batch: int,
    progress: Callable[[str], None],
) -> Walk:
    """Walks until nothing new is reached, or a limit is met.

    batch: steps that are computed at a time
    Raises: ValueError for a limit or a batch below 1
    """
    for name, value in {"max_states": max_states, "max_seconds": max_seconds, "batch": batch}.items():
        if not value >= 1:
            raise ValueError(f"{name}={value} must be at least 1")
    began = time.monotonic()
    found, start = _Found(), model.start()
    found.add(start[0].tobytes() + bytes(8), start[0], (0, START, START, 0))
    edges: list[tuple[NDArray[np.int64], ...]] = []
    wrong: list[NDArray[np.bool_]] = []
    min_gap = min_margin = np.inf
    first, depth, limit = 0, 0, ""
    while first < len(found.rows) and not limit:  # one level of the breadth-first search
        level = np.arange(first, len(found.rows))
        task_states = np.array([found.rows[pair][0] for pair in level])
        allowed = task.step[task_states] != NO_STATE
        which, letters = np.nonzero(allowed)
        sources = level[which]
        progress(f"{len(found.rows):,} states, frontier {len(level):,}, depth {depth}")
        for at in range(0, len(sources), batch):
            source, letter = sources[at : at + batch], letters[at : at + batch]
            done = model.step(np.stack([found.codes[pair] for pair in source]), letter)
            state = task_states[which[at : at + batch]]
            after, answer = task.step[state, letter], task.answer[state, letter]
            asked = answer != NO_TARGET
            min_margin = min(min_margin, float(done.margins.min()))
            min_gap = min(min_gap, float(done.gaps[asked].min(initial=np.inf)))
            keys = np.concatenate([done.codes.view(np.uint8), after[:, None].view(np.uint8)], axis=1)
            target = [
                found.add(key.tobytes(), codes, (int(s), int(p), int(a), depth + 1))
                for key, codes, s, p, a in zip(keys, done.codes, after, source, letter, strict=True)
            ]
            edges.append((source, letter, np.array(target)))
            wrong.append(asked & (done.answers != answer))
            if len(found.rows) > max_states:
                limit = f"{max_states:,} states"
            elif time.monotonic() - began > max_seconds:
                limit = f"{max_seconds:g} seconds"
            if limit:
                break
        first, depth = int(level[-1]) + 1, depth + 1
    table = np.array(found.rows)
    sources, by, targets = (np.concatenate(column) for column in zip(*edges, strict=True))
    return Walk(
        codes=np.stack(found.codes),
        task_states=table[:, 0],
        parents=table[:, 1],
        letters=table[:, 2],
        depths=table[:, 3],
        sources=sources,
        by=by,
        targets=targets,
        wrong=np.concatenate(wrong),
        min_gap=min_gap,
        min_margin=min_margin,
        closed=first >= len(found.rows) and not limit,
        limit=limit,
    )


def disagreeing(found: Walk, model: ModelMachine, task: Machine, *, batch: int) -> tuple[int, float, float]:
    """Steps that another evaluation (dtype, batch size) of the model takes otherwise, by next state or by answer.

    Returns: their number, and the smallest gap and margin of that evaluation
    """
    number, min_gap, min_margin = 0, np.inf, np.inf
    for at in range(0, len(found.sources), batch):
        rows = slice(at, at + batch)
        source, letter = found.sources[rows], found.by[rows]
        done = model.step(found.codes[source], letter)
        answer = task.answer[found.task_states[source], letter]
        asked = answer != NO_TARGET
        moved = (done.codes != found.codes[found.targets[rows]]).any(axis=1)
        judged = (asked & (done.answers != answer)) != found.wrong[rows]
        number += int((moved | judged).sum())
        min_gap = min(min_gap, float(done.gaps[asked].min(initial=np.inf)))
        min_margin = min(min_margin, float(done.margins.min()))
    return number, min_gap, min_margin
