"""Names that several tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lra_mru.spec import TaskSpec

ROOT = Path(__file__).parents[1]
MODELS = sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml"))
TASKS = sorted(path.stem for path in (ROOT / "conf/task").glob("*.yaml"))
TOKENS = TaskSpec(kind="tokens", vocab_size=11, num_classes=5, max_length=40, chance=0.2)

TINY_COPY = (  # a run of copy_first that takes a second
    "task=copy_first",
    "budget=quick",
    "task.T=8",
    "task.batch_size=8",
    "task.num_val=32",
    "task.num_test=40",
    "task.eval_lengths=[16,30]",
    "task.eval_examples=[12,5]",
    "task.val_lengths=[]",
    "task.val_examples=[]",
    "model.d_model=16",
    "model.depth=2",
    "model.block_params=40",
    "trainer.max_steps=20",
    "budget.val_every_steps=5",
    "trainer.accelerator=cpu",
)


def without_clock(record: dict[str, Any]) -> dict[str, Any]:
    """What two runs of one config and seed must share to the last bit, whatever happened to them on the way."""
    clock = ("throughput", "memory", "energy", "wall_s", "finished_at", "attempt", "resumes", "git")
    return {key: value for key, value in record.items() if key not in clock}


NO_FURTHER_SETS: dict[str, Any] = {"eval_lengths": [], "eval_examples": [], "val_lengths": [], "val_examples": []}
GENERATED = {"T": 20, "num_val": 8, "num_test": 8} | NO_FURTHER_SETS
COLLECTED = {"lra_dir": "lra", "num_train": 40, "num_val": 10, "num_test": 20}  # as lra_layout.write_lra makes them
PICTURES = {"size": 16, "contour": 3, "num_train": 44, "num_val": 5, "num_test": 5}
TINY_TASKS: dict[str, dict[str, Any]] = {  # settings at which a task is made and loaded in well under a second
    **dict.fromkeys(["copy_first", "copy", "selective_copy", "induction_heads", "flip_flop", "adding"], GENERATED),
    **dict.fromkeys(["copy_value", "denoising"], GENERATED),
    "parity": GENERATED | {"T": 12},
    "state_tracking": GENERATED,
    "listops": {"num_train": 20, "num_val": 5, "num_test": 5, "min_length": 5, "max_length": 20},
    "image": COLLECTED,
    "text": COLLECTED | {"max_length": 40},
    "retrieval": COLLECTED | {"max_length": 40},
    "pathfinder": PICTURES,
    "pathx": PICTURES | {"clean": True},
    "smnist": {"mnist_dir": "mnist", "num_val": 10, "by_row": True},
    "psmnist": {"mnist_dir": "mnist", "num_val": 10},
    "delayed_mnist": {"mnist_dir": "mnist", "num_val": 10, "T": 9, "num_test": 20} | NO_FURTHER_SETS,
    "digits": {},
}


def assert_refused_in_one_line(
    main: Callable[[list[str]], int], arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program called with wrong arguments ends with status 2 and one line that holds `says`."""
    try:
        status: object = main(arguments)
    except SystemExit as stop:
        status = stop.code
    message = capsys.readouterr().err
    assert status == 2
    assert says in message
    assert message.count("\n") == 1
