"""The failing length: how far a model that was trained on short sequences stays right on longer ones."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lra_mru.engine.console import warn
from lra_mru.engine.errors import ConfigError, is_of_memory
from lra_mru.engine.training.scores import is_right
from lra_mru.model import SequenceModel
from lra_mru.spec import NO_TARGET, Batch
from lra_mru.tasks.base import SequenceTask
from lra_mru.tasks.generated import GeneratedTask

NEVER = np.iinfo(np.int64).max  # the first error of a row without one
Place = Callable[[Batch], Batch]


def check_failing_length(task: SequenceTask, cap: int | None, bars: Sequence[float]) -> None:
    """Raises ConfigError where a failing length is asked for that the task does not have, or no bar, or one twice."""
    if cap is not None and (not bars or len(set(bars)) < len(bars)):
        raise ConfigError(f"failing_length.bars={list(bars)} must hold at least one bar, and none twice")
    if cap is not None and not isinstance(task, GeneratedTask):
        raise ConfigError(f"failing_length.cap={cap}: {task.name} has no sequences of any length; leave it null")
    if cap is not None and isinstance(task, GeneratedTask) and cap < task.T:
        raise ConfigError(f"failing_length.cap={cap} must be at least task.T={task.T}")


def failing_lengths(
    model: SequenceModel, task: GeneratedTask, *, cap: int, rows: int, bars: Sequence[float], place: Place
) -> dict[str, Any]:
    """For each bar the smallest T, in the task's unit, at which too few of `rows` fresh sequences are right.

    By doubling from the trained length up to `cap`. Where every step has a target, a sequence is right if all of its
    steps are, and the length is read off the first error of each; else it is found by bisection.

    place:   brings a batch to the model's device and precision
    Returns: {"rows", "cap", "reached": longest T that was tried, "at": {bar: T, or None where none failed}}; reached is
             below cap where the model's own maximum is, or where memory ends
    """
    bars = [float(bar) for bar in bars]  # 1 and 1.0 are one bar, and have one column
    found: dict[float, int | None] = dict.fromkeys(bars)
    reached, T = 0, task.T
    read = _first_errors if task.spec.per_step else _wrong
    model.eval()
    with torch.inference_mode():
        while any(length is None for length in found.values()):
            if model.max_length is not None and task.num_steps(T) > model.max_length:
                break
            try:
                errors = read(model, task, T, rows, place)
            except (MemoryError, RuntimeError) as error:
                if not is_of_memory(error):
                    raise
                warn(f"failing length: no memory for {rows} sequences at T={T}; measured up to T={reached}")
                break
            for bar in bars:
                if found[bar] is None and _too_few(errors, T, bar):
                    search = _by_first_error if task.spec.per_step else _by_bisection(model, task, reached, rows, place)
                    found[bar] = search(errors, T, bar)
            reached = T
            if cap == T:
                break
            T = min(2 * T, cap)
    return {"rows": rows, "cap": cap, "reached": reached, "at": {str(bar): found[bar] for bar in bars}}


Errors = NDArray[np.int64]


def _too_few(errors: Errors, T: int, bar: float) -> bool:
    """Whether fewer than a share `bar` of the rows are right for T steps: exactly that share is enough."""
    return int((errors >= T).sum()) / len(errors) < bar


def _by_first_error(errors: Errors, T: int, bar: float) -> int:
    """The length at which so many rows have had their first error that too few are right."""
    return next(int(error) + 1 for error in np.sort(errors) if _too_few(errors, int(error) + 1, bar))


def _by_bisection(
    model: SequenceModel, task: GeneratedTask, good: int, rows: int, place: Place
) -> Callable[[Errors, int, float], int]:
    """good: a length that passes; 0 where the trained one fails already."""

    def search(errors: Errors, T: int, bar: float) -> int:
        low, high = good, T
        while low and high - low > max(1, low // 64):  # two digits are enough: each length has draws of its own
            middle = (low + high) // 2
            if _too_few(_wrong(model, task, middle, rows, place), middle, bar):
                high = middle
            else:
                low = middle
        return high

    return search


def _first_errors(model: SequenceModel, task: GeneratedTask, T: int, rows: int, place: Place) -> Errors:
    """Step of each row's first wrong answer, or NEVER: (rows,)."""
    errors: list[Errors] = []
    for pieces in _pieces(model, task, T, rows):
        first, before, state = None, 0, None
        for batch in pieces:
            outputs, state = _read(model, batch, state, place)
            wrong = (~is_right(outputs, batch.targets, task.spec) & (batch.targets != NO_TARGET)).numpy()  # (B, l)
            step = np.where(wrong.any(axis=1), before + wrong.argmax(axis=1), NEVER)
            first = step if first is None else np.minimum(first, step)
            before += wrong.shape[1]
        assert first is not None
        errors.append(first)
    return np.concatenate(errors)


def _wrong(model: SequenceModel, task: GeneratedTask, T: int, rows: int, place: Place) -> Errors:
    """0 for a row whose one answer is wrong, else NEVER: (rows,)."""
    errors = []
    for pieces in _pieces(model, task, T, rows):
        state = None
        for batch in pieces:
            outputs, state = _read(model, batch, state, place)
        errors.append(np.where(is_right(outputs, batch.targets, task.spec).numpy(), NEVER, 0))
    return np.concatenate(errors)


def _pieces(model: SequenceModel, task: GeneratedTask, T: int, rows: int) -> Any:
    """For every group of rows an iterator over their pieces, small enough for eval_batch_tokens; whole rows for a model
    that cannot read in pieces."""
    fresh, steps = task.fresh_set(T, rows), task.num_steps(T)
    together = rows if model.streams else max(1, task.eval_batch_tokens // steps)
    for first in range(0, rows, together):
        index = list(range(first, min(first + together, rows)))
        yield fresh.pieces(index, max(1, task.eval_batch_tokens // len(index)) if model.streams else steps)


def _read(model: SequenceModel, batch: Batch, state: Any, place: Place) -> tuple[torch.Tensor, Any]:
    inputs = place(batch).inputs
    if not model.streams:
        return model(inputs).float().cpu(), None
    outputs, state = model.advance(inputs, model.initial_state(len(inputs)) if state is None else state)
    return outputs.float().cpu(), state
