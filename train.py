"""python train.py model=bmru task=listops budget=quick seed=0: see conf/ for everything that can be said."""

import os
from pathlib import Path

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # before torch: beside another job, spinning threads halve the speed

import hydra
from omegaconf import DictConfig

from lra_mru.engine import cli
from lra_mru.engine.errors import RunError


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    if record := cli.train(cfg):
        from lra_mru.engine.console import say
        from lra_mru.report import write_leaderboard

        say(f"record: {record}")
        try:
            say(f"leaderboard: {write_leaderboard(Path(cfg.results_dir))}")
        except (ValueError, OSError) as error:
            cli.fail(RunError(f"the record is safe, the leaderboard is not written: {error}"))


if __name__ == "__main__":
    cli.launch(main)
