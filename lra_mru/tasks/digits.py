"""digits: scikit-learn's 8 x 8 digits, for machines that have no MNIST and no network."""

from dataclasses import dataclass

from data_prep.common.arrow import read_image_file
from data_prep.digits import NUM_PICTURES, SIDE, digits_recipe, make_digits
from lra_mru.spec import TaskSpec
from lra_mru.tasks.pixels import PictureSet, check_scale, raster
from lra_mru.tasks.stored import StoredTask


@dataclass(kw_only=True, eq=False, repr=False)
class Digits(StoredTask):
    """Which digit does a picture of 8 x 8 show, read pixel by pixel? A task of its own: scores say nothing of MNIST.

        x[t] = (grey - pixel_mean) / pixel_std        t = 8 row + column, grey 0 .. 16

    Chance is 10 %. The 1,797 pictures have no official split: data_seed deals out num_val, num_test and the rest.

    Shapes:  (B, 64, 1) float32
    Raises:  ValueError in one line where scikit-learn is not installed
    Source:  Alpaydin, Kaynak, UCI optical recognition of handwritten digits, test half; sklearn.datasets.load_digits
    """

    num_val: int
    num_test: int
    pixel_mean: float
    pixel_std: float

    name = "digits"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_scale(self.pixel_std)
        self.recipe = digits_recipe(num_val=self.num_val, num_test=self.num_test, seed=self.data_seed)
        self.folder = self.data_dir / self.recipe.folder_name()
        self.variant = f"8 x 8, {NUM_PICTURES - self.num_val - self.num_test:,} rows"
        self.group_names = []
        self.test_sets = {"": SIDE**2}
        self.spec = TaskSpec(kind="vectors", d_input=1, num_classes=10, max_length=SIDE**2, chance=1 / 10)

    def prepare_data(self) -> None:
        """Import the pictures on first use, verify them on every other."""
        make_digits(self.folder, self.recipe)

    def load(self, split: str) -> PictureSet:
        files = [read_image_file(self.folder / f"{split}.arrow")]
        return PictureSet(files, rows=None, order=raster(SIDE), mean=self.pixel_mean, std=self.pixel_std)
