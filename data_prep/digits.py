"""Import scikit-learn's digits: 1,797 pictures of 8 x 8 with greys 0 .. 16, a small task that needs no files."""

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.common.arrow import write_image_file
from data_prep.common.checks import check_int
from data_prep.common.counter_rng import stream_key
from data_prep.common.data_set import Recipe, ensure
from data_prep.common.program import name_the_task

VERSION = 1
SIDE = 8
NUM_PICTURES = 1797


def digits_recipe(*, num_val: int, num_test: int, seed: int) -> Recipe:
    """Raises ValueError if nothing is left to train on."""
    for name, value in (("num_val", num_val), ("num_test", num_test)):
        check_int(name, value, minimum=1)
    if num_val + num_test >= NUM_PICTURES:
        raise ValueError(f"num_val={num_val}, num_test={num_test}: there are {NUM_PICTURES} pictures, some must train")
    return Recipe(
        generator="digits", version=VERSION, parameters={"num_val": num_val, "num_test": num_test, "seed": seed}
    )


def make_digits(folder: Path, recipe: Recipe) -> bool:
    """Make train.arrow, val.arrow and test.arrow, dealt out by seed, unless they are there -> whether it did."""
    num_val, num_test = recipe.parameters["num_val"], recipe.parameters["num_test"]

    def write(folder: Path) -> dict[str, Any]:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ValueError("task=digits needs scikit-learn: pip install 'lra-mru[digits]'") from error
        pictures = load_digits()
        key = stream_key("digits", recipe.parameters["seed"])
        order = np.random.Generator(np.random.SFC64(key)).permutation(NUM_PICTURES)
        parts = {"val": order[:num_val], "test": order[num_val:][:num_test], "train": order[num_val + num_test :]}
        for split, rows in parts.items():
            write_image_file(
                folder / f"{split}.arrow",
                images=pictures.images[rows].astype(np.uint8),
                labels=pictures.target[rows].astype(np.uint8),
            )
        return {"rows": {split: len(rows) for split, rows in parts.items()}}

    return ensure(folder, recipe, write)


if __name__ == "__main__":
    raise SystemExit(name_the_task("digits", ""))
