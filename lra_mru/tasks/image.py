"""image: a picture in grey, read pixel by pixel."""

from dataclasses import dataclass

from data_prep.common.arrow import read_image_file
from data_prep.image import SIDE, ImageParameters, make_image
from lra_mru.spec import TaskSpec
from lra_mru.tasks.pixels import PictureSet, check_scale, raster
from lra_mru.tasks.stored import StoredTask


@dataclass(kw_only=True, eq=False, repr=False)
class Image(StoredTask):
    """Which of ten things does a CIFAR-10 picture show, given as 1,024 grey pixels in raster order?

        x[t] = (grey - pixel_mean) / pixel_std        t = 32 row + column, grey 0 .. 255 (ITU-R 601 luma)

    Chance is 10 %. The official 10,000 test pictures stay as they are; validation is drawn from the official training
    pictures by data_seed, and pictures whose grey pixels also stand in a later split are left out of the earlier one.
    LRA feeds the grey level as one of 256 tokens; S4 and we, as a number. (The "image" of the LRU paper is in colour.)

    lra_dir:  folder that holds cifar-10-batches-bin; null: import from hub_id
    Shapes:   (B, 1024, 1) float32
    Raises:   ValueError in one line where the source is missing or has other numbers of rows than the config
    Source:   Krizhevsky (2009); Tay et al., "Long Range Arena", arXiv 2011.04006, section 2.2.4
    """

    lra_dir: str | None
    hub_id: str | None
    num_train: int
    num_val: int
    num_test: int
    pixel_mean: float
    pixel_std: float

    name = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parameters = ImageParameters(
            num_train=self.num_train,
            num_val=self.num_val,
            num_test=self.num_test,
            seed=self.data_seed,
            source=str(self.lra_dir or self.hub_id),
        )
        check_scale(self.pixel_std)
        self.folder = self.data_dir / self.parameters.recipe.folder_name()
        self.variant = f"CIFAR-10, grey, {self.num_train:,} rows"
        self.group_names = []
        self.test_sets = {"": SIDE * SIDE}
        self.spec = TaskSpec(kind="vectors", d_input=1, num_classes=10, max_length=SIDE * SIDE, chance=1 / 10)

    def prepare_data(self) -> None:
        """Import the pictures on first use, verify them on every other."""
        make_image(self.folder, self.parameters, lra_dir=self.lra_dir, hub_id=self.hub_id)

    def load(self, split: str) -> PictureSet:
        files = [read_image_file(self.folder / f"{split}.arrow")]
        return PictureSet(files, rows=None, order=raster(SIDE), mean=self.pixel_mean, std=self.pixel_std)
