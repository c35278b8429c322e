"""delayed_mnist: a handwritten digit, to be named after a delay of noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.common.checks import check_int
from data_prep.common.counter_rng import stream_key
from lra_mru.spec import TaskSpec
from lra_mru.tasks.delay import NOISES, DelayedSet, EvalPlan, Noise, Plan, TrainPlan
from lra_mru.tasks.further import further_sets
from lra_mru.tasks.limits import check_batch
from lra_mru.tasks.pixels import PictureSet
from lra_mru.tasks.sampling import Rows
from lra_mru.tasks.smnist import SMnist

UNBOUNDED = 2**62  # training rows: a picture is another row at every step
CHUNK_ROWS = 4096  # pictures looked at together for the floor


@dataclass(kw_only=True, eq=False, repr=False)
class DelayedMnist(SMnist):
    """Which digit does an MNIST picture show, read first and asked for K steps later?

        x[t] = row t of the picture, (grey - pixel_mean) / pixel_std      for t < P      P = 28; 784 pixel by pixel
        x[t] = noise                                                      for t = P .. P + K - 1
        zeros:     black rows;     gaussian:  black + noise_std N(0, I);
        digits:    the rows of other pictures of the same split, drawn at random, one picture after the other

    To digest the picture is work for fading memory; to hold the answer through K steps, for persistent memory. In
    training, K ~ U{0 .. T}: one K for all rows of a step, a pure function of (seed, step), so that nothing is padded
    and no length tells a class. Half of the validation rows have K = 0, the others K = T: both choose the checkpoint.
    The test has one K for each set. Chance is 10 %. Floor order_blind: the nearest class mean of the sum of a picture's
    steps, which is all that a memory keeps that adds up and forgets no step and no order.

    T:              longest delay K in training, and the delay of the test set, in steps
    num_test:       official test pictures in the test set, drawn by data_seed
    eval_lengths:   K of the further test sets, recorded as test/acc@K; each has the first of the same test pictures
    eval_examples:  pictures of each
    val_lengths:    K of the further validation sets, recorded as val/acc@K
    val_examples:   pictures of each
    noise:          zeros | gaussian | digits
    noise_std:      standard deviation of gaussian noise, in units of x
    Shapes:         (B, 28 + K, 28) float32; by_row=false: (B, 784 + K, 1)
    Raises:         ValueError as SMnist, and where a set asks for more pictures than there are
    Source:         sequential line-MNIST with black lines after the picture: Vecoven, Ernst, Drion, arXiv 2006.05252
                    (there pixel by pixel as well, and a fixed number of zeros). Ours: noise, a drawn
                    delay, longer tests
    """

    T: int
    noise: str
    noise_std: float
    num_test: int
    eval_lengths: Sequence[int]
    eval_examples: Sequence[int]
    val_lengths: Sequence[int]
    val_examples: Sequence[int]

    name = "delayed_mnist"

    def __post_init__(self) -> None:
        check_int("T", self.T, minimum=1)
        check_int("num_test", self.num_test, minimum=1)
        if self.noise not in NOISES:
            raise ValueError(f"noise={self.noise!r} must be one of {', '.join(NOISES)}")
        if not 0 < self.noise_std < np.inf:
            raise ValueError(f"noise_std={self.noise_std} must be above 0; use noise=zeros for none")
        super().__post_init__()
        self._tests = {"": (self.T, self.num_test)}  # suffix -> delay, rows
        check_batch(self.T, self.batch_size)
        self._tests |= further_sets("eval", self.eval_lengths, self.eval_examples, minimum=0)
        self._vals = further_sets("val", self.val_lengths, self.val_examples, minimum=0)
        steps = len(self.order())
        self.test_sets = {suffix: steps + delay for suffix, (delay, _) in self._tests.items()}
        self.val_sets = {suffix: steps + delay for suffix, (delay, _) in self._vals.items()}
        self.spec = TaskSpec(
            kind="vectors",
            d_input=self.order().shape[1],
            num_classes=10,
            max_length=steps + self.T,
            chance=1 / 10,
        )

    def label(self) -> str:
        noise = f"gaussian {self.noise_std:g}" if self.noise == "gaussian" else self.noise
        return f"{super().label()}, {noise}, T = {self.T}"

    def setup(self, stage: str) -> None:
        """Map the files; `stage` makes no difference. Raises ValueError where a set asks for too many pictures."""
        super().setup(stage)
        for kind, sets in (("test", self._tests), ("val", self._vals)):
            there = len(self.splits[kind])
            for suffix, (_, rows) in sets.items():
                if rows > there:
                    raise ValueError(f"{kind}{suffix} asks for {rows} pictures, there are {there}: ask for fewer")

    def train_set(self) -> DelayedSet:
        key = stream_key(self.name, "delays", self.seed)
        pictures = len(self.splits["train"])
        plan = TrainPlan(num_pictures=pictures, T=self.T, key=key, num_rows=UNBOUNDED)
        return self._rows("train", "train", plan, self.seed)

    def train_rows(self, step: int) -> Rows:
        return step * len(self.splits["train"]) + super().train_rows(step)

    def val_set(self) -> DelayedSet:
        plan = EvalPlan(chosen=np.arange(self.num_val), cycle=(0, self.T))
        return self._rows("val", "val", plan, self.data_seed)

    def val_set_for(self, suffix: str) -> DelayedSet:
        delay, rows = self._vals[suffix]
        return self._rows("val", f"val{suffix}", self._some("val", delay, rows), self.data_seed)

    def test_set(self, suffix: str) -> DelayedSet:
        delay, rows = self._tests[suffix]
        return self._rows("test", f"test{suffix}", self._some("test", delay, rows), self.data_seed)

    def floors(self) -> dict[str, float]:
        return super().floors() | {"order_blind": self._order_blind()}

    def _some(self, split: str, delay: int, rows: int) -> EvalPlan:
        """The first `rows` pictures of the split, in an order drawn by data_seed, all behind one delay."""
        rng = np.random.Generator(np.random.SFC64(stream_key(self.name, split, self.data_seed)))
        return EvalPlan(chosen=rng.permutation(len(self.splits[split]))[:rows], cycle=(delay,))

    def _rows(self, split: str, name: str, plan: Plan, seed: int) -> DelayedSet:
        pictures = self.splits[split]
        assert isinstance(pictures, PictureSet)
        noise = Noise(
            kind=self.noise,
            std=self.noise_std,
            black=-self.pixel_mean / self.pixel_std,
            key=stream_key(self.name, name, seed),
        )
        return DelayedSet(pictures, plan=plan, noise=noise)

    def _order_blind(self) -> float:
        sums = {split: self._sums(split) for split in ("train", "test")}
        labels = {split: self.splits[split].labels for split in sums}
        classes = np.unique(labels["train"])
        means = np.stack([sums["train"][labels["train"] == label].mean(axis=0) for label in classes])
        distances = ((sums["test"][:, None] - means) ** 2).sum(axis=2)
        return float(np.mean(classes[distances.argmin(axis=1)] == labels["test"]))

    def _sums(self, split: str) -> NDArray[np.float32]:
        """Sum over the steps of every picture of a split: (rows, d_input)."""
        pictures = self.splits[split]
        assert isinstance(pictures, PictureSet)
        chunks = [np.arange(i, min(i + CHUNK_ROWS, len(pictures))) for i in range(0, len(pictures), CHUNK_ROWS)]
        return np.concatenate([pictures.vectors(chunk).sum(axis=1) for chunk in chunks])
