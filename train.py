"""python train.py model=bmru task=listops budget=quick seed=0: see conf/ for everything that can be said."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from lra_mru.engine import cli
from lra_mru.report import write_leaderboard


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    if record := cli.train(cfg):
        print(f"record: {record}\nleaderboard: {write_leaderboard(Path(cfg.results_dir))}")


if __name__ == "__main__":
    cli.launch(main)
