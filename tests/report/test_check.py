"""report --check: a record from outside that can join, and every reason why one cannot."""

import copy
import json
import sys

import pytest
import yaml
from support import ROOT

from lra_mru.records.digest import as_text
from lra_mru.records.naming import name_of
from lra_mru.report import faults as faults_module
from lra_mru.report.__main__ import main

STEPS = yaml.safe_load((ROOT / "conf/protocol/copy_first_quick.yaml").read_text())["budget"]["steps"]
CONFIG = {
    "budget": {"name": "quick", "steps": STEPS, "val_every_steps": 100},
    "model": {"d_model": 64},
    "task": {"T": 300, "data_seed": 0, "num_test": 2000, "eval_lengths": [3000], "eval_examples": [256]},
    "trainer": {},
}
FURTHER = {"test/acc@3000": 0.5, "test/num_examples@3000": 256, "test/loss": 0.1, "val/acc": 1.0}


@pytest.fixture
def outside(tmp_path, write_record, results):
    """outside(seed=1, ...) -> the path of a record that somebody sends; keywords replace fields, dots go deeper."""

    def write(where="sent", **changes):
        deeper = {key: changes.pop(key) for key in list(changes) if "." in key}
        path = write_record(
            **{"config": CONFIG, "config_hash": name_of(CONFIG), "metrics": FURTHER, "name_rule": 2, "best_step": STEPS}
            | {"steps": STEPS, "git": {"commit": "0" * 40, "dirty": False}, "versions": {"torch": "2.13"}}
            | {"weights_sha256": "a" * 64, "best_weights_sha256": "b" * 64}
            | changes
        )
        raw = copy.deepcopy(json.loads(path.read_text()))
        for key, value in deeper.items():
            node = raw
            *parents, last = key.split(".")
            for name in parents:
                node = node[name]
            node[last] = value
        path.unlink()
        path = tmp_path / where / path.relative_to(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(raw))
        return path

    return write


@pytest.fixture
def check(monkeypatch, capsys, results):
    """check(paths) -> exit status and lines. Every commit but that of ones is known."""
    monkeypatch.setattr(faults_module, "_is_known", lambda commit: commit != "1" * 40)

    def run(*paths, into=results):
        monkeypatch.setattr(sys, "argv", ["report", "--results", str(into), "--check", *map(str, paths)])
        status = main()
        return status, capsys.readouterr().out.splitlines()

    return run


def test_a_record_of_a_whole_run_can_join(outside, check, results):
    path = outside()
    assert check(path) == (0, [f"can join     {path}: bmru on copy_first, seed 0"])
    assert check(path.parents[3]) == check(path.parents[4]) == check(path)  # its folder runs/, or any above it
    assert not [left for left in results.rglob("*") if left.is_file()]  # nothing is written


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 9}, "schema 9, this report reads 1 and 2"),
        ({"config_hash": "0badcafe"}, f"its config has the hash {name_of(CONFIG)}, not 0badcafe"),
        ({"name_rule": 7}, "name_rule=7 is none that this version knows"),
        ({"git": None}, "it names no commit"),
        ({"git": {"commit": "0" * 40, "dirty": True}}, "made by code that differs from its commit (git: dirty)"),
        ({"git": {"commit": "1" * 40, "dirty": False}}, "commit 111111111111 is none of this repository"),
        ({"git": {"commit": "--help", "dirty": False}}, "commit --help is none of this repository"),
        ({"versions": {}}, "with which version of torch"),
        ({"weights_sha256": "none"}, "weights_sha256 is no SHA-256 of weights"),
        ({"budget": "custom"}, "its budget is custom"),
        ({"budget": "full"}, "budget=full, its config says quick"),
        ({"steps": STEPS - 1, "best_step": 1}, f"it took {STEPS - 1} steps, its budget has {STEPS}"),
        ({"best_step": STEPS + 1}, f"best_step={STEPS + 1} is no step of {STEPS}"),
        ({"metrics.test/acc": 1.5}, "test/acc=1.5 must be between 0 and 1"),
        ({"metrics.test/acc": 0.99999}, "test/acc=0.99999 is no share of 2000 examples"),
        ({"metrics.test/num_examples": 1000}, "test/acc has 1000 test examples, its config asks for 2000 sequences"),
        ({"metrics.test/num_examples": 2000.5}, "test/num_examples is no whole number"),
        ({"metrics.test/acc@9": 1, "metrics.test/num_examples@9": 5}, "asks for other test sets: test/acc@9"),
        ({"metrics.test/loss": -1}, "test/loss=-1 must be at least 0"),
        ({"metrics.test/seq_acc": 2}, "test/seq_acc=2 must be between 0 and 1"),
        ({"floors": {}}, "floors do not say what chance gives"),
        ({"num_params": 0}, "num_params=0 must be at least 1"),
        ({"config.task": 5}, "config/task=5 must hold names and values"),
        ({"config.task": {"eval_lengths": 5}}, "config/task/eval_lengths=5 must be a list of integers"),
        ({"config.budget": "text"}, "config/budget='text' must hold names and values"),
    ],
)
def test_every_reason_is_told_in_one_line(outside, check, changes, reason):
    status, (line,) = check(outside(**changes))
    assert status == 1
    assert line.startswith("cannot join  ")
    assert reason in line


def test_an_edited_a_cut_and_an_undigested_record_cannot_join(outside, check):
    path = outside()
    whole = path.read_text()
    for text, reason in [
        (whole.replace('"test/acc": 1.0', '"test/acc": 0.75'), "its content is not what was written"),
        (whole.replace("a" * 64, "c" * 64), "its content is not what was written"),  # metrics of other weights
        (whole[:300], "not a readable record"),
        (json.dumps({k: v for k, v in json.loads(whole).items() if k != "content_sha256"}), "it has no digest"),
    ]:
        path.write_text(text)
        status, (line,) = check(path)
        assert (status, reason in line) == (1, True), line


def test_what_is_there_already_and_what_does_not_fit_it(outside, check, tmp_path):
    here = tmp_path / "here/results"
    first = outside("here")
    assert check(first, into=here)[0] == 0  # not its own duplicate
    for changes, reason in [
        ({"seed": 0}, f"seed 0 of this configuration is in {here} already"),
        ({"seed": 1, "variant": "another, T = 300"}, "variant differs from that of seed 0"),
        ({"seed": 1, "floors": {"chance": 0.5}}, "its floors {'chance': 0.5} differ from {'chance': 0.125}"),
    ]:
        status, (line,) = check(outside(**changes), into=here)
        assert (status, reason in line) == (1, True), line
    copied = outside("again", seed=2)
    status, (one, two) = check(outside(seed=1), copied, into=here)
    assert (status, one[:8], "its weights are those of seed 1" in two) == (1, "can join", True)


def test_a_path_without_records_is_one_line(check, tmp_path, capsys):
    for path, says in [(tmp_path / "nowhere", "there is no such file"), (tmp_path, "no record at or below it")]:
        with pytest.raises(SystemExit) as stop:
            check(path)
        assert stop.value.code == 2
        line = capsys.readouterr().err
        assert says in line
        assert line.count("\n") == 1
