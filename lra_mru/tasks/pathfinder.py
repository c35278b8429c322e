"""pathfinder: does a dashed line join two discs?"""

from dataclasses import dataclass

from data_prep.common.checks import check_int
from data_prep.common.program import Clock
from data_prep.pathfinder import PathfinderParameters, make_pathfinder, read_images
from lra_mru.spec import TaskSpec
from lra_mru.tasks.pixels import PictureSet, check_scale, raster
from lra_mru.tasks.stored import StoredTask


@dataclass(kw_only=True, eq=False, repr=False)
class Pathfinder(StoredTask):
    """Are the two discs in a picture of dashed lines joined by one of them? Read in raster order.

        x[t] = (grey - pixel_mean) / pixel_std        t = size row + column, grey 0 .. 255; by_row: x[t] is row t
        target: 1 if both discs stand on one line, 0 if each ends a line of its own

    Chance is 50 %, and no pixel tells more: a linear classifier on all of them stays there (tested). The pictures are
    generated (data_prep/pathfinder/make.py), as is which split they stand in: no picture can stand in two.

    size, contour:  pixels a side, and dashes of a line: 32 and 14 is the Long Range Arena's task
    clean:          mend the official program's accidents, which data_prep/pathfinder/make.py lists
    Shapes:         (B, size^2, 1) float32; by_row: (B, size, size)
    Source:         Linsley et al., arXiv 1805.08315; Tay et al., "Long Range Arena", arXiv 2011.04006, section 2.2.5
    """

    size: int
    contour: int
    clean: bool
    by_row: bool
    num_train: int
    num_val: int
    num_test: int
    pixel_mean: float
    pixel_std: float

    name = "pathfinder"

    def __post_init__(self) -> None:
        super().__post_init__()
        for size in ("num_train", "num_val", "num_test"):
            check_int(size, getattr(self, size), minimum=1)
        check_scale(self.pixel_std)
        self.parameters = PathfinderParameters(
            train=self.num_train,
            val=self.num_val,
            test=self.num_test,
            seed=self.data_seed,
            size=self.size,
            contour=self.contour,
            clean=self.clean,
            format="arrow",
        )
        self.folder = self.data_dir / self.parameters.recipe.folder_name()
        kind = (", clean" if self.clean else "") + (", row by row" if self.by_row else "")
        self.variant = f"{self.size} x {self.size}, {self.contour} dashes{kind}, {self.num_train:,} pictures"
        self.group_names = []
        self.order = raster(self.size, by_row=self.by_row)
        length, d_input = self.order.shape
        self.test_sets = {"": length}
        self.spec = TaskSpec(kind="vectors", d_input=d_input, num_classes=2, max_length=length, chance=1 / 2)

    def prepare_data(self) -> None:
        """Draw the pictures on first use, verify them on every other."""
        make_pathfinder(self.folder, self.parameters, workers=1, clock=Clock())

    def load(self, split: str) -> PictureSet:
        files = read_images(self.folder, split)
        return PictureSet(files, rows=None, order=self.order, mean=self.pixel_mean, std=self.pixel_std)
