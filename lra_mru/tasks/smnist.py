"""smnist: a handwritten digit, pixel by pixel or row by row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.common.arrow import read_image_file
from data_prep.common.checks import check_int
from data_prep.common.counter_rng import stream_key
from data_prep.common.program import Clock
from data_prep.mnist import SIDE, make_mnist, recipe
from lra_mru.spec import TaskSpec
from lra_mru.tasks.pixels import PictureSet, check_scale, raster
from lra_mru.tasks.stored import StoredTask

NUM_TRAIN = 60_000  # official training pictures


@dataclass(kw_only=True, eq=False, repr=False)
class SMnist(StoredTask):
    """Which digit does an MNIST picture show, read in raster order?

        x[t] = (grey - pixel_mean) / pixel_std        t = 28 row + column, grey 0 .. 255; by_row: x[t] is row t

    Chance is 10 %, the commonest digit 11.35 %. The official 10,000 test pictures are the test set, untouched;
    num_val of the official 60,000 training pictures, drawn by data_seed, validate. No two of the 70,000 are alike.

    mnist_dir:  folder with the four official files, plain or .gz; null: import from hub_id. Needed on first use alone
    Shapes:     (B, 784, 1) float32; by_row: (B, 28, 28)
    Raises:     ValueError in one line where the source is missing, or not the official one to the last byte
    Source:     Le, Jaitly, Hinton, arXiv 1504.00941; LeCun, Cortes, Burges, the MNIST database
    """

    mnist_dir: str | None
    hub_id: str | None
    by_row: bool
    num_val: int
    pixel_mean: float
    pixel_std: float

    name = "smnist"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("num_val", self.num_val, minimum=1)
        if self.num_val >= NUM_TRAIN:
            raise ValueError(f"num_val={self.num_val} must be below {NUM_TRAIN}: some must train")
        check_scale(self.pixel_std)
        self.folder = self.data_dir / recipe().folder_name()
        order = self.order()
        self.variant = self.label()
        self.group_names = []
        self.test_sets = {"": len(order)}
        self.spec = TaskSpec(
            kind="vectors", d_input=order.shape[1], num_classes=10, max_length=len(order), chance=1 / 10
        )

    def order(self) -> NDArray[np.int64]:
        """Pixels of each step, by their number in raster order: (L, d_input)."""
        return raster(SIDE, by_row=self.by_row)

    def label(self) -> str:
        """The settings that make it another task."""
        return "row by row" if self.by_row else "pixel by pixel"

    def prepare_data(self) -> None:
        """Import the pictures on first use, verify them on every other."""
        make_mnist(self.folder, mnist_dir=self.mnist_dir, hub_id=self.hub_id, clock=Clock())

    def load(self, split: str) -> PictureSet:
        files = [read_image_file(self.folder / ("test.arrow" if split == "test" else "train.arrow"))]
        shuffled = np.random.Generator(np.random.SFC64(stream_key("mnist", self.data_seed))).permutation(NUM_TRAIN)
        rows = {"train": np.sort(shuffled[self.num_val :]), "val": np.sort(shuffled[: self.num_val]), "test": None}
        return PictureSet(files, rows=rows[split], order=self.order(), mean=self.pixel_mean, std=self.pixel_std)
