"""Every key of a sweep file is honoured, or refused by name."""

from pathlib import Path

import pytest
import yaml
from support import ROOT

from lra_mru.engine.errors import ConfigError
from lra_mru.engine.sweep.file import Halving, read_sweep

GOOD = {
    "program": "train.py",
    "command": ["${env}", "${interpreter}", "${program}", "logger=wandb", "budget=quick", "${args_no_hyphens}"],
    "method": "random",
    "metric": {"name": "val/acc", "goal": "maximize"},
    "parameters": {"model": {"values": ["bmru", "lru"]}},
}


@pytest.fixture
def read(tmp_path):
    def write_and_read(**changes):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in (GOOD | changes).items() if v is not None}))
        return read_sweep(path)

    return write_and_read


def test_a_good_file_is_read_whole(read):
    sweep = read(run_cap=7, project="p", early_terminate={"type": "hyperband", "min_iter": 2})
    assert (sweep.name, sweep.method, sweep.metric.name, sweep.run_cap) == ("mine", "random", "val/acc", 7)
    assert sweep.overrides == ["budget=quick"]  # a trial of ours is no run on a W&B server
    assert sweep.halving == Halving(2, 3)


def test_hyperband_counted_from_its_end_is_the_same_bracket(read):
    assert read(early_terminate={"type": "hyperband", "max_iter": 36, "s": 2, "eta": 3}).halving == Halving(4, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paramters": {}}, "paramters: there is no such key; did you mean parameters"),
        ({"scheduler": {"engine": "ax"}}, "scheduler: sweep.py has no such thing"),
        ({"metrics": []}, "metrics: .* give --objectives"),
        ({"method": "custom"}, "method=custom must be one of grid, random, bayes"),
        ({"metric": None}, "metric.name is missing"),
        ({"metric": {"name": "val/acc"}}, "metric.goal=None must be maximize"),
        ({"metric": {"name": "val/acc", "goal": "minimize"}}, "metric.goal=minimize must be maximize"),
        ({"metric": {"name": "test/acc", "goal": "maximize"}}, "selection is on validation"),
        ({"metric": {"name": "val/ac", "goal": "maximize"}}, "did you mean val/acc"),
        (
            {"metric": {"name": "val/acc", "goal": "maximize", "impute": "best"}},
            "metric.impute: Optuna imputes nothing",
        ),
        ({"parameters": {}}, "parameters: there must be at least one"),
        ({"method": "grid", "parameters": {"optim.lr": {"min": 0.1, "max": 1}}}, "parameters.optim.lr: method=grid"),
        (
            {"method": "grid", "parameters": {"seed": {"min": 0, "max": 10**9}}},
            "a grid of 1,000,000,001 values; at most",
        ),
        ({"method": "grid", "parameters": {k: {"min": 1, "max": 200} for k in ("a", "b")}}, "a grid of 40,000 points"),
        ({"run_cap": 0}, "run_cap=0 must be an integer of at least 1"),
        ({"early_terminate": {"type": "median"}}, "early_terminate.type must be hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "needs min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "strict": False}}, "strict=False: Optuna halves"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1.5}}, "early_terminate.eta=1.5"),
        ({"command": ["${env}", "${program}", "${args}"]}, "command must hold"),
        ({"command": ["${args_no_hyphens}", "${args_json}"]}, "command: ..args_json. cannot be had here"),
        ({"program": "other.py"}, "program=other.py must be train.py"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(read, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(**changes)
    assert "mine.yaml: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_the_nearest(tmp_path):
    (tmp_path / "memory.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"memry.yaml cannot be read .*; did you mean .*/memory.yaml"):
        read_sweep(tmp_path / "memry.yaml")


def test_a_shipped_sweep_is_found_by_its_name_alone(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=r"memory.yaml cannot be read .*; did you mean sweeps/memory.yaml"):
        read_sweep(Path("memory.yaml"))
