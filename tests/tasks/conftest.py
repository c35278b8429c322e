"""delayed_mnist on a few pictures, for the tests of tasks."""

from collections.abc import Callable, Iterator

import pytest
from mnist_files import write_mnist

from lra_mru.tasks.delayed_mnist import DelayedMnist

COMMON = {"seed": 0, "data_seed": 0, "batch_size": 16, "eval_batch_tokens": 4096, "num_workers": 0, "num_val": 20}
PIXELS = {"hub_id": None, "by_row": True, "pixel_mean": 0.0, "pixel_std": 255.0}
TESTS = {"T": 30, "num_test": 30, "eval_lengths": [0, 75], "eval_examples": [30, 7]}
SETTING = COMMON | PIXELS | TESTS | {"val_lengths": [50], "val_examples": [12], "noise": "gaussian", "noise_std": 0.1}


@pytest.fixture(scope="module")
def delayed_mnist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., DelayedMnist]]:
    """delayed_mnist(T=5, ...) -> that task, its data made."""
    folder = tmp_path_factory.mktemp("delayed")
    patch = pytest.MonkeyPatch()
    source = write_mnist(folder / "mnist", patch)

    def make(**changes: object) -> DelayedMnist:
        task = DelayedMnist(**(SETTING | {"data_dir": folder / "data", "mnist_dir": str(source)} | changes))
        task.prepare_data()
        task.setup("fit")
        return task

    yield make
    patch.undo()
