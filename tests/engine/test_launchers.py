"""Four runs at once through engines of other people: pip install 'lra-mru[slurm,ray]', python -m pytest -m slow."""

import json
import os
import subprocess
import sys

import pytest
from support import ROOT, TINY_COPY


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local_jobs", "ray"])
def test_a_multirun_of_four_gives_four_records_in_folders_of_their_own(tmp_path, launcher):
    command = [sys.executable, ROOT / "train.py", "-m", f"hydra/launcher={launcher}", "model=bmru,lru", "seed=0,1"]
    places = [f"results_dir={tmp_path / 'records'}", f"runs_dir={tmp_path / 'runs'}"]  # not cwd/results: custom budgets
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *TINY_COPY, *places], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("records/runs/**/seed*.json")]
    assert sorted((r["model"], r["seed"]) for r in records) == [("bmru", 0), ("bmru", 1), ("lru", 0), ("lru", 1)]
    assert len(list(tmp_path.glob("runs/copy_first/*/seed*/attempt1"))) == 4
    page = (tmp_path / "records" / "leaderboard.md").read_text()
    assert page.count("n = 2") >= 2


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_trainers_of_many_gpus_compose_and_say_what_they_are(composed, trainer):
    cfg = composed(f"trainer={trainer}", "trainer.num_nodes=2")
    assert (cfg.trainer.accelerator, cfg.trainer.devices, cfg.trainer.num_nodes) == ("gpu", -1, 2)
    assert cfg.trainer.strategy._target_ == f"pytorch_lightning.strategies.{trainer.upper()}Strategy"
    assert cfg.trainer.max_steps == cfg.budget.steps
