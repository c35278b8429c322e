"""The numbers in results/ and in the README are those that the records give: none is edited by hand."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lra_mru.report import BEGIN, readme_block, with_block, write_leaderboard

REPOSITORY = Path(__file__).parents[2]
MADE = ("leaderboard.md", "leaderboard.csv", "index.html")


def copy_of_present(target: Path) -> Path:
    """README.md and results/ as they lie in the working tree."""
    names = ["README.md", *(str(p.relative_to(REPOSITORY)) for p in (REPOSITORY / "results").rglob("*") if p.is_file())]
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((REPOSITORY / name).read_bytes())
    return target


def copy_of_tracked(target: Path) -> Path:
    """README.md and results/ as git would commit them; as they lie there, where the tree is no git checkout."""
    if not (REPOSITORY / ".git").exists():
        return copy_of_present(target)
    command = ["git", "checkout-index", "--prefix", f"{target}/", "-z", "--stdin"]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "README.md", "results"], cwd=REPOSITORY, capture_output=True, check=True
    )
    subprocess.run(command, cwd=REPOSITORY, input=listed.stdout, check=True)
    return target


def differing(folder: Path) -> list[str]:
    """Names of generated files in `folder` that its own records do not give; makes them anew."""
    results = folder / "results"
    made = {name: (results / name).read_bytes() for name in MADE if (results / name).exists()}
    if not made and not (results / "runs").exists():
        return []  # nothing was ever made, and there is nothing to make it from
    write_leaderboard(results)
    return [f"results/{name}" for name in MADE if made.get(name) != (results / name).read_bytes()]


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    return copy_of_tracked(tmp_path / "tracked")


@pytest.fixture
def present(tmp_path: Path) -> Path:
    return copy_of_present(tmp_path / "present")


def test_committed_leaderboard_is_what_the_committed_records_give(tracked: Path) -> None:
    assert differing(tracked) == [], "run: python -m lra_mru.report, and commit results/ as a whole"


def test_leaderboard_is_what_the_records_beside_it_give(present: Path) -> None:
    assert differing(present) == [], "run: python -m lra_mru.report"


def test_no_figure_is_left_over_from_records_that_went(tracked: Path) -> None:
    figures = tracked / "results" / "figures"
    before = {path.name for path in figures.glob("*_*.png") if path.stem.endswith(("_quick", "_full", "_custom"))}
    shutil.rmtree(figures, ignore_errors=True)
    write_leaderboard(tracked / "results")
    left_over = before - {path.name for path in figures.iterdir()}
    assert not left_over, "run: git rm results/figures/<name>"


def test_readme_block_is_what_the_records_give(tracked: Path, present: Path) -> None:
    """New records of one's own do not make the README wrong, a number that no record gives does."""
    for readme, sources in [(tracked, [tracked]), (present, [tracked, present])]:
        text = (readme / "README.md").read_text()
        if BEGIN in text:
            blocks = [readme_block(source / "results") for source in sources]
            assert text in [with_block(text, block) for block in blocks], (
                "run: python -m lra_mru.report --readme README.md"
            )


def test_a_number_edited_by_hand_is_found(present: Path) -> None:
    write_leaderboard(present / "results")
    page = present / "results" / "leaderboard.md"
    page.write_text(page.read_text().replace("L", "l", 1))
    page = page.with_name("index.html")
    page.write_text(page.read_text().replace("100.00", "99.00", 1))
    assert differing(present) == ["results/leaderboard.md", "results/index.html"]
