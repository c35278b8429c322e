"""The official distribution, against 20,000 samples of the official program; labels, against another evaluator."""

import json
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency, kstwobign

from data_prep.common.program import Clock
from data_prep.listops.make import ListOpsParameters, Rows, make_listops, make_rows

OFFICIAL = json.loads(Path(__file__).with_name("listops_official_stats.json").read_text())
NUM_SAMPLES = 20_000
OPERATOR_IDS = {"[MIN": 10, "[MAX": 11, "[MED": 12, "[SM": 13}


def official(**changes: int | str) -> ListOpsParameters:
    setting = {"train": NUM_SAMPLES, "val": 200, "test": 200, "seed": 1, "format": "tsv"}
    lengths = {"min_length": 500, "max_length": 2000, "max_depth": 10, "max_args": 10}
    return ListOpsParameters(**(setting | lengths | changes))


@pytest.fixture(scope="module")
def rows() -> Rows:
    return make_rows(official(), "train", 0, NUM_SAMPLES)


def same_frequencies(counts: dict[str, int], frequencies: dict[str, float], total: int) -> float:
    """p of a chi-square test that our counts and the official ones are drawn from one distribution."""
    assert counts.keys() <= frequencies.keys()
    table = [[counts.get(key, 0) for key in frequencies], [share * total for share in frequencies.values()]]
    return chi2_contingency(table).pvalue


def test_labels(rows: Rows) -> None:
    counts = Counter(str(label) for label in rows.labels)
    assert same_frequencies(counts, OFFICIAL["label_frequency"], OFFICIAL["num_samples"]) > 0.001


def test_operators(rows: Rows) -> None:
    roots = rows.tokens[np.cumsum(rows.lengths) - rows.lengths]
    for tokens, frequencies, total in [
        (rows.tokens, OFFICIAL["op_frequency"], OFFICIAL["num_operators"]),
        (roots, OFFICIAL["root_op_frequency"], OFFICIAL["num_samples"]),
    ]:
        counts = {name: int((tokens == token).sum()) for name, token in OPERATOR_IDS.items()}
        assert same_frequencies(counts, frequencies, total) > 0.001


def test_lengths(rows: Rows) -> None:
    """Kolmogorov-Smirnov on the points where the official distribution function is known."""
    assert rows.lengths.min() > 500
    assert rows.lengths.max() < 2000
    known = {float(length): float(share) for share, length in OFFICIAL["length_quantiles"].items()}
    seen = 0
    for span, count in OFFICIAL["length_hist_100"].items():
        seen += count
        known[float(span.split("-")[1])] = seen / OFFICIAL["num_samples"]
    del known[501.0]  # the smallest length is given as the quantile 0, which is not the share at or below it
    ours = np.searchsorted(np.sort(rows.lengths), list(known), side="right") / NUM_SAMPLES
    distance = np.abs(ours - list(known.values())).max()
    assert kstwobign.sf(distance * np.sqrt(NUM_SAMPLES / 2)) > 0.001


def test_length_bins(rows: Rows) -> None:
    counts = Counter(f"{length // 100 * 100}-{length // 100 * 100 + 99}" for length in rows.lengths.tolist())
    frequencies = {span: count / OFFICIAL["num_samples"] for span, count in OFFICIAL["length_hist_100"].items()}
    assert same_frequencies(counts, frequencies, OFFICIAL["num_samples"]) > 0.001


def test_arguments_and_nesting(rows: Rows) -> None:
    """Nodes of one tree share its length, so these are compared by difference and not by chi-square."""
    num_args, nodes, lists = Counter(), Counter(), Counter()
    open_lists: list[int] = []
    for token in rows.tokens[: rows.lengths[:4000].sum()].tolist():
        if token == 14:
            num_args[open_lists.pop()] += 1
            continue
        if open_lists:
            open_lists[-1] += 1
        nodes[len(open_lists) + 1] += 1
        if token >= 10:
            lists[len(open_lists) + 1] += 1
            open_lists.append(0)
    for args, share in OFFICIAL["args_histogram"].items():
        assert num_args[int(args)] / num_args.total() == pytest.approx(share, abs=0.002)
    for level, share in OFFICIAL["op_share_of_nodes_by_level"].items():
        assert lists[int(level)] / nodes[int(level)] == pytest.approx(share, abs=0.006)
    assert max(nodes) == 10


def test_no_tree_twice(rows: Rows) -> None:
    trees = np.split(rows.tokens, np.cumsum(rows.lengths)[:-1])
    assert len({tree.tobytes() for tree in trees}) == NUM_SAMPLES


class Reader:
    """Values a text as the task is told in words: pairs, left-nested, closed by a bracket."""

    def __init__(self, text: str) -> None:
        self.words = iter(text.split(" "))
        self.length = self.depth = 0

    def value(self, level: int = 1) -> int | list[str | int]:
        """Of a digit or a list; of a pair that no bracket closes yet, [operator, argument, ...]."""
        word = next(self.words)
        if word != "(":
            self.length += 1
            self.depth = max(self.depth, level)
            return int(word) if word.isdigit() else [word]
        unfinished = self.value(level)
        right = self.value(level + 1)
        assert next(self.words) == ")"
        return self.finish(unfinished) if right == ["]"] else [*unfinished, right]

    def finish(self, unfinished: list[str | int]) -> int:
        operator, *args = unfinished
        assert 2 <= len(args) <= 10
        if operator == "[SM":
            return sum(args) % 10
        return int({"[MIN": min, "[MAX": max, "[MED": statistics.median}[operator](args))


def test_an_independent_evaluator_agrees(tmp_path: Path) -> None:
    make_listops(tmp_path / "set", official(train=1000), workers=1, clock=Clock())
    header, *lines = (tmp_path / "set" / "basic_train.tsv").read_text().splitlines()
    assert header == "Source\tTarget"
    assert len(lines) == 1000
    for line in lines:
        text, label = line.split("\t")
        reader = Reader(text)
        assert reader.value() == int(label)
        assert next(reader.words, None) is None
        assert 500 < reader.length < 2000
        assert reader.depth <= 10
