"""ListOps: evaluate a nested list of MIN, MAX, MED and SM (sum mod 10) over digits."""

from dataclasses import dataclass, replace
from typing import cast

from data_prep.common.checks import check_int
from data_prep.common.program import Clock
from data_prep.listops import ListOpsParameters, make_listops
from data_prep.listops.generate import MIN, OPERATORS, TOKENS
from data_prep.listops.shortcuts import shortcut_floors
from lra_mru.spec import Batch, TaskSpec
from lra_mru.tasks.stored import StoredTask, TokenSet


class ListOpsSet(TokenSet):
    """Trees as tokens; the group of a row is its root operator."""

    def __getitems__(self, rows: list[int]) -> Batch:
        batch = super().__getitems__(rows)
        return replace(batch, groups=batch.inputs[:, 0] - MIN)


@dataclass(kw_only=True, eq=False, repr=False)
class ListOps(StoredTask):
    """Value of a nested list, 0 .. 9, e.g. [MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ] = 5.

    15 tokens (data_prep/listops/generate.py): digits 0 .. 9 are ids 0 .. 9, [MIN 10, [MAX 11, [MED 12, [SM 13, ] 14.
    No token means padding: lengths alone do. Parentheses of the official text add nothing and are left out, as every
    published loader does. Groups: the root operator.

    Chance is 10 %, always answering the commonest value 17 %, and reading the root operator alone 36 % (official
    lengths): what lies above is memory of open lists.

    Shapes:  (B, L) int64, min_length < L < max_length
    Source:  Nangia, Bowman, "ListOps", arXiv 1804.06028; Tay et al., "Long Range Arena", arXiv 2011.04006
    """

    num_train: int
    num_val: int
    num_test: int
    min_length: int
    max_length: int
    max_depth: int
    max_args: int

    name = "listops"

    def __post_init__(self) -> None:
        super().__post_init__()
        for size in ("num_train", "num_val", "num_test"):
            check_int(size, getattr(self, size), minimum=1)
        self.parameters = ListOpsParameters(
            train=self.num_train,
            val=self.num_val,
            test=self.num_test,
            seed=self.data_seed,
            min_length=self.min_length,
            max_length=self.max_length,
            max_depth=self.max_depth,
            max_args=self.max_args,
            format="arrow",
        )
        if self.batch_size > self.num_train:
            raise ValueError(f"batch_size={self.batch_size} must be at most num_train={self.num_train}")
        self.folder = self.data_dir / self.parameters.recipe.folder_name()
        self.variant = (
            f"length {self.min_length}-{self.max_length}, depth {self.max_depth}, 2-{self.max_args} arguments, "
            f"{self.num_train:,} rows"
        )
        self.group_names = OPERATORS
        self.test_sets = {"": self.max_length - 1}
        self.spec = TaskSpec(
            kind="tokens", vocab_size=len(TOKENS), num_classes=10, max_length=self.max_length - 1, chance=1 / 10
        )

    def prepare_data(self) -> None:
        """Make the data set on first use, verify it on every other."""
        make_listops(self.folder, self.parameters, workers=1, clock=Clock())

    def load(self, split: str) -> ListOpsSet:
        return ListOpsSet(self.folder / f"{split}.arrow")

    def floors(self) -> dict[str, float]:
        train, test = (cast(ListOpsSet, self.splits[split]) for split in ("train", "test"))
        shortcuts = shortcut_floors(
            train=(train.tokens, train.offsets, train.labels), test=(test.tokens, test.offsets, test.labels)
        )
        return {"chance": self.spec.chance} | shortcuts
