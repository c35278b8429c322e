"""What a person sees who types something wrong, presses Ctrl-C, or starts many runs: in a process of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest
from support import ROOT, TINY_COPY


def start(cwd, *arguments, **environment):
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    env = os.environ | {"PYTHONUNBUFFERED": "1"} | environment
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=bmruu"], "model=bmruu: there is no such model; did you mean bmru"),
        (["task.bach_size=3"], "task.bach_size: there is no such key; did you mean task.batch_size"),
        (["-m", "model=bmru,lruu"], "model=lruu: there is no such model; did you mean lru"),
        (["experiment=none_such"], "experiment=none_such: there is no such experiment"),
        (["model"], "cannot read the argument 'model'"),
        (["task=copy_first", "task.batch_size=0"], "task: batch_size=0 must be at least 1"),
        (["task=copy_first", "+task.foo=1"], "unexpected keyword argument 'foo'"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(tmp_path, arguments, message):
    status, out, err = finish(start(tmp_path, *arguments))
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert not (tmp_path / "results" / "runs").exists()


def test_control_c_saves_and_says_how_to_resume_and_resuming_completes(tmp_path):
    arguments = [*TINY_COPY, "trainer.max_steps=3000", "budget.val_every_steps=100", "results_dir=r"]
    process = start(tmp_path, *arguments)
    while not (line := process.stdout.readline()).startswith("step 100/"):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert status == 1
    assert "stopped after step" in err
    assert "go on with: the same command with resume=auto" in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("seed0.json"))
    status, out, err = finish(start(tmp_path, *arguments, "resume=auto"))
    assert status == 0, err
    assert "resuming" in out
    assert json.loads(next(tmp_path.rglob("seed0.json")).read_text())["steps"] == 3000


def test_multirun_gives_a_record_each_and_one_leaderboard(tmp_path):
    status, out, err = finish(start(tmp_path, "-m", "model=bmru,lru", "seed=0,1", *TINY_COPY, "results_dir=r"))
    assert status == 0, err
    assert len(list((tmp_path / "r" / "runs").rglob("seed*.json"))) == 4
    table = (tmp_path / "r" / "leaderboard.md").read_text()
    assert "bmru" in table
    assert "lru" in table
    assert out.count("leaderboard: r/leaderboard.md") == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r", "runs"]  # Hydra leaves nothing else behind


def test_two_processes_over_gloo_train_one_model(tmp_path):
    arguments = ["trainer=ddp_cpu", "trainer.devices=2", *TINY_COPY, "results_dir=r"]
    status, out, err = finish(start(tmp_path, *arguments, OMP_NUM_THREADS="1"))
    assert status == 0, err
    record = json.loads(next(tmp_path.rglob("seed0.json")).read_text())
    assert record["num_devices"] == 2
    assert record["metrics"]["test/num_examples"] == 40  # every example once, over both
    assert record["metrics"]["test/num_examples@30"] == 5
    assert out.count("record: ") == 1


def test_non_tty_output_is_quiet(tmp_path):
    status, out, err = finish(start(tmp_path, *TINY_COPY, "results_dir=r"))
    assert (status, err) == (0, "")
    assert out.count("\n") < 15
    assert "\x1b" not in out
