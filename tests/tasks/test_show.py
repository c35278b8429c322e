"""The contact sheet: a small picture of any task, and figures that come from the data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mnist_files import write_mnist
from PIL import Image
from support import ROOT, assert_refused_in_one_line

from data_prep.mnist import read_idx
from lra_mru.show import main

PATHFINDER = ["task=pathfinder", "task.size=16", "task.contour=3", "task.num_train=80", "task.num_val=60"]


@pytest.mark.parametrize(
    "overrides",
    [
        [*PATHFINDER, "task.num_test=20"],
        ["task=flip_flop", "task.T=40", "task.num_val=20", "task.num_test=20", "task.eval_lengths=[]"],
        ["task=listops", "task.min_length=5", "task.max_length=40", "task.num_train=50", "task.num_val=20"],
        ["task=adding", "task.T=40", "task.num_val=20", "task.num_test=20", "task.eval_lengths=[]"],
    ],
)
def test_any_kind_of_task_can_be_looked_at(
    tmp_path: Path, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        ["task.eval_examples=[]", "task.val_lengths=[]", "task.val_examples=[]"]
        if "task.eval_lengths=[]" in overrides
        else []
    )
    out = tmp_path / "sheets" / "sheet.png"
    batch = "task.batch_size=4"
    assert main([*overrides, *more, batch, f"data_dir={tmp_path / 'data'}", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "rows in two splits, among these: train and val 0, train and test 0, val and test 0" in said
    assert "without memory: chance" in said
    assert out.stat().st_size < 60_000
    with Image.open(out) as picture:
        assert len(np.unique(np.array(picture.convert("L")))) > 5


def test_figures_are_those_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_mnist(tmp_path / "mnist", monkeypatch)
    overrides = ["task=smnist", "task.num_val=20", f"task.mnist_dir={source}", f"data_dir={tmp_path / 'data'}"]
    assert main([*overrides, "--out", str(tmp_path / "sheet.png")]) == 0
    said = capsys.readouterr().out
    mean = read_idx((source / "t10k-images-idx3-ubyte").read_bytes(), "t10k-images-idx3-ubyte").mean() / 255
    assert f"test   30 rows, looked at 30; length 784; inputs 0 to 1, mean {mean:.4f}" in said
    assert "labels 0: 10.0 % 1: 10.0 %" in said


def test_mistakes_get_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for overrides, says in (
        (["task=pathfindr"], "did you mean pathfinder"),
        (["task="], "task=: there is no such task"),
        (["=1"], "=1: write key=value"),
        ([*PATHFINDER, "task.contour=14"], "contour=14 must be one of"),
        (["task=smnist", "task.mnist_dir=/nowhere"], "holds neither train-images-idx3-ubyte nor"),
    ):
        assert main([*overrides, f"data_dir={tmp_path}", "--out", str(tmp_path / "sheet.png")]) == 2
        message = capsys.readouterr().err
        assert says in message
        assert message.count("\n") == 1
    for out in ("/", "sheet", "sheet.nope"):
        assert_refused_in_one_line(main, ["task=copy_first", "--out", out], "must name a picture", capsys)
    assert not (tmp_path / "sheet.png").exists()


def test_the_command_explains_itself() -> None:
    command = [sys.executable, "-m", "lra_mru.show", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "task=NAME" in done.stdout
