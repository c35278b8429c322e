"""retrieval: do two papers belong together, each read byte by byte on its own?"""

from dataclasses import dataclass

from data_prep.retrieval import RetrievalParameters, make_retrieval
from lra_mru.spec import TaskSpec
from lra_mru.tasks.stored import PairSet, StoredTask


@dataclass(kw_only=True, eq=False, repr=False)
class Retrieval(StoredTask):
    """Is there a citation between two papers of the ACL Anthology Network, given the first max_length bytes of each?

    Both go through one model, and only the two pooled vectors meet (PairHead): what a paper is about must survive its
    whole length. Chance is 50 %. Splits are the official ones; pairs that also stand in a later split, in either
    order, are left out of the earlier one (a paper may stand in pairs of several splits, as in LRA).

    lra_dir:  folder that holds tsv_data; null: import from hub_id, columns text1, text2, label
    Shapes:   (2B, L) int64, L <= max_length, pairs in rows 2i and 2i + 1
    Raises:   ValueError in one line where the source is missing, damaged (file and line named), or has other numbers of
              rows than the config
    Source:   Radev et al. (2013); Tay et al., "Long Range Arena", arXiv 2011.04006, section 2.2.3
    """

    lra_dir: str | None
    hub_id: str | None
    num_train: int
    num_val: int
    num_test: int
    max_length: int

    name = "retrieval"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parameters = RetrievalParameters(
            num_train=self.num_train,
            num_val=self.num_val,
            num_test=self.num_test,
            max_length=self.max_length,
            source=str(self.lra_dir or self.hub_id),
        )
        self.folder = self.data_dir / self.parameters.recipe.folder_name()
        self.variant = f"AAN, 2 x {self.max_length:,} bytes, {self.num_train:,} rows"
        self.group_names = []
        self.test_sets = {"": self.max_length}
        self.spec = TaskSpec(
            kind="tokens", vocab_size=256, num_classes=2, max_length=self.max_length, pairs=True, chance=1 / 2
        )

    def prepare_data(self) -> None:
        """Import the pairs on first use, verify them on every other."""
        make_retrieval(self.folder, self.parameters, lra_dir=self.lra_dir, hub_id=self.hub_id)

    def load(self, split: str) -> PairSet:
        return PairSet(self.folder / f"{split}.arrow", self.folder / "documents.arrow")
