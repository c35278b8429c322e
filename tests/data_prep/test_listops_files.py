"""The command line: layout of its files, purity, and one clear line for whatever cannot be."""

import dataclasses
import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from data_prep import listops
from data_prep.arrow import read_token_file
from data_prep.listops import ListOpsParameters, main, make_listops, make_rows
from data_prep.listops_generate import SPLITS
from data_prep.listops_text import to_text

SMALL = ListOpsParameters(
    train=300, val=40, test=40, seed=7, min_length=20, max_length=100, max_depth=10, max_args=10, format="arrow"
)
ARGUMENTS = [
    "--train",
    "300",
    "--val",
    "40",
    "--test",
    "40",
    "--seed",
    "7",
    "--min-length",
    "20",
    "--max-length",
    "100",
]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_text_is_left_nested_pairs() -> None:
    assert to_text([11, 3, 4, 14]) == "( ( ( [MAX 3 ) 4 ) ] )"
    assert to_text([13, 10, 1, 2, 14, 0, 14]) == "( ( ( [SM ( ( ( [MIN 1 ) 2 ) ] ) ) 0 ) ] )"


def test_tsv_files_are_byte_for_byte_as_laid_down(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path / "tsv"), "--format", "tsv", *ARGUMENTS]) == 0
    assert set(content(tmp_path / "tsv")) == {"basic_train.tsv", "basic_val.tsv", "basic_test.tsv", "manifest.json"}
    rows = make_rows(SMALL, "val", 0, 40)
    trees = np.split(rows.tokens, np.cumsum(rows.lengths)[:-1])
    lines = [f"{to_text(tree.tolist())}\t{label}\r\n" for tree, label in zip(trees, rows.labels, strict=True)]
    assert (tmp_path / "tsv/basic_val.tsv").read_bytes() == ("Source\tTarget\r\n" + "".join(lines)).encode()


def test_arrow_files_open_with_datasets_and_equal_the_tsv(tmp_path: Path) -> None:
    make_listops(tmp_path / "arrow", SMALL)
    make_listops(tmp_path / "tsv", dataclasses.replace(SMALL, format="tsv"))
    for split in SPLITS:
        rows = Dataset.from_file(str(tmp_path / f"arrow/{split}.arrow"))
        assert len(rows) == getattr(SMALL, split)
        assert rows.features["tokens"].feature.dtype == "uint8"
        text = [f"{to_text(row['tokens'])}\t{row['label']}" for row in rows]
        assert (tmp_path / f"tsv/basic_{split}.tsv").read_text().splitlines()[1:] == text


def test_an_example_depends_on_seed_split_and_number_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_rows(SMALL, "val", 0, 40)
    singly = [make_rows(SMALL, "val", i, 1) for i in reversed(range(40))][::-1]
    for column in range(4):
        assert np.array_equal(np.concatenate([row[column] for row in singly]), whole[column])
    make_listops(tmp_path / "a", SMALL)
    monkeypatch.setattr(listops, "CHUNK_TOKENS", 700)
    make_listops(tmp_path / "b", dataclasses.replace(SMALL))
    assert content(tmp_path / "a") == content(tmp_path / "b")
    longer = make_rows(dataclasses.replace(SMALL, train=10_000), "val", 0, 40)
    assert np.array_equal(longer.tokens, whole.tokens)
    other = make_rows(dataclasses.replace(SMALL, seed=8), "val", 0, 40)
    assert not np.isin(other.hashes, whole.hashes).any()


def test_the_data_of_this_version_stays_what_it_is() -> None:
    """If this fails, raise VERSION in data_prep/listops.py and put the new digest here."""
    rows = make_rows(SMALL, "train", 0, 300)
    digest = hashlib.sha256(rows.tokens.tobytes() + rows.labels.tobytes()).hexdigest()[:16]
    assert (listops.VERSION, digest) == (1, "86a6a1a1158093a9")


def test_no_tree_stands_in_two_splits_whatever_the_seeds(tmp_path: Path) -> None:
    """In a range so short that each split holds a good part of all trees."""
    few = dataclasses.replace(SMALL, min_length=3, max_length=7, train=3000, val=300, test=300)
    trees = {split: set() for split in SPLITS}
    for seed, split in itertools.product(range(2), SPLITS):
        rows = make_rows(dataclasses.replace(few, seed=seed), split, 0, getattr(few, split))
        trees[split] |= {tree.tobytes() for tree in np.split(rows.tokens, np.cumsum(rows.lengths)[:-1])}
    assert len(trees["val"]) < 300  # rows repeat within a split here: the range holds no more
    for a, b in itertools.combinations(SPLITS, 2):
        assert not trees[a] & trees[b]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--train", "0"], "train=0"),
        (["--val", "-3"], "val=-3"),
        (["--train", "many"], "many"),
        (["--seed", "-1"], "seed=-1"),
        (["--format", "csv"], "csv"),
        (["--min-length", "-5"], "min_length=-5"),
        (["--min-length", "100"], "max_length=100"),
        (["--min-length", "99"], "min_length=99"),
        (["--max-depth", "2"], "max_depth=2"),
        (["--max-depth", "1"], "max_depth=1"),
        (["--max-args", "1"], "max_args=1"),
        (["--max-args", "2", "--min-length", "22", "--max-length", "25"], "max_args=2"),
        (["--max-depth", "5", "--min-length", "9000", "--max-length", "9002"], "not one of 1,000,000 trees"),
        (["--max", "5"], "--max"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(
    change: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["--out", str(tmp_path / "set"), *ARGUMENTS, *change])
    except SystemExit as stop:
        status = stop.code
    message = capsys.readouterr().err
    assert status == 2
    assert says in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("max_args", "max_depth"), [(2, 3), (3, 3), (2, 10), (3, 2), (10, 2)])
def test_exactly_the_impossible_ranges_are_refused(max_args: int, max_depth: int) -> None:
    """Against all lengths of all trees, counted out."""
    possible = {1}
    for _ in range(max_depth - 1):
        sums, lists = {2 + child for child in possible}, set()
        for _ in range(max_args - 1):
            sums = {total + child for total in sums for child in possible if total + child < 40}
            lists |= sums
        possible = {1} | lists
    for length in range(4, 40):
        limits = {"min_length": length - 1, "max_length": length + 1, "max_args": max_args, "max_depth": max_depth}
        if length in possible:
            dataclasses.replace(SMALL, **limits)
        else:
            with pytest.raises(ValueError, match="no tree"):
                dataclasses.replace(SMALL, **limits)


def test_a_finished_set_is_kept_and_another_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "deep" / "set")]
    assert main([*out, *ARGUMENTS]) == 0
    before = content(tmp_path / "deep" / "set")
    capsys.readouterr()
    assert main([*out, *ARGUMENTS]) == 0
    assert "kept" in capsys.readouterr().out
    assert main([*out, *ARGUMENTS, "--seed", "8"]) == 2
    message = capsys.readouterr().err
    assert "seed=7 (asked for 8)" in message
    assert message.count("\n") == 1
    assert content(tmp_path / "deep" / "set") == before


def test_as_a_program_it_is_quiet_without_a_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data_prep.listops", "--out", str(tmp_path / "set"), *ARGUMENTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path / 'set'}: made\n"
    assert len(read_token_file(tmp_path / "set/test.arrow")[2]) == 40
