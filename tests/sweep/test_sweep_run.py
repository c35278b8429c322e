"""The sweep itself: kill, resume, stop early, many machines, bad input. A stand-in for train.py makes trials quick."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
import yaml
from support import ROOT, TINY_COPY

from lra_mru.engine.errors import ConfigError
from lra_mru.engine.sweep import trial_process
from lra_mru.engine.sweep.main import sweep as run_sweep

STAND_IN = """
import json, os, sys, time, pathlib
said = dict(o.split("=", 1) for o in sys.argv[1:])
lr, seed = float(said["optim.lr"]), int(said["seed"])
mark = pathlib.Path(said["runs_dir"], "starts"); mark.mkdir(parents=True, exist_ok=True)
with open(mark / f"{lr}-{seed}", "a") as file: file.write("x")
if lr == 9 and not pathlib.Path("mended").exists(): sys.exit("error: optim.lr=9.0 is too much")
for step in range(1, 4):
    time.sleep(float(os.environ.get("WAIT", 0)) / 3)
    print(f"step {step}/3   loss 1.0   val/acc {1 - lr:.4f}", flush=True)
path = pathlib.Path(said["results_dir"], f"{lr}-{seed}.json"); path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps({"model": "bmru", "num_params": 10, "metrics": {"val/acc": 1 - lr, "test/acc": lr},
    "throughput": {"train_tokens_per_s": 100 * lr}, "memory": {"peak_bytes": 1e6, "state_bytes": None}}))
print(f"record: {path}")
"""
DRIVER = """
import sys
import lra_mru.engine.sweep.study as study, lra_mru.engine.sweep.trial_process as trial_process
trial_process.TRAIN, study.LOCK_WAIT_S = [sys.executable, sys.argv.pop(1)], 1
from lra_mru.engine import cli
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.sweep.main import sweep_from_command_line
try:
    print("results", sweep_from_command_line())
except (ConfigError, RunError) as error:
    cli.fail(error)
"""


CONTENT = {
    "program": "train.py",
    "command": ["${env}", "${program}", "${args_no_hyphens}"],
    "method": "grid",
    "metric": {"name": "val/acc", "goal": "maximize"},
    "parameters": {"optim.lr": {"values": [0.1, 0.2, 0.3]}, "seed": {"values": [0, 1]}},
}


@pytest.fixture
def mine(tmp_path, composed):
    """A sweep file for calls in this process, where Hydra is open already."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return path


@pytest.fixture
def sweep(tmp_path):
    """sweep("--trials", "3", ..., lr=[...], method=...) -> a started process on a sweep over optim.lr and seed."""
    (tmp_path / "train.py").write_text(STAND_IN)
    (tmp_path / "driver.py").write_text(DRIVER)

    def start(*arguments, wait=0, lr=(0.1, 0.2, 0.3), **changes):
        content = CONTENT | {"parameters": CONTENT["parameters"] | {"optim.lr": {"values": list(lr)}}}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content | changes))
        command = [sys.executable, tmp_path / "driver.py", tmp_path / "train.py", "mine.yaml", "runs_dir=w", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "WAIT": str(wait)}
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return start


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def summary(tmp_path):
    (path,) = tmp_path.glob("w/sweeps/*/results/sweeps/*.json")
    return json.loads(path.read_text())


def starts(tmp_path):
    return {path.name: path.read_text() for path in tmp_path.glob("w/starts/*")}


def test_a_grid_runs_every_point_once_and_its_summary_says_what_each_came_to(sweep, tmp_path):
    status, out, err = finish(sweep("--trials", "9", "--jobs", "3"))
    assert (status, err) == (0, "")
    assert "6 trials: the parameters have no other values" in out
    found = summary(tmp_path)
    assert found["num_trials"] == 6  # what was tried, not what was asked for
    assert [t["state"] for t in found["trials"]] == ["complete"] * 6
    assert len({tuple(t["overrides"]) for t in found["trials"]}) == 6
    assert set(starts(tmp_path).values()) == {"x"}
    best = max(found["trials"], key=lambda t: t["measured"]["val/acc"])
    assert best["overrides"][0] == "optim.lr=0.1"
    assert "test/acc" not in str(found)  # selection never sees it


def test_a_sweep_killed_in_the_middle_goes_on_with_the_trials_it_was_at(sweep, tmp_path):
    arguments = ["--trials", "6", "--jobs", "2"]
    process = sweep(*arguments, wait=30)
    while len(starts(tmp_path)) < 2:
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()
    process.kill()
    process.wait()
    status, _, err = finish(sweep(*arguments))
    assert status == 2
    assert "has been started already: --resume goes on with it" in err
    status, out, err = finish(sweep(*arguments, "--resume"))
    assert (status, err) == (0, "")
    assert out.startswith("study mine-")
    found = summary(tmp_path)
    assert [t["state"] for t in found["trials"]] == ["complete"] * 6
    assert len({tuple(t["overrides"]) for t in found["trials"]}) == 6
    assert sorted(map(len, starts(tmp_path).values())) == [1, 1, 1, 1, 2, 2]  # only those two began again


def test_control_c_ends_the_trials_and_says_how_to_go_on(sweep, tmp_path):
    process = sweep("--trials", "6", "--jobs", "2", wait=60)
    while len(starts(tmp_path)) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert status == 1
    assert "stopped with 2 trials in progress; go on with: the same command with --resume" in err
    assert "Traceback" not in err


def test_random_samples_never_repeat_and_end_when_there_is_nothing_new(sweep, tmp_path):
    status, out, _ = finish(sweep("--trials", "20", "--jobs", "3", method="random"))
    assert status == 0
    assert "6 trials: the parameters have no other values" in out
    assert set(starts(tmp_path).values()) == {"x"}


def test_hyperband_stops_the_worse_half_early(sweep, tmp_path):
    stopping = {"type": "hyperband", "min_iter": 1, "eta": 2}
    arguments = ["--trials", "6", "--jobs", "1"]
    status, out, _ = finish(sweep(*arguments, wait=0.9, lr=[0.1, 0.7, 0.8], early_terminate=stopping))
    assert status == 0
    states = {o: t["state"] for t in summary(tmp_path)["trials"] for o in [t["overrides"][0]]}
    assert states == {"optim.lr=0.1": "complete", "optim.lr=0.7": "stopped early", "optim.lr=0.8": "stopped early"}
    assert "stopped early: not among the best" in out


def test_several_objectives_each_with_its_direction(sweep, tmp_path):
    objectives = "val/acc,train_tokens_per_s,peak_bytes"
    status, out, _ = finish(sweep("--trials", "2", "--objectives", objectives, method="bayes"))
    assert status == 0
    assert "val/acc 0." in out
    assert "train_tokens_per_s " in out
    goals = {o["name"]: o["goal"] for o in summary(tmp_path)["objectives"]}
    assert goals == {"val/acc": "maximize", "train_tokens_per_s": "maximize", "peak_bytes": "minimize"}


def test_failures_are_told_with_their_reason_and_end_a_hopeless_sweep(sweep, tmp_path):
    status, out, _ = finish(sweep("--trials", "3", "--jobs", "3", lr=[9, 0.1]))
    assert status == 0
    assert "optim.lr=9.0 is too much" in out
    assert [t["state"] for t in summary(tmp_path)["trials"]] == ["failed", "failed", "complete"]
    status, _, err = finish(sweep("--trials", "4", "--jobs", "3", "--objectives", "state_bytes"))
    assert status == 1
    assert "the first 3 trials failed; the last said: objective state_bytes: bmru has no such number" in err


def test_what_failed_is_tried_again_by_resume_alone_and_counts_once(sweep, tmp_path):
    assert finish(sweep("--trials", "4", lr=[9, 0.1]))[0] == 0
    assert [t["state"] for t in summary(tmp_path)["trials"]] == ["failed", "failed", "complete", "complete"]
    assert finish(sweep("--trials", "4", "--resume", lr=[9, 0.1]))[0] == 0  # for nothing
    (tmp_path / "mended").touch()
    status, _, err = finish(sweep("--trials", "4", "--resume", lr=[9, 0.1]))
    assert (status, err) == (0, "")
    found = summary(tmp_path)
    assert [t["state"] for t in found["trials"]] == ["complete"] * 4
    assert len({tuple(t["overrides"]) for t in found["trials"]}) == 4
    assert sorted(map(len, starts(tmp_path).values())) == [1, 1, 3, 3]


def test_a_sweep_whose_every_trial_failed_says_so_and_ends_with_status_1(sweep, tmp_path):
    status, _, err = finish(sweep("--trials", "2", lr=[9]))
    assert status == 1
    assert "every trial failed; the last said: optim.lr=9.0 is too much" in err
    assert err.count("\n") == 1
    assert [t["state"] for t in summary(tmp_path)["trials"]] == ["failed", "failed"]


def test_two_processes_share_a_study_through_a_journal(sweep, tmp_path):
    arguments = ["--trials", "6", "--storage", f"journal:///{tmp_path / 'study.log'}"]
    first = sweep(*arguments, wait=0.5)
    while not starts(tmp_path):
        time.sleep(0.05)
    second = sweep(*arguments, "--resume", wait=0.5)
    assert (finish(first)[0], finish(second)[0]) == (0, 0)
    assert set(starts(tmp_path).values()) == {"x"}
    assert len(starts(tmp_path)) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "3", "--jobs", "0"], "--jobs=0 must be from 1 to "),
        (["--trials", "0"], "--trials=0 must be at least 1"),
        (["--trials", "many"], "invalid int value: 'many'"),
        ([], "--trials is missing"),
        (["--trials", "3", "--objectives", "val/acc,peek_bytes"], "did you mean peak_bytes"),
        (["--trials", "3", "--objectives", "test/acc"], "selection is on validation"),
        (["--trials", "3", "modle=bmru"], "modle: there is no such key; did you mean model"),
        (["--trials", "3", "model=bmruu"], "model=bmruu: there is no such model; did you mean bmru"),
        (["--trials", "3", "quick"], "cannot read the argument 'quick'"),
        (["--trials", "3", "--resume"], "--resume: the storage has no study mine-"),
        (["--trials", "3", "--storage", "nosuch://x"], "--storage=nosuch://x: "),
        (["--trials", "3", "optim.lr=0.1", "seed=0"], "optim.lr, seed: every parameter of the sweep is fixed"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(mine, tmp_path, arguments, message):
    with pytest.raises(ConfigError) as caught:
        run_sweep([str(mine), f"runs_dir={tmp_path / 'w'}", *arguments])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.json"))


def test_a_parameter_that_no_config_has_is_named_with_the_nearest(mine, tmp_path):
    mine.write_text(mine.read_text().replace("optim.lr", "optim.rl"))
    with pytest.raises(ConfigError, match=r"optim.rl: there is no such key; did you mean optim.lr"):
        run_sweep([str(mine), "--trials", "3"])


def test_a_mistake_ends_the_program_with_status_2(sweep):
    status, out, err = finish(sweep("--trials", "3", "--jobs", "0"))
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: --jobs=0 must be from 1 to \d+, four for each core of this machine\n", err)


def test_a_locked_storage_is_one_line(sweep, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    assert finish(sweep("--trials", "1", "--storage", url))[0] == 0
    with sqlite3.connect(tmp_path / "study.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        status, _, err = finish(sweep("--trials", "2", "--storage", url, "--resume"))
    assert status in (1, 2)
    assert "database is locked; another program holds it" in err
    assert err.count("\n") == 1


def test_the_real_thing_from_a_shipped_file_to_a_pareto_table(tmp_path):
    command = [sys.executable, ROOT / "sweep.py", ROOT / "sweeps/memory.yaml", "--trials", "2", "--jobs", "2"]
    done = subprocess.run(
        [*command, *TINY_COPY, "model=bmru", "runs_dir=w"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Pareto front\n| model | validation (%) | train (tokens/s) | peak memory (MiB) |" in done.stdout
    records = [json.loads(path.read_text()) for path in tmp_path.glob("w/sweeps/*/results/runs/**/seed*.json")]
    assert [record["trials"] for record in records] == [2, 2]
    page = next(tmp_path.glob("w/sweeps/*/results/leaderboard.md")).read_text()
    assert "2 trials (2 complete); by model: bmru 2." in page


def test_a_trial_that_was_taken_over_counts_its_validations_on(tmp_path, monkeypatch):
    """Of a step that is validated twice, before and after a kill, the later counts."""
    monkeypatch.setattr(trial_process, "TRAIN", ["true"])
    log = tmp_path / "0.log"
    log.write_text("step 5/20   val/acc 0.2   0:09 left\nstep 10/20   val/acc 0.3   0:08 left\n")
    process = trial_process.TrialProcess(0, [], log, slot=0, jobs=1)
    process.process.wait()
    assert process.reported == 2
    with log.open("a") as file:
        file.write("step 10/20   val/acc 0.4   0:07 left\nstep 15/20   val/acc 0.5   0:06 left\n")
    assert process.validations() == [0.2, 0.4, 0.5]
