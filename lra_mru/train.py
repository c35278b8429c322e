"""The program behind `python train.py` and `lra-train`: one run, or several with -m. conf/ holds every choice."""

import os
from pathlib import Path

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # before torch: beside another job, spinning threads halve the speed

import hydra
from omegaconf import DictConfig

from lra_mru.engine import cli
from lra_mru.engine.console import say
from lra_mru.engine.errors import RunError
from lra_mru.places import CONF


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def train(cfg: DictConfig) -> None:
    if record := cli.train(cfg):
        from lra_mru.report import write_leaderboard

        say(f"record: {record}")
        try:
            say(f"leaderboard: {write_leaderboard(Path(cfg.results_dir))}")
        except (ValueError, OSError) as error:
            cli.fail(RunError(f"the record is safe, the leaderboard is not written: {error}"))


def main() -> None:
    cli.launch(train)


if __name__ == "__main__":
    main()
