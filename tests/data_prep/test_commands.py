"""Programs of data_prep, called carelessly: one line, and never silence."""

import subprocess
import sys

import pytest
from support import ROOT, assert_refused_in_one_line

from data_prep.common.program import Clock
from data_prep.image import ImageParameters, make_image
from data_prep.listops import make as listops
from data_prep.mnist import make_mnist

IMAGE = ImageParameters(num_train=1, num_val=1, num_test=1, seed=0, source="none")


@pytest.mark.parametrize(
    ("name", "source"), [("digits", ""), ("image", "task.lra_dir="), ("text", "task.lra_dir="), ("retrieval", "")]
)
def test_a_data_set_without_a_command_says_what_imports_it(name: str, source: str) -> None:
    command = [sys.executable, "-m", f"data_prep.{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert f"python -m lra_mru.show task={name} {source}".rstrip() in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


@pytest.mark.parametrize(
    ("value", "says"),
    [("1000000000000", "max_length=1000000000000 must be at most"), ("1e12", "argument --max-length: invalid int")],
)
def test_a_length_that_no_memory_holds_is_refused(value: str, says: str, tmp_path, capsys) -> None:
    rows = ["--train", "2", "--val", "1", "--test", "1", "--seed", "0"]
    arguments = [f"--out={tmp_path / 'set'}", *rows, f"--max-length={value}"]
    assert_refused_in_one_line(listops.main, arguments, says, capsys)
    assert not list(tmp_path.iterdir())


def test_sizes_that_are_never_done_are_refused() -> None:
    for name in ("train", "val", "test", "max_depth", "max_args"):
        sizes = dict(train=2, val=1, test=1, seed=0, min_length=5, max_length=20, max_depth=10, max_args=10)
        with pytest.raises(ValueError, match=f"^{name}=1000000000000 must be at most "):
            listops.ListOpsParameters(**(sizes | {name: 10**12}), format="arrow")


def test_a_missing_source_is_named_by_its_own_key(tmp_path) -> None:
    """The settings of the task that asked: smnist has no lra_dir."""
    for make, key in (
        (lambda: make_mnist(tmp_path / "set", mnist_dir=None, hub_id=None, clock=Clock()), "mnist_dir"),
        (lambda: make_image(tmp_path / "set", IMAGE, lra_dir=None, hub_id=None), "lra_dir"),
    ):
        with pytest.raises(ValueError, match=f"^task.{key}=null and task.hub_id=null name no source: ") as error:
            make()
        others = {"mnist_dir", "lra_dir"} - {key}
        assert not any(other in str(error.value) for other in others)
