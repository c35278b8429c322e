"""What comes after training: tried before it, and never lost by whatever breaks there."""

import errno
import json
import os

import numpy as np
import pytest
from after_fit import Broken, breaking, collect, watched
from support import without_clock

from lra_mru import files
from lra_mru.engine import run
from lra_mru.engine.build import build
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.measuring import failing_length
from lra_mru.engine.measuring.meters import Speedometer
from lra_mru.engine.preflight import check_ranks
from lra_mru.engine.preflight.rehearsal import Rehearsal
from lra_mru.engine.recording import record, summary, tracking
from lra_mru.engine.training.module import SequenceClassifier


@pytest.fixture
def untrainable(monkeypatch):
    """From now on no step may be trained."""

    def arrange():
        def training_step(*_):
            raise AssertionError("trained again")

        monkeypatch.setattr(SequenceClassifier, "training_step", training_step)

    return arrange


SHORT = ("bmru", "model.depth=1", "trainer.max_steps=2", "failing_length.cap=16", "failing_length.rows=4")
AFTER_THE_RECORD = ("publish", "open_logger", "Attempt.close")


def test_whatever_breaks_after_training_the_same_command_writes_the_record(go, untrainable, tmp_path):
    """Every step of ours that runs after the training of one run, found by watching it, is broken in another."""
    found = {}
    with watched(collect(found)):
        unbroken = without_clock(go(*SHORT, where="unbroken")[1])
    steps = [code for code, is_step in found.items() if is_step]
    names = {code.co_qualname for code in steps}
    assert {"Checkpoints.write_best", "SequenceClassifier.test_step", "write_record", "publish"} < names
    for code in steps:
        with watched(breaking(code)), pytest.raises(Broken):
            go(*SHORT)
        untrainable()
        records = list((tmp_path / "a/results").rglob("seed0*.json"))
        assert len(records) == (code.co_qualname in AFTER_THE_RECORD), code.co_qualname
        for path in records:  # the next one is broken before it
            path.unlink()
    assert without_clock(go(*SHORT)[1]) == unbroken


def test_a_failing_length_beyond_all_memory_costs_no_record(go, untrainable, monkeypatch, capfd):
    def no_memory(model, task, T, rows, place):
        if T > task.T:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")
        return np.full(rows, failing_length.NEVER)

    monkeypatch.setattr(failing_length, "_wrong", no_memory)
    record = go("lru", "failing_length.cap=100", "failing_length.rows=4")[1]
    assert record["failing_length"] == {"rows": 4, "cap": 100, "reached": 8, "at": {"0.9": None, "1.0": None}}
    assert "no memory for 4 sequences at T=16; measured up to T=8" in capfd.readouterr().err


def test_a_run_that_died_in_its_failing_length_gives_its_record_without_it(go, untrainable, monkeypatch, tmp_path):
    """As if it was killed for its memory."""
    with monkeypatch.context() as patch:
        patch.setattr(summary, "failing_lengths", lambda *_, cap, **__: None if cap == 8 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            go("bmru", "failing_length.cap=100")
    untrainable()
    (kept,) = tmp_path.rglob("last.ckpt")
    record = go("bmru", f"resume={kept}")[1]
    assert (record["steps"], record["failing_length"]) == (20, None)


@pytest.mark.parametrize(
    ("owner", "name"), [(summary, "library_versions"), (Speedometer, "throughput"), (record.Attempt, "relative")]
)
def test_what_would_break_after_training_breaks_before_it(go, untrainable, monkeypatch, owner, name):
    def broken(*_, **__):
        raise ZeroDivisionError("broken by the test")

    untrainable()
    if name == "relative":  # stands for a folder that takes no record
        owner, name = files, "_name"
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(RunError) as caught:
        go("lru")
    assert str(caught.value) == (
        "this run could not be recorded, and nothing was trained: ZeroDivisionError: broken by the test"
    )


def test_what_the_report_would_refuse_is_refused_before_training(go, untrainable, monkeypatch):
    untrainable()
    monkeypatch.setattr(summary, "num_params", lambda model: "many")
    with pytest.raises(ConfigError, match=r"the report would refuse this run's record: .*num_params='many'"):
        go("lru")


def test_the_rehearsal_changes_no_number_and_leaves_nothing_behind(go, monkeypatch, tmp_path):
    options = ("bmru", "model.dropout=0.3", "trainer.max_steps=10")
    rehearsed = without_clock(go(*options, where="a")[1])
    assert not list(tmp_path.rglob(".*.tmp"))
    monkeypatch.setattr(Rehearsal, "on_train_start", lambda *_: None)
    assert without_clock(go(*options, where="b")[1]) == rehearsed


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_half_and_double_precision_on_vectors_end_with_a_record(go, precision):
    short = ("task.distractors=gaussian", "trainer.max_steps=5", f"trainer.precision={precision}")
    assert go("transformer", *short)[1]["precision"] == precision


def test_more_processes_than_rows_are_refused(composed):
    task = build(composed("task=selective_copy", "data_dir=x").task, "task")
    with pytest.raises(ConfigError, match=r"trainer.devices: 16 processes cannot share the 8 rows of test@409600"):
        check_ranks(task, [], task.test_sets, 16)
    check_ranks(task, [], task.test_sets, 8)
    with pytest.raises(ConfigError, match=r"32 processes cannot share the 16 rows of validation@20000"):
        check_ranks(task, task.val_sets, [], 32)
    check_ranks(task, task.val_sets, [], 16)


def test_a_file_system_without_hard_links_takes_records(go, monkeypatch, tmp_path):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert go("lru")[0].name == "seed0.json"
    assert go("lru", "force=true")[0].name == "seed0.attempt2.json"
    files.write_whole(tmp_path / "x", b"1", overwrite=False)
    with pytest.raises(FileExistsError):
        files.write_whole(tmp_path / "x", b"2", overwrite=False)
    assert (tmp_path / "x").read_bytes() == b"1"


def test_what_goes_wrong_at_w_and_b_costs_no_record(composed, tmp_path, monkeypatch, capsys):
    from support import TINY_COPY

    def refuse(*_):
        raise ValueError("illegal artifact name")

    places = [f"{key}_dir={tmp_path / key}" for key in ("results", "data", "runs")]
    short = [*TINY_COPY, *places, "logger=wandb_offline", "trainer.max_steps=3"]
    path = run.run(composed(*short), model_name="bmru+lru", task_name="copy_first")
    assert json.loads(path.read_text())["model"] == "bmru+lru"
    assert "warning" not in capsys.readouterr().err
    monkeypatch.setattr(tracking, "_publish", refuse)
    path = run.run(composed(*short, "seed=1"), model_name="bmru", task_name="copy_first")
    assert path.exists()
    assert "W&B was not told of the record (illegal artifact name)" in capsys.readouterr().err
