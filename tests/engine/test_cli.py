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
        (["task=digits", "task.T=5"], "task.T: the chosen task has no such key, another task has"),
        (["model.pattern=bmru"], "model.pattern=bmru must be a list of mixers, as model.pattern=[bmru]"),
        (["resume=."], "resume=.: . is a folder: name a checkpoint in it, as last.ckpt"),
        (["model=bmruu"], "model=bmruu: there is no such model; did you mean bmru"),
        (["task.bach_size=3"], "task.bach_size: there is no such key; did you mean task.batch_size"),
        (["-m", "model=bmru,lruu"], "model=lruu: there is no such model; did you mean lru"),
        (["task=copy_first.yaml"], "task=copy_first.yaml: there is no such task; did you mean copy_first"),
        (["model=bmru.yaml"], "model=bmru.yaml: there is no such model; did you mean bmru"),
        (["task=../task/copy_first"], "task=../task/copy_first: there is no such task"),
        (["budget=../budget/quick"], "budget=../budget/quick: there is no such budget; did you mean full, long, quick"),
        (["protocol=nope"], "protocol=nope: task and budget choose the protocol"),
        (["protocol=copy_first_full"], "protocol=copy_first_full: task and budget choose the protocol"),
        (["task=copy_first", "results_dir=${foo}"], "results_dir: Interpolation key 'foo' not found"),
        (["experiment=none_such"], "experiment=none_such: there is no such experiment"),
        (["model"], "cannot read the argument 'model'"),
        (["task=copy_first", "task.batch_size=0"], "task: batch_size=0 must be at least 1"),
        (["task=copy_first", "optim.lr=fast"], "optim.lr='fast' must be of type float"),
        (["task=copy_first", "optim.lr=-1"], "optim.lr=-1 must be a number above 0"),
        (["task=copy_first", "+task.foo=1"], "unexpected keyword argument 'foo'"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(programs, tmp_path, arguments, message):
    assert_one_line(programs("lra_mru.train", tmp_path, *arguments), message)
    assert not (tmp_path / "my_results" / "runs").exists()


def test_a_mistake_ends_train_py_itself_with_status_2(tmp_path):
    assert_one_line(finish(start(tmp_path, "optim.lr=-1")), "optim.lr=-1 must be a number above 0")


def assert_one_line(finished, message):
    status, out, err = finished
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("error: ")


def test_control_c_saves_and_the_same_command_completes(tmp_path):
    arguments = [*TINY_COPY, "trainer.max_steps=100", "budget.val_every_steps=20", "results_dir=r"]
    process = start(tmp_path, *arguments)
    while not (line := process.stdout.readline()).startswith("step 20/"):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert status == 1
    assert err.startswith("error: stopped after step ")
    assert "go on with: the same command again" in err
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("seed0.json"))
    listed = runs(tmp_path, "--results-dir", "r")
    assert listed.startswith("resumable  copy_first/bmru-")
    assert "python train.py task=copy_first budget=quick" in listed
    status, out, err = finish(start(tmp_path, *arguments))
    assert (status, err) == (0, "")
    assert "resuming runs/copy_first/" in out
    record = json.loads(next(tmp_path.rglob("seed0.json")).read_text())
    assert (record["steps"], record["resumes"]) == (100, 1)
    assert runs(tmp_path, "--results-dir", "r").startswith("finished   copy_first/bmru-")


def runs(cwd, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lra_mru.runs", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True).stdout


def test_multirun_gives_a_record_each_and_one_leaderboard(tmp_path):
    status, out, err = finish(start(tmp_path, "-m", "model=bmru,lru", "seed=0,1", *TINY_COPY, "results_dir=r"))
    assert status == 0, err
    assert len(list((tmp_path / "r" / "runs").rglob("seed*.json"))) == 4
    table = (tmp_path / "r" / "leaderboard.md").read_text()
    assert "bmru" in table
    assert "lru" in table
    assert out.count("leaderboard: r/leaderboard.md") == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r", "runs"]  # Hydra leaves nothing else behind


def test_a_failing_job_of_a_multirun_is_named_and_the_others_finish(tmp_path):
    # the first is refused before it starts, the second fails on its way, the third is well
    arguments = ["-m", "model=lru", "seed=-1,0", "optim.lr=1e25,0.001", "trainer.gradient_clip_val=null", *TINY_COPY]
    status, _, err = finish(start(tmp_path, *arguments, "results_dir=r"))
    assert status == 1, err
    assert len(list((tmp_path / "r" / "runs").rglob("seed*.json"))) == 1
    first, second, third, _, last = err.splitlines()
    for line, job in [
        (first, "seed=-1 optim.lr=1e+25"),
        (second, "seed=-1 optim.lr=0.001"),
        (third, "seed=0 optim.lr=1e+25"),
    ]:
        assert line.startswith(f"error: model=lru {job} ")
    assert "seed=-1 must be an integer of at least 0" in first
    assert "loss is nan at step " in third
    assert last == first.replace("error: ", "error: not every job finished: ")


HELP = """
import runpy, sys
sys.argv = ["train.py", "--help"]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not {"torch", "pytorch_lightning", "numba"} & set(sys.modules)
"""


def test_help_names_every_choice_and_never_imports_torch():
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for group in ("model", "task", "budget", "experiment", "trainer", "logger"):
        assert f"\n{group}=\n" in done.stdout
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            line = next(line for line in done.stdout.splitlines() if line.startswith(f"  {file.stem} "))
            assert line.split(maxsplit=1)[1] in file.read_text(), file  # every file says in its first line what it is
    assert "  resume=auto " in done.stdout


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


def test_the_trainer_of_many_gpus_trains_in_two_processes_over_gloo(tmp_path):
    where = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy.process_group_backend=gloo"]
    status, _, err = finish(start(tmp_path, *TINY_COPY, "trainer=ddp", *where, "results_dir=r", OMP_NUM_THREADS="1"))
    assert status == 0, err
    assert json.loads(next(tmp_path.rglob("seed0.json")).read_text())["num_devices"] == 2
