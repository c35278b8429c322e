"""copy_first: which symbol came first, T distractors ago?"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.checks import check_int
from data_prep.counter_rng import below, random_words, stream_key
from lra_mru.spec import Batch, TaskSpec
from lra_mru.tasks.base import SequenceSet, SequenceTask
from lra_mru.tasks.sampling import Rows

DISTRACTORS = ("symbols", "gaussian")
UNBOUNDED = 2**62  # rows of a generated training set: no run reaches its end


class CopyFirstSet(SequenceSet):
    """Rows made on demand; row i is a pure function of (key, i).

    codebook: (num_symbols, d_input) float32 for gaussian distractors, None for symbols
    """

    def __init__(
        self,
        *,
        key: int,
        num_rows: int,
        num_steps: int,
        num_symbols: int,
        num_distractors: int,
        codebook: NDArray[np.float32] | None,
    ) -> None:
        self.key = key
        self.num_rows = num_rows
        self.num_steps = num_steps
        self.num_symbols = num_symbols
        self.num_distractors = num_distractors
        self.codebook = codebook

    def __len__(self) -> int:
        return self.num_rows

    def lengths(self) -> NDArray[np.int64]:
        return np.full(self.num_rows, self.num_steps)

    def __getitems__(self, rows: list[int]) -> Batch:
        index = np.asarray(rows, dtype=np.int64)
        symbols = below(random_words(self.key, index, 1), np.uint64(self.num_symbols))[:, 0].astype(np.int64)  # (B,)
        inputs = self._tokens(index, symbols) if self.codebook is None else self._vectors(index, symbols)
        return Batch(
            inputs=torch.from_numpy(inputs),
            lengths=torch.full((len(rows),), self.num_steps),
            targets=torch.from_numpy(symbols),
        )

    def _tokens(self, index: Rows, symbols: NDArray[np.int64]) -> NDArray[np.int64]:
        tokens = np.empty((len(index), self.num_steps), dtype=np.int64)  # (B, L)
        words = random_words(self.key, index, self.num_steps - 1, first=1)
        tokens[:, 0] = symbols
        tokens[:, 1:] = below(words, np.uint64(self.num_distractors))
        tokens[:, 1:] += self.num_symbols
        return tokens

    def _vectors(self, index: Rows, symbols: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self.codebook is not None
        vectors = np.empty((len(index), self.num_steps, self.codebook.shape[1]), dtype=np.float32)  # (B, L, d_input)
        vectors[:, 0] = self.codebook[symbols]
        for row, i in zip(vectors, index.tolist(), strict=True):
            rng = np.random.Generator(np.random.SFC64([self.key, i]))
            rng.standard_normal(out=row[1:], dtype=np.float32)
        return vectors


class CopyFirst(SequenceTask):
    """Which of num_symbols symbols came first, T distractors ago?

        symbols:   x[0] = s,    x[t] ~ U{num_symbols .. num_symbols + num_distractors - 1}   for t = 1 .. T
        gaussian:  x[0] = E[s], x[t] ~ N(0, I)      E[s] drawn once from N(0, I), (num_symbols, d_input)
        target:    s ~ U{0 .. num_symbols - 1}

    Chance is 1 / num_symbols, and nothing but step 0 tells more. The model must take the symbol in and let none of
    the T distractors move its memory. It is also tested at T far longer than trained (`eval_lengths`). A finite
    alphabet of distractors is held for ever once it is held for one pass over the alphabet; noise has tails, and
    E[s] has the norm of noise and no marker, so that `gaussian` is the harder claim.

    Shapes:  symbols (B, T + 1) int64; gaussian (B, T + 1, d_input) float32
    Units:   T and eval_lengths in distractors, test_sets in steps: T + 1
    Raises:  ValueError for T < 1, unknown distractors, counts below 1, or lists of different length
    Source:  the latching problem of Bengio, Simard, Frasconi (1994), sections II and III, with 8 classes instead of
             2; set up as in De Geeter et al. (arXiv 2601.09495): hold a first input through noise
    """

    name = "copy_first"

    def __init__(
        self,
        *,
        data_dir: str,
        seed: int,
        data_seed: int,
        batch_size: int,
        eval_batch_tokens: int,
        num_workers: int,
        T: int,
        distractors: str,
        num_symbols: int,
        num_distractors: int,
        d_input: int,
        num_val: int,
        num_test: int,
        eval_lengths: Sequence[int],
        eval_examples: Sequence[int],
    ) -> None:
        super().__init__(
            data_dir=data_dir,
            seed=seed,
            data_seed=data_seed,
            batch_size=batch_size,
            eval_batch_tokens=eval_batch_tokens,
            num_workers=num_workers,
        )
        if distractors not in DISTRACTORS:
            raise ValueError(f"distractors={distractors!r} must be one of {', '.join(DISTRACTORS)}")
        if not len(set(eval_lengths)) == len(eval_lengths) == len(eval_examples):
            raise ValueError(
                f"eval_lengths={list(eval_lengths)}, eval_examples={list(eval_examples)}: give each length once, "
                "and one number of examples for each"
            )
        for name, value in [("T", T), ("num_distractors", num_distractors), ("d_input", d_input)]:
            check_int(name, value, minimum=1)
        for name, value in [("num_val", num_val), ("num_test", num_test)]:
            check_int(name, value, minimum=1)
        check_int("num_symbols", num_symbols, minimum=2)
        for length, examples in zip(eval_lengths, eval_examples, strict=True):
            check_int("eval_lengths", length, minimum=1)
            check_int("eval_examples", examples, minimum=1)
        self.T = T
        self.distractors = distractors
        self.num_symbols = num_symbols
        self.num_distractors = num_distractors
        self.d_input = d_input
        self.num_val = num_val
        self.test_sets = {"": T + 1} | {f"@{length}": length + 1 for length in eval_lengths}
        self.num_test = {"": num_test} | {f"@{t}": n for t, n in zip(eval_lengths, eval_examples, strict=True)}
        self.group_names = []
        symbolic = distractors == "symbols"
        detail = f"{num_symbols} + {num_distractors} tokens" if symbolic else f"{num_symbols} codes of width {d_input}"
        self.variant = f"{distractors}, T = {T}, {detail}"
        self.spec = TaskSpec(
            kind="tokens" if symbolic else "vectors",
            vocab_size=num_symbols + num_distractors if symbolic else None,
            d_input=None if symbolic else d_input,
            num_classes=num_symbols,
            max_length=T + 1,
            chance=1 / num_symbols,
        )

    def train_set(self) -> CopyFirstSet:
        return self._rows(stream_key(self.name, "train", self.seed), UNBOUNDED, self.T + 1)

    def train_rows(self, step: int) -> Rows:
        return np.arange(step * self.batch_size, (step + 1) * self.batch_size, dtype=np.int64)

    def val_set(self) -> CopyFirstSet:
        return self._rows(stream_key(self.name, "val", self.data_seed), self.num_val, self.T + 1)

    def test_set(self, suffix: str) -> CopyFirstSet:
        key = stream_key(self.name, "test" + suffix, self.data_seed)
        return self._rows(key, self.num_test[suffix], self.test_sets[suffix])

    def floors(self) -> dict[str, float]:
        return {"chance": self.spec.chance}

    def codebook(self) -> NDArray[np.float32]:
        """E, the vectors of the symbols: (num_symbols, d_input), a pure function of data_seed."""
        rng = np.random.Generator(np.random.SFC64(stream_key(self.name, "codebook", self.data_seed)))
        return rng.standard_normal((self.num_symbols, self.d_input), dtype=np.float32)

    def _rows(self, key: int, num_rows: int, num_steps: int) -> CopyFirstSet:
        return CopyFirstSet(
            key=key,
            num_rows=num_rows,
            num_steps=num_steps,
            num_symbols=self.num_symbols,
            num_distractors=self.num_distractors,
            codebook=None if self.distractors == "symbols" else self.codebook(),
        )
