"""Failing lengths: of models whose errors are known, step by step and by bisection, in pieces and whole."""

import numpy as np
import pytest
import torch
from pytorch_lightning.strategies import Strategy
from support import TINY_COPY

from lra_mru.engine.build import build
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.measuring import failing_length
from lra_mru.engine.measuring.failing_length import NEVER, _by_first_error, failing_lengths
from lra_mru.engine.run import run
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.model import ModelState
from lra_mru.spec import NO_TARGET


def as_it_is(batch):
    return batch


class Oracle(torch.nn.Module):
    """Answers a task's steps rightly until `fails_at` steps were read, then wrongly; counts the longest piece."""

    def __init__(self, task, fails_at, *, streams=True, max_length=None):
        super().__init__()
        self.task, self.fails_at, self.streams, self.max_length = task, fails_at, streams, max_length
        self.longest = 0

    def initial_state(self, rows):
        return ModelState([np.zeros(rows, dtype=int)], None, torch.zeros(rows, dtype=torch.int64))

    def advance(self, inputs, state):
        """flip_flop's machine: state 0, or 1 + the symbol that is held; logits as if every step asked."""
        self.longest = max(self.longest, inputs.shape[1])
        machine, now, steps = self.task.machine(), state.mixers[0].copy(), int(state.steps[0])
        answers = np.zeros(inputs.shape, dtype=int)
        for t, letters in enumerate(inputs.numpy().T):
            answers[:, t] = np.maximum(machine.answer[now, letters], 0)
            now = machine.step[now, letters]
            if steps + t + 1 >= self.fails_at:
                answers[:, t] = 1 - answers[:, t]
        logits = torch.nn.functional.one_hot(torch.from_numpy(answers), 2).float()
        logits = logits if self.task.spec.per_step else logits[:, -1]
        return logits, ModelState([now], None, state.steps + inputs.shape[1])

    def forward(self, inputs):
        return self.advance(inputs, self.initial_state(len(inputs)))[0]


@pytest.fixture
def flip_flop(composed):
    return build(composed("task=flip_flop", "task.T=16", "task.p_ignore=0.5", "task.eval_batch_tokens=64").task, "task")


@pytest.mark.parametrize("streams", [True, False])
def test_the_step_of_the_first_error_is_found_wherever_rows_are_cut(flip_flop, streams):
    model = Oracle(flip_flop, fails_at=100, streams=streams)
    found = failing_lengths(model, flip_flop, cap=256, rows=20, bars=[0.9, 1.0], place=as_it_is)
    assert (found["rows"], found["cap"], found["reached"]) == (20, 256, 128)
    fresh = flip_flop.fresh_set(128, 20).__getitems__(list(range(20)))
    firsts = sorted(
        int(np.flatnonzero((row != NO_TARGET) & (np.arange(1, 129) >= 100))[0]) for row in fresh.targets.numpy()
    )
    assert found["at"] == {"0.9": firsts[2] + 1, "1.0": firsts[0] + 1}  # 18 of 20 are not below 0.9
    assert model.longest == (3 if streams else 128)


def test_no_failure_up_to_the_cap_and_the_models_own_maximum(flip_flop):
    found = failing_lengths(Oracle(flip_flop, NEVER), flip_flop, cap=100, rows=5, bars=[1], place=as_it_is)
    assert found == {"rows": 5, "cap": 100, "reached": 100, "at": {"1.0": None}}  # a bar's name, however it was typed
    short = Oracle(flip_flop, NEVER, max_length=40)
    assert failing_lengths(short, flip_flop, cap=100, rows=5, bars=[1.0], place=as_it_is)["reached"] == 32


def test_one_answer_a_row_is_bisected(composed):
    """copy_first of two symbols, whose machine holds the first letter."""
    task = build(
        composed("task=copy_first", "task.T=16", "task.num_symbols=2", "task.eval_batch_tokens=64").task, "task"
    )
    found = failing_lengths(Oracle(task, fails_at=101), task, cap=1000, rows=6, bars=[0.9], place=as_it_is)
    assert found["reached"] == 128
    assert found["at"]["0.9"] == 100  # T distractors behind the symbol
    found = failing_lengths(Oracle(task, fails_at=1), task, cap=1000, rows=6, bars=[0.9], place=as_it_is)
    assert (found["reached"], found["at"]["0.9"]) == (16, 16)  # not even the trained length


@pytest.mark.parametrize("task", ["flip_flop", "copy_first"])
def test_outputs_that_are_no_numbers_are_wrong_whatever_class_is_asked_for(composed, task):
    class Nothing(Oracle):
        def advance(self, inputs, state):
            logits, state = super().advance(inputs, state)
            return logits * torch.nan, state

    task = build(composed(f"task={task}", "task.T=16", "task.num_symbols=2").task, "task")
    found = failing_lengths(Nothing(task, NEVER), task, cap=16, rows=20, bars=[0.01], place=as_it_is)
    assert 0 < found["at"]["0.01"] <= 16


def test_which_error_decides():
    errors = np.array([7, 3, NEVER, 5])
    assert _by_first_error(errors, 10, 1.0) == 4
    assert _by_first_error(errors, 10, 0.75) == 6  # 3 of 4 are not below 0.75
    assert _by_first_error(errors, 10, 0.5) == 8


def test_exactly_as_many_as_the_bar_asks_for_are_enough(monkeypatch, flip_flop):
    """A share of 0.9 is 90 of 100, whatever 1 - 0.9 is in binary."""
    for bar in (0.9, 0.7):
        wrong = round(100 * (1 - bar))
        for more, length in ((0, None), (1, wrong + 1)):
            errors = np.full(100, NEVER)
            errors[: wrong + more] = np.arange(wrong + more)
            monkeypatch.setattr(failing_length, "_first_errors", lambda *_, errors=errors: errors)
            found = failing_lengths(Oracle(flip_flop, NEVER), flip_flop, cap=64, rows=100, bars=[bar], place=as_it_is)
            assert found["at"] == {str(bar): length}


def test_the_record_has_it_where_it_was_asked_for(go, composed, tmp_path):
    asked = ["+failing_length.cap=64", "failing_length.rows=4"]
    asked = [word.removeprefix("+") for word in asked]
    _, record = go("bmru", *asked)
    assert record["failing_length"]["cap"] == 64
    assert set(record["failing_length"]["at"]) == {"0.9", "1.0"}
    _, plain = go("bmru", where="b")
    assert plain["failing_length"] is None
    assert plain["config_hash"] != record["config_hash"]
    cfg = composed("model=bmru", *TINY_COPY, "failing_length.cap=3", f"results_dir={tmp_path}/c")
    with pytest.raises(ConfigError, match=r"failing_length.cap=3 must be at least task.T=8"):
        run(cfg, model_name="bmru", task_name="copy_first")


@pytest.fixture
def seen(monkeypatch):
    """Of every batch that is read for a failing length, what the model saw and gave: (inputs, logits)."""
    found, read = [], failing_length._read

    def spy(model, batch, state, place):
        def placed(batch):
            found.append(place(batch).inputs)
            return place(batch)

        with monkeypatch.context() as patch:
            patch.setattr(model.head, "forward", lambda x, forward=model.head.forward: noted(forward(x)))
            return read(model, batch, state, placed)

    def noted(logits):
        found[-1] = (found[-1].dtype, logits.dtype)
        return logits

    monkeypatch.setattr(failing_length, "_read", spy)
    return found


@pytest.mark.parametrize(
    ("precision", "inputs", "logits"),
    [("bf16-mixed", torch.float32, torch.bfloat16), ("64-true", torch.float64, torch.float64)],
)
def test_it_is_measured_in_the_precision_that_trained(go, seen, precision, inputs, logits):
    words = ["task.distractors=gaussian", f"trainer.precision={precision}", "trainer.max_steps=2"]
    record = go("lru", *words, "failing_length.cap=8", "failing_length.rows=4")[1]
    assert record["failing_length"]["reached"] == 8
    assert seen == [(inputs, logits)] * 2  # once in the rehearsal


def test_it_is_measured_where_the_run_was_trained(go, monkeypatch):
    """Lightning takes what it has tested to the CPU."""
    events = []

    def told(owner, name, event):
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, **k: (events.append(event(*a)), function(*a, **k))[1])

    told(Strategy, "teardown", lambda self: "taken away")
    told(SequenceClassifier, "to", lambda self, device: f"to {device}")
    told(failing_length, "_read", lambda *_: "read")
    go("lru", "trainer.max_steps=2", "failing_length.cap=8", "failing_length.rows=4")
    assert events[-3:] == ["taken away", "to cpu", "read"]


def test_what_a_token_costs_is_measured_in_the_precision_that_trained(go):
    words = ["trainer.max_steps=2", "model.dropout=0"]
    whole, mixed = (
        go("transformer", *words, f"trainer.precision={precision}", where=precision)[1]["memory"]
        for precision in ("32-true", "bf16-mixed")
    )
    assert mixed["activation_bytes_per_token"] < 0.8 * whole["activation_bytes_per_token"]
