"""The suite as its users have it: a wheel in a folder of its own, called from an empty one."""

import os
import subprocess
import sys

import pytest
from support import ROOT, TINY_COPY

QUIET = ["--quiet", "--disable-pip-version-check", "--no-deps"]
MIXER = """
from lra_mru.mixers.lru import LRU


class Mine(LRU):
    pass
"""
CONFIG = """
# A backbone of one's own.
defaults: [lru, _self_]
mixers:
  lru:
    _target_: my_mixers.Mine
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which the wheel is installed, with nothing of the checkout in reach."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", *QUIET, "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", *QUIET, "--target", folder / "site", wheel], check=True)
    return folder / "site"


def call(site, cwd, *command):
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{cwd}"}
    done = subprocess.run(
        [sys.executable, site / "bin" / command[0], *command[1:]],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_trains_in_an_empty_folder_and_shows_one_leaderboard(site, tmp_path):
    out = call(site, tmp_path, "lra-train", *TINY_COPY, "model=lru", "trainer.max_steps=3")
    (record,) = (tmp_path / "my_results/runs/copy_first").glob("lru-*/seed0.json")
    assert f"record: {record.relative_to(tmp_path)}" in out
    page = (tmp_path / "my_results/leaderboard.md").read_text()
    assert "Permission to use" in (tmp_path / "my_results/index.html").read_text()
    shipped = len([p for p in (ROOT / "results/runs").rglob("seed*.json") if "certificate" not in p.name])
    assert f"Made from {shipped + 1} records" in page
    assert "lra-train task=copy_first" in call(site, tmp_path, "lra-runs")
    assert f"{shipped + 1} records" in call(site, tmp_path, "lra-report")
    assert not (site / "lra_mru/results/leaderboard.md").exists()  # nothing is written where the suite lies


@pytest.mark.parametrize("program", ["lra-sweep", "lra-show", "lra-bench"])
def test_every_program_of_a_wheel_answers(site, tmp_path, program):
    assert "usage" in call(site, tmp_path, program, "--help")


def test_a_folder_of_configs_adds_a_model_without_a_fork(site, tmp_path):
    (tmp_path / "my_mixers.py").write_text(MIXER)
    (tmp_path / "my_conf/model").mkdir(parents=True)
    (tmp_path / "my_conf/model/mine.yaml").write_text(CONFIG)
    call(site, tmp_path, "lra-train", "--config-dir", "my_conf", "model=mine", *TINY_COPY, "trainer.max_steps=3")
    assert len(list((tmp_path / "my_results/runs/copy_first").glob("mine-*/seed0.json"))) == 1


@pytest.mark.parametrize(
    ("modules", "left_out"),
    [
        ("lra_mru.train, lra_mru.sweep, lra_mru.runs, lra_mru.show, lra_mru.evidence.__main__", {"torch"}),
        ("lra_mru.make, lra_mru.bench.model_row", {"pytorch_lightning", "numba"}),
    ],
)
def test_what_takes_seconds_to_import_is_left_to_those_who_need_it(modules, left_out):
    code = f"import sys, {modules}; print({left_out!r} & set(sys.modules) or 'none')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "none\n"


def test_data_prep_imports_neither_torch_nor_the_suite():
    code = (
        "import pkgutil, sys, data_prep\n"
        "for module in pkgutil.walk_packages(data_prep.__path__, 'data_prep.'):\n"
        "    if not module.name.endswith('__main__'): __import__(module.name)\n"
        "print(sorted({'torch', 'lra_mru'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
