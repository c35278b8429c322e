"""The queue of runs behind the leaderboard: real runs, each once, the rate by validation alone, and nothing twice."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support import MODELS, ROOT, TINY_COPY

from lra_mru.engine.errors import ConfigError
from lra_mru.engine.recording.protocol import budget_of
from lra_mru.engine.recording.record import Identity
from lra_mru.evidence.__main__ import main
from lra_mru.evidence.declared import read
from lra_mru.evidence.queue import Queue, validation

CONTENT = {
    "budget": "quick",
    "rates": [0.001, 0.01],
    "seeds": [5, 6],
    "groups": [{"tasks": {"tiny": "task=copy_first"}, "models": ["lru"]}],
}
SETTINGS = [word for word in TINY_COPY if word not in ("task=copy_first", "budget=quick", "trainer.max_steps=20")]
OVERRIDES = [*SETTINGS, "results_dir=r", "runs_dir=w"]


@pytest.fixture
def evidence(tmp_path):
    """evidence("--jobs", "2", ..., steps=3, groups=...) -> a started process on the tiny list."""

    def start(*arguments, steps=3, **changes):
        (tmp_path / "list.yaml").write_text(yaml.safe_dump(CONTENT | changes))
        command = [sys.executable, "-m", "lra_mru.evidence", "--list", "list.yaml", *arguments, *OVERRIDES]
        return subprocess.Popen(
            [*command, f"trainer.max_steps={steps}"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_the_rate_that_validation_chooses_gets_all_seeds_and_a_second_call_starts_nothing(evidence, tmp_path):
    status, out, err = finish(evidence())
    assert (status, err) == (0, ""), out
    assert out.startswith("1 cells, 3 runs to do")
    tried = {path: json.loads(path.read_text()) for path in tmp_path.glob("w/evidence/results/runs/**/seed5.json")}
    kept = {path: json.loads(path.read_text()) for path in tmp_path.glob("r/runs/**/seed*.json")}
    assert sorted(record["config"]["optim"]["lr"] for record in tried.values()) == [0.001, 0.01]
    page = (tmp_path / "r/leaderboard.md").read_text()
    assert all(f"/{path.parent.name}/{path.name}" in page for path in tmp_path.glob("r/runs/**/seed*.json"))
    scores = validation([record["metrics"] for record in tried.values()])
    best = list(tried.values())[scores.index(max(scores))]
    assert {(r["seed"], r["config"]["optim"]["lr"]) for r in kept.values()} == {
        (seed, best["config"]["optim"]["lr"]) for seed in (5, 6)
    }
    assert best in kept.values()  # the same run, not another
    assert {record["trials"] for record in kept.values()} == {2}
    status, out, _ = finish(evidence())
    assert (status, len(out.splitlines())) == (0, 1)
    assert out.startswith("1 cells, 0 runs to do")


def test_candidates_are_compared_on_the_validation_sets_that_all_have():
    """Further sets are no part of a run's name: a record may have others, harder or easier."""
    plain = {"val/acc": 0.8, "test/acc": 0.1}
    more = {"val/acc": 0.9, "val/acc@96": 0.2, "val/loss@96": 3.0, "val/acc@768": 0.1, "val/loss@768": math.nan}
    most = more | {"val/acc": 0.7, "val/acc@96": 0.6, "val/loss@768": 2.0}
    assert validation([plain, more, most]) == [(0.8, 0), (0.9, 0), (0.7, 0)]
    assert validation([more, most]) == [(pytest.approx(0.4), -math.inf), (pytest.approx(1.4 / 3), -2.5)]


def test_a_run_that_saves_for_too_long_is_ended():
    class Slow:
        def __init__(self):
            self.process, self.told = self, []

        def stop(self, number):
            self.told.append(number)

        def wait(self, seconds):
            raise subprocess.TimeoutExpired("train.py", seconds)

    queue, slow = Queue.__new__(Queue), [Slow(), Slow()]
    queue.running = dict(enumerate(slow))
    queue._stop_all()
    assert [one.told for one in slow] == [[signal.SIGINT, signal.SIGKILL]] * 2


def test_a_stopped_queue_goes_on_with_the_run_it_was_at(evidence, tmp_path):
    process = evidence("--rates", "0.001", "--seeds", "5", steps=10**6)
    while not list(tmp_path.glob("w/**/last.ckpt")):
        time.sleep(0.1)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert (status, err) == (1, "error: stopped; the same command goes on where it was\n")
    log = (tmp_path / "w/evidence/logs/tiny-lru-optim.lr=0.001-seed=5.log").read_text()
    assert "go on with: the same command again" in log
    assert "Traceback" not in log


def test_a_run_that_fails_costs_no_other_cell(evidence, tmp_path):
    groups = [{"tasks": {"odd": "task=smnist task.mnist_dir=nowhere", "tiny": "task=copy_first"}, "models": ["lru"]}]
    status, out, err = finish(evidence("--rates", "0.001", "--seeds", "5", groups=groups))
    assert status == 1
    assert err.startswith("error: 1 runs failed: odd lru optim.lr=0.001 seed=5: ")
    assert "nowhere" in err
    assert "Traceback" not in out + err
    assert len(list(tmp_path.glob("r/runs/**/seed5.json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tasks", "tiyn"], "--tasks=tiyn: the list has tiny; did you mean tiny?"),
        (["--jobs", "0"], "--jobs=0 must be from 1 to "),
        (["--seeds", "x"], "argument --seeds: invalid integers value: 'x'"),
        (["seed=3"], "seed=3: give key=value"),
        (["--rates", "0"], "rates=[0.0] must be numbers above 0"),
        (["--seeds=-1"], "seeds=[-1] must be at least 0"),
        (["--seeds", str(2**63)], f"seeds=[{2**63}] must be at least 0, and at most "),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(tmp_path, monkeypatch, capsys, arguments, says):
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(CONTENT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evidence", "--list", "list.yaml", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert [path.name for path in tmp_path.iterdir()] == ["list.yaml"]


def test_a_folder_in_quotes_is_the_folder_that_every_run_gets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(CONTENT))
    words = [*OVERRIDES, 'runs_dir="a=b"', 'results_dir="c d"']
    queue = Queue(read(tmp_path / "list.yaml"), words, jobs=1)
    assert (queue.results, queue.folder) == (Path("c d"), Path("a=b/evidence"))
    for content in ("[]", '{"a": 3}', json.dumps({"a": {"task": 1}}), "{"):
        (tmp_path / "a=b/evidence/names.json").write_text(content)
        assert Queue(read(tmp_path / "list.yaml"), words, jobs=1).named == queue.named


def test_a_key_that_no_config_has_is_one_line_before_anything_starts(evidence, tmp_path):
    status, out, err = finish(evidence("model.d_modle=3"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "model.d_modle: there is no such key; did you mean" in err
    assert not list(tmp_path.glob("**/seed*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "1,2,1"], "seeds=[1, 2, 1] names one twice"),
        (["--rates", "0.001,1e-3"], "rates=[0.001, 0.001] names one twice"),
        (["task=listops"], "task=listops: give key=value; "),
        (["experiment=gaussian"], "experiment=gaussian: give key=value; "),
        (["task.mnist_dri=x"], "task.mnist_dri=x: no task has such a key; did you mean task.mnist_dir"),
        (["runs_dir=file"], "runs_dir=file cannot be written: it is a file"),
        (["runs_dir="], "runs_dir='' must name a folder"),
        (["results_dir="], "results_dir='' must name a folder"),
        (["protocol=flip_flop_quick"], "protocol=flip_flop_quick: give key=value; "),
        (
            ["trainer.max_steps=-5"],
            "model=bmru task=flip_flop budget=quick trainer.max_steps=-5: trainer.max_steps=-5",
        ),
        (["budget.steps=0"], "model=bmru task=flip_flop budget=quick budget.steps=0: trainer.max_steps=0 must"),
        (
            [f"results_dir={ROOT / 'results'}", "trainer.max_steps=3"],
            f"results_dir={ROOT / 'results'}: flip_flop bmru",
        ),
    ],
)
@pytest.mark.usefixtures("composed")  # which holds Hydra open: this process's own Hydra is in nobody's way
def test_what_would_do_nothing_or_another_thing_is_refused(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["evidence", "--dry", "--tasks", "flip_flop", "--models", "bmru", *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": []},
        {"seeds": [True]},
        {"rates": ["a"]},
        {"seed": 1},
        {"groups": [{"tasks": ["x"], "models": ["lru"]}]},
        {"groups": [{"tasks": {"x": None}, "models": ["lru"]}]},
        {"groups": [{"tasks": {"x": " "}, "models": ["lru"]}]},
        {"budget": 3},
    ],
)
def test_a_list_that_says_less_than_it_must_is_refused(tmp_path, changes):
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump(CONTENT | changes))
    with pytest.raises(ConfigError, match=str(path)):
        read(path)


def test_the_shipped_list_names_models_and_tasks_that_exist(composed):
    declared = read(ROOT / "results/evidence.yaml")
    assert {cell.model for cell in declared.cells} <= set(MODELS)
    long = {"persistent_memory", "flip_flop_long", "digest_and_hold"}
    for task, words in {(cell.task, cell.words[1:]) for cell in declared.cells}:
        cfg = composed("model=bmru", *words)
        name = cfg.task._target_.split(".")[2]  # lra_mru.tasks.<name>.<Class>
        assert budget_of(cfg, name) == ("long" if task in long else "quick"), task


def test_what_holds_for_one_task_is_left_out_for_others(tmp_path, monkeypatch):
    one = Identity(model="bmru", task="x", budget="quick", seed=0, config={}, config_hash="0" * 8)
    monkeypatch.setattr("lra_mru.evidence.queue.Names.of", lambda self, wanted: [one] * len(wanted))
    declared = read(ROOT / "results/evidence.yaml").narrowed(
        tasks=["delayed_mnist", "gaussian"], models=["bmru"], rates=None, seeds=None
    )
    queue = Queue(declared, ["task.mnist_dir=m", f"runs_dir={tmp_path}"], jobs=1)
    told = {cell.task: "task.mnist_dir=m" in words for cell, words in queue.words.items()}
    assert told == {"delayed_mnist": True, "gaussian": False}
