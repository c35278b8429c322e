"""The command line: layout of its files, purity, and one clear line for whatever cannot be."""

import dataclasses
import hashlib
import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from scipy.stats import chisquare
from support import assert_refused_in_one_line

from data_prep.common.arrow import read_token_file
from data_prep.common.program import Clock
from data_prep.common.splits import SPLITS
from data_prep.listops import make as listops
from data_prep.listops.make import ListOpsParameters, main, make_rows
from data_prep.listops.text import to_text
from data_prep.listops_import import main as import_main
from data_prep.listops_import import read_tsv

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


def make_listops(folder: Path, parameters: ListOpsParameters, workers: int = 1) -> bool:
    return listops.make_listops(folder, parameters, workers=workers, clock=Clock())


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
    make_listops(tmp_path / "b", SMALL)
    make_listops(tmp_path / "c", SMALL, workers=4)
    assert content(tmp_path / "a") == content(tmp_path / "b") == content(tmp_path / "c")
    tsv = dataclasses.replace(SMALL, format="tsv")
    make_listops(tmp_path / "d", tsv)
    make_listops(tmp_path / "e", tsv, workers=4)
    assert content(tmp_path / "d") == content(tmp_path / "e")
    longer = make_rows(dataclasses.replace(SMALL, train=10_000), "val", 0, 40)
    assert np.array_equal(longer.tokens, whole.tokens)
    other = make_rows(dataclasses.replace(SMALL, seed=8), "val", 0, 40)
    assert not np.isin(other.hashes, whole.hashes).any()


def test_the_data_of_this_version_stays_what_it_is() -> None:
    """If this fails, raise VERSION in data_prep/listops/make.py and put the new digest here."""
    rows = make_rows(SMALL, "train", 0, 300)
    digest = hashlib.sha256(rows.tokens.tobytes() + rows.labels.tobytes()).hexdigest()[:16]
    assert (listops.VERSION, digest) == (2, "77bb1ac5578fb25b")


def trees_of(rows: listops.Rows) -> list[bytes]:
    return [tree.tobytes() for tree in np.split(rows.tokens, np.cumsum(rows.lengths)[:-1])]


def split_written_in(tree: bytes) -> str:
    """The check digit of data_prep/listops/generate.py's docstring, worked out in plain Python."""
    last = max(i for i, token in enumerate(tree) if token < 10)
    content = 0xCBF29CE484222325
    for token in tree[:last]:
        content = ((content ^ token) * 0x100000001B3) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        content = (content ^ (content >> shift)) * factor % 2**64
    return {0: "val", 1: "test"}.get((tree[last] - (content >> 32) * 10 // 2**32) % 10, "train")


@pytest.mark.parametrize("seed", [7, 8])
def test_every_tree_carries_its_split_so_none_stands_in_two(seed: int) -> None:
    """Also in a range so short that each split holds a good part of all trees."""
    few = dataclasses.replace(SMALL, min_length=3, max_length=7, train=3000, val=300, test=300, seed=seed)
    for parameters, split in itertools.product((SMALL, few), SPLITS):
        trees = trees_of(make_rows(parameters, split, 0, getattr(parameters, split)))
        assert {split_written_in(tree) for tree in trees} == {split}
    assert len(set(trees)) < 300  # rows repeat within a split here: the range holds no more


def test_the_check_digit_is_uniform_in_every_split() -> None:
    for split in SPLITS:
        rows = make_rows(SMALL, split, 0, 4000)
        last = [max(i for i, token in enumerate(tree) if token < 10) for tree in trees_of(rows)]
        digits = [tree[i] for tree, i in zip(trees_of(rows), last, strict=True)]
        assert chisquare(np.bincount(digits, minlength=10)).pvalue > 0.001


def test_the_official_size_holds_no_tree_twice_in_any_split() -> None:
    official = dataclasses.replace(SMALL, min_length=500, max_length=2000, train=96000, val=2000, test=2000)
    hashes = [make_rows(official, split, 0, getattr(official, split)).hashes for split in SPLITS]
    assert len(np.unique(np.concatenate(hashes))) == 100_000


@pytest.fixture(scope="module")
def tsv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tsv") / "set"
    make_listops(folder, dataclasses.replace(SMALL, format="tsv"))
    return folder


def test_imported_files_are_the_generated_ones(tsv: Path, tmp_path: Path) -> None:
    assert import_main(["--source", str(tsv), "--out", str(tmp_path / "in")]) == 0
    make_listops(tmp_path / "made", SMALL)
    for split in SPLITS:
        name = f"{split}.arrow"
        assert (tmp_path / "in" / name).read_bytes() == (tmp_path / "made" / name).read_bytes()


def test_lines_may_end_as_on_unix(tsv: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.tsv"
    plain.write_bytes((tsv / "basic_val.tsv").read_bytes().replace(b"\r", b"").rstrip(b"\n"))
    for ours, theirs in zip(read_tsv(plain), read_tsv(tsv / "basic_val.tsv"), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("( ( ( [MAX 3 ) 4 ) ] )\t3", "label is not the value"),
        ("( ( ( [MAX 3 ) 4 ) )\t4", "unbalanced brackets"),
        ("( ( ( [MAX 3 ) 4 ) ] ) ]\t4", "unbalanced brackets"),
        ("[MAX ]\t4", "unbalanced brackets"),
        ("[MAX 3 4 ] 4\t4", "unbalanced brackets"),
        ("\t4", "no label"),
        (" \t4", "no digit, operator"),
        ("( ( [MAX 3 ) 4 ) ] )\t4", "unbalanced parentheses"),
        ("( ( ( [MAX 3 ) 4 ) ]\t4", "unbalanced parentheses"),
        ("( ( ( [TOP 3 ) 4 ) ] )\t4", "no digit, operator"),
        ("( ( ( [MAX 3 ) 14 ) ] )\t4", "no digit, operator"),
        ("( ( ( [MAX 3 ) 4 ) ] )", "no label"),
        ("( ( ( [MAX 3 ) 4 ) ] )\t12", "no label"),
        ("", "no label"),
    ],
)
def test_a_bad_line_is_named(
    tsv: Path, tmp_path: Path, line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tsv, tmp_path / "in")
    lines = (tmp_path / "in/basic_val.tsv").read_bytes().split(b"\r\n")
    lines[6] = line.encode()
    (tmp_path / "in/basic_val.tsv").write_bytes(b"\r\n".join(lines))
    assert import_main(["--source", str(tmp_path / "in"), "--out", str(tmp_path / "set")]) == 2
    message = capsys.readouterr().err
    assert f"{tmp_path}/in/basic_val.tsv, line 7: " in message
    assert says in message
    assert message.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_file_of_another_kind_is_refused(tsv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tsv, tmp_path / "in")
    for content, says in ((b"", "line 1: the header"), (b"Text\tLabel\r\n", "line 1: the header")):
        (tmp_path / "in/basic_test.tsv").write_bytes(content)
        assert import_main(["--source", str(tmp_path / "in"), "--out", str(tmp_path / "set")]) == 2
        assert says in capsys.readouterr().err
    (tmp_path / "in/basic_test.tsv").unlink()
    assert import_main(["--source", str(tmp_path / "in"), "--out", str(tmp_path / "set")]) == 2
    assert "there is no" in capsys.readouterr().err


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
        (["--workers", "0"], "workers=0"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(
    change: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused_in_one_line(main, ["--out", str(tmp_path / "set"), *ARGUMENTS, *change], says, capsys)
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
    assert re.fullmatch(
        rf"{tmp_path}/set: made, 380 examples in [\d.]+ s = [\d,]+ examples/s, compile time apart \([\d.]+ s\)\n",
        done.stdout,
    )
    assert len(read_token_file(tmp_path / "set/test.arrow")[2]) == 40
