"""Nothing is lost: whatever ends a run early, the same command again ends it as if nothing had happened."""

import ast
import errno
import json
import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from support import ROOT, TINY_COPY, without_clock

from lra_mru.engine.errors import ConfigError, Interrupted, RunError
from lra_mru.engine.run import run
from lra_mru.engine.saving import checkpoint_files
from lra_mru.engine.saving.checkpoints import Checkpoints, random_states, set_random_states
from lra_mru.engine.training.module import SequenceClassifier

LEARNING = ("model.dropout=0.3", "task.T=2", "optim.lr=0.02")  # random states count, and the best weights move


@pytest.fixture(scope="module")
def unbroken(composed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    cfg = composed("model=bmru", *TINY_COPY, *LEARNING)
    cfg.results_dir, cfg.data_dir, cfg.runs_dir = (str(folder / name) for name in ("results", "data", "runs"))
    path = run(cfg, model_name="bmru", task_name="copy_first")
    return without_clock(json.loads(path.read_text()))


@pytest.fixture
def folder(tmp_path):
    """Where the first attempt of a run of `go` keeps its checkpoints."""
    return lambda: next(tmp_path.glob("a/runs/copy_first/*/seed0/attempt1"))


@pytest.fixture
def at_step(monkeypatch):
    """at_step(7, action): calls it once, when step 7 has begun."""

    def arrange(step, action, hook="training_step"):
        original, left = getattr(SequenceClassifier, hook), [action]

        def hooked(self, *arguments):
            if self.global_step == step and left:
                left.pop()()
            return original(self, *arguments)

        monkeypatch.setattr(SequenceClassifier, hook, hooked)

    return arrange


def ask(number):
    return lambda: os.kill(os.getpid(), number)


def stop():
    raise RunError("stopped by the test")


def test_a_run_killed_ten_times_ends_with_the_same_bits(tmp_path):
    command = [sys.executable, str(ROOT / "tests/engine/killed_lives.py"), str(tmp_path), "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["statuses"] == [signal.SIGKILL] * 10 + [0]
    assert done.stdout.count("killed before ") == 10
    killed, whole = (json.loads(next((tmp_path / w / "results").rglob("seed0.json")).read_text()) for w in W)
    assert killed["weights_sha256"] == whole["weights_sha256"]
    assert killed["best_weights_sha256"] == whole["best_weights_sha256"]
    assert without_clock(killed) == without_clock(whole)
    assert killed["resumes"] > 3
    assert not list(tmp_path.rglob(".*"))  # nothing half written is left


W = ("killed", "unbroken")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_between_two_validations_and_the_same_command_completes(go, at_step, folder, unbroken, number):
    before = signal.getsignal(number)
    at_step(6, ask(number))
    with pytest.raises(Interrupted, match="stopped after step 7; go on with: the same command again"):
        go("bmru", *LEARNING)
    assert signal.getsignal(number) == before
    assert checkpoint_files.load(folder() / "last.ckpt")["global_step"] == 7
    record = go("bmru", *LEARNING)[1]
    assert without_clock(record) == unbroken
    assert record["resumes"] == 1


@pytest.mark.parametrize("hook", ["training_step", "on_validation_epoch_end"])
def test_a_signal_just_before_a_validation_waits_for_it(go, at_step, folder, hook):
    short = (*LEARNING, "trainer.max_steps=12", "task.train_words=plain")
    whole = go("bmru", *short, where="unbroken")[1]
    assert whole["best_step"] == 10  # the validation that must not be skipped
    at_step(10 if hook == "on_validation_epoch_end" else 9, ask(signal.SIGTERM), hook)
    with pytest.raises(Interrupted, match="stopped after step 10"):
        go("bmru", *short)
    assert checkpoint_files.load(folder() / "last.ckpt")["callbacks"]["Checkpoints"]["best"]["step"] == 10
    assert without_clock(go("bmru", *short)[1]) == without_clock(whole)


def test_a_second_signal_stops_at_once_and_loses_nothing_saved(go, at_step, unbroken):
    at_step(12, lambda: (ask(signal.SIGINT)(), ask(signal.SIGINT)()))
    with pytest.raises(Interrupted, match="stopped at once by a second signal"):
        go("bmru", *LEARNING, "checkpoint_minutes=0")
    assert without_clock(go("bmru", *LEARNING)[1]) == unbroken


def test_every_step_can_be_saved(go, folder, monkeypatch):
    saved = []
    save = Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, trainer: (saved.append(trainer.global_step), save(self, trainer))
    )
    go("bmru", "checkpoint_minutes=0")
    assert saved == list(range(1, 21))


def test_accumulated_gradients_are_never_cut_in_two(go, at_step):
    accumulate = ("+trainer.accumulate_grad_batches=3", *LEARNING, "checkpoint_minutes=0")
    whole = go("bmru", *accumulate, where="unbroken")[1]
    assert whole["steps"] == 20
    at_step(7, ask(signal.SIGTERM))
    with pytest.raises(Interrupted, match="stopped after step 8"):
        go("bmru", *accumulate)
    assert without_clock(go("bmru", *accumulate)[1]) == without_clock(whole)


@pytest.fixture
def stopped(go, at_step):
    """A run of `go` that died in step 12: last.ckpt is of step 10, previous.ckpt of step 5."""
    at_step(12, stop)
    with pytest.raises(RunError, match="stopped by the test"):
        go("bmru", *LEARNING)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(go, stopped, folder, unbroken, capfd, damage):
    path = folder() / "last.ckpt"
    if damage == "missing":  # killed between two renames
        path.unlink()
    else:
        content = {"truncated": path.read_bytes()[:-500], "empty": b"", "text": b"not a checkpoint"}[damage]
        path.write_bytes(content)
    assert without_clock(go("bmru", *LEARNING)[1]) == unbroken
    out, err = capfd.readouterr()
    assert f"resuming {folder()}/previous.ckpt" in out
    warned = f"warning: {path} is cut short, or no checkpoint of this suite; falling back to the checkpoint before it"
    assert (warned in err) == (damage != "missing")


def test_a_run_without_any_good_checkpoint_says_what_to_type(go, stopped, folder, unbroken):
    for name in ("last.ckpt", "previous.ckpt"):
        (folder() / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=r"last.ckpt is cut short, .*; .*previous.ckpt is cut short, .*resume=none"):
        go("bmru", *LEARNING)
    record = go("bmru", *LEARNING, "resume=none")[1]
    assert (without_clock(record), record["attempt"]) == (unbroken, 2)
    assert sorted(p.name for p in folder().glob("*.ckpt")) == ["last.ckpt", "previous.ckpt"]


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_hostile_pickle_is_refused_and_never_run(go, stopped, folder, unbroken, tmp_path, capfd):
    path, trap = folder() / "last.ckpt", tmp_path / "trap"
    good = checkpoint_files.load(path)
    torch.save(good | {"callbacks": Hostile(trap)}, path)
    with pytest.raises(ConfigError, match=r"last.ckpt is refused: it holds more than tensors and plain values .*mkdir"):
        go("bmru", *LEARNING, f"resume={path}")
    assert without_clock(go("bmru", *LEARNING)[1]) == unbroken  # of its own choice a run takes the one before
    assert "last.ckpt is refused: it holds more than tensors and plain values" in capfd.readouterr().err
    assert not trap.exists()
    torch.load(
        path.with_name("last.ckpt.damaged1"), weights_only=False
    )  # the trap works: loading does not step into it
    assert trap.exists()


def test_nothing_is_loaded_in_any_other_way():
    for file in (ROOT / "lra_mru").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "pickle.load", "pickle.loads"):
                assert "weights_only=True" in ast.unparse(node), file


def test_a_checkpoint_of_another_config_is_refused_with_the_differing_keys(go, stopped, folder, tmp_path):
    path = folder() / "last.ckpt"
    with pytest.raises(ConfigError) as caught:
        go("bmru", *LEARNING, "optim.lr=0.5", "seed=3", f"resume={path}", where="b")
    line = str(caught.value)
    assert line.startswith(f"resume={path}")
    assert "optim.lr (0.02 there, 0.5 here), seed (0 there, 3 here)" in line
    assert not list((tmp_path / "b").rglob("attempt*"))


def test_a_named_checkpoint_starts_a_new_attempt_with_all_it_needs(go, stopped, folder, unbroken, tmp_path):
    elsewhere = tmp_path / "carried over.ckpt"
    (folder() / "previous.ckpt").rename(elsewhere)
    record = go("bmru", *LEARNING, f"resume='{elsewhere}'")[1]
    assert without_clock(record) == unbroken
    assert record["attempt"] == 2
    assert (folder() / "last.ckpt").exists()


def test_a_full_disk_stops_with_one_line_and_keeps_the_last_good_state(go, at_step, folder, unbroken):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    at_step(7, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard)))
    try:
        with pytest.raises(RunError) as caught:
            go("bmru", *LEARNING)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    line = str(caught.value)
    assert "could not be written (File too large)" in line
    assert f"the last good one is kept at {folder()}/last.ckpt; make room, then start again" in line
    assert "\n" not in line
    assert checkpoint_files.load(folder() / "last.ckpt")["global_step"] == 5
    assert without_clock(go("bmru", *LEARNING)[1]) == unbroken


def test_a_full_disk_anywhere_else_is_one_line_too_and_a_defect_keeps_its_traceback(go, unbroken, monkeypatch):
    from lra_mru.engine import run

    for number, error in [(errno.ENOSPC, RunError), (errno.EBADF, OSError)]:

        def refuse(*_, number=number):
            raise OSError(number, os.strerror(number), "metrics.csv")

        with monkeypatch.context() as patch:
            patch.setattr(run, "summarize", refuse)
            with pytest.raises(error, match=r"metrics.csv: No space left on device; the run is kept|Bad file"):
                go("bmru", *LEARNING)
    assert without_clock(go("bmru", *LEARNING)[1]) == unbroken


def test_random_states_come_back():
    import random

    import numpy as np

    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002

    states = random_states()
    first = draw()
    set_random_states(states)
    assert draw() == first
