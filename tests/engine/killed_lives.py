"""A program: one run that is SIGKILLed again and again, each life a forked child of one warm parent, then a last life.

python killed_lives.py FOLDER SEED      prints one line of JSON: where each life was killed
"""

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # nothing in the parent may start a thread before it forks

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

sys.path[:0] = map(str, Path(__file__).parents[1:3])
from support import ROOT, TINY_COPY

from lra_mru import files
from lra_mru.engine import run
from lra_mru.engine.recording import record
from lra_mru.engine.saving import checkpoint_files
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.engine.saving.checkpoints import Checkpoints
from lra_mru.engine.training.module import SequenceClassifier

NUM_STEPS, KILLS = 36, 10
EVENTS: list[tuple[Any, str]] = [  # what a life does, before each of which it may die
    (SequenceClassifier, "training_step"),
    (SequenceClassifier, "configure_gradient_clipping"),  # after backward
    (SequenceClassifier, "on_train_batch_end"),  # after the optimizer
    (SequenceClassifier, "on_validation_epoch_end"),
    (SequenceClassifier, "test_step"),
    (SequenceClassifier, "on_test_epoch_end"),
    (Checkpoints, "save"),
    (checkpoint_files, "save"),
    (files, "sync_folder"),  # the new file has its name
    (files, "write_whole"),
    (Path, "replace"),  # between the two renames of a checkpoint
    (Path, "unlink"),
    (os, "fsync"),  # half of a file is there
    (Attempt, "note"),
    (record, "write_record"),
]


def config(folder: Path, minutes: float) -> DictConfig:
    places = [f"{key}_dir={folder / key}" for key in ("results", "data", "runs")]
    changes = [
        f"trainer.max_steps={NUM_STEPS}",
        "model.dropout=0.3",
        "task.T=2",
        "optim.lr=0.02",
        f"checkpoint_minutes={minutes}",
    ]
    cfg = compose("train", overrides=["model=bmru", *TINY_COPY, *changes, *places], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def arm(step: int, events: int) -> None:
    """This process SIGKILLs itself so many events after it has begun the step; at NUM_STEPS, after it began to test."""
    left: list[int | None] = [None]

    def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if left[0] is None:
                begins = name == "training_step" and arguments[0].global_step == step
                if begins or (name == "test_step" and step == NUM_STEPS):
                    left[0] = events
            elif left[0] == 0:
                os.write(1, f"killed before {name}, step {step}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                left[0] -= 1
            return original(*arguments, **named)

        return call

    for owner, name in EVENTS:
        setattr(owner, name, watched(name, getattr(owner, name)))


def live(cfg: DictConfig, death: tuple[int, int] | None) -> int:
    """One life in a child; its wait status."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1]
    if death:
        arm(*death)
    run.run(cfg, model_name="bmru", task_name="copy_first")
    os._exit(0)


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    rng = random.Random(seed)
    steps = [*sorted(rng.sample(range(NUM_STEPS), KILLS - 2)), NUM_STEPS, NUM_STEPS]
    deaths = [(step, rng.randrange(12)) for step in steps]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfgs = [config(folder / "killed", minutes) for minutes in (0, 10)]
        unbroken = config(folder / "unbroken", 10)
    assert live(unbroken, None) == 0
    statuses = [live(rng.choice(cfgs), death) for death in deaths]
    statuses.append(live(cfgs[1], None))
    print(json.dumps({"deaths": deaths, "statuses": statuses}))


if __name__ == "__main__":
    main()
