"""The command: exit status, one line, and nothing half-written."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lra_mru.report import BEGIN, END, readme_block, with_block, write_leaderboard
from lra_mru.report.__main__ import main

WriteRecord = Callable[..., Path]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
    return main()


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_writes_tables_figures_and_the_readme_block(
    results: Path, write_record: WriteRecord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record()
    readme = results.parent / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold numbers\n{END}\n\nThe rest stays.\n")
    assert run(monkeypatch, "--results", results, "--readme", readme) == 0
    assert capsys.readouterr().out == f"{results}/leaderboard.md: 1 record\n"
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n**copy_first: symbols, T = 300 (budget: quick)**")
    assert text.endswith(f"(results/leaderboard.md).\n{END}\n\nThe rest stays.\n")
    assert "old numbers" not in text
    written = sorted(str(path.relative_to(results)) for path in files(results) if "runs" not in path.parts)
    assert written.pop(0) == ".leaderboard.lock"  # git ignores it
    assert written == ["figures/copy_first_symbols-t-300_quick.png", "index.html", "leaderboard.csv", "leaderboard.md"]


def test_without_readme_no_readme_is_touched(
    results: Path, write_record: WriteRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record()
    readme = results.parent / "README.md"
    readme.write_text(f"{BEGIN}\nold\n{END}\n")
    assert run(monkeypatch, "--results", results) == 0
    assert readme.read_text() == f"{BEGIN}\nold\n{END}\n"


def test_no_records_is_said_in_one_line_and_the_page_says_how_to_make_one(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--results", results) == 0
    assert "no records yet" in capsys.readouterr().out
    assert "python train.py model=bmru" in (results / "leaderboard.md").read_text()
    assert "python train.py model=bmru" in readme_block(results)


@pytest.mark.parametrize("with_readme", [False, True])
def test_a_bad_record_costs_its_own_row_and_a_line_and_the_page_is_made(
    results: Path,
    write_record: WriteRecord,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    with_readme: bool,
) -> None:
    write_record(seed=2)
    before = write_leaderboard(results).read_text()
    bad = write_record(seed=1)
    bad.write_text(bad.read_text()[:100])
    (results / "sweeps").mkdir()
    (results / "sweeps" / "cut.json").write_text("{")
    readme = results.parent / "README.md"
    readme.write_text(f"{BEGIN}\nold\n{END}\n")
    assert run(monkeypatch, "--results", results, *(["--readme", readme] if with_readme else [])) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"warning: left out of the leaderboard: {bad}: not a readable record")
    assert error.count("\n") == 2
    page = (results / "leaderboard.md").read_text()
    assert page.startswith(before)
    assert page.count("\n- runs/copy_first/bmru-1a2b3c4d/seed1.json: not a readable record") == 1
    assert "\n- sweeps/cut.json: not a readable sweep" in page
    assert ("old" in readme.read_text()) is not with_readme
    bad.unlink()
    (results / "sweeps" / "cut.json").unlink()
    assert run(monkeypatch, "--results", results) == 0
    assert (results / "leaderboard.md").read_text() == before


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_its_markers_changes_nothing(
    results: Path,
    write_record: WriteRecord,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
) -> None:
    write_record()
    readme = results.parent / "README.md"
    readme.write_text(text)
    before = files(results.parent)
    assert run(monkeypatch, "--results", results, "--readme", readme) == 1
    assert BEGIN in capsys.readouterr().err
    assert files(results.parent) == before


def test_a_missing_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--results", tmp_path / "nowhere") == 1
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_failed_write_keeps_the_old_page_and_leaves_no_temporary_file(
    results: Path, write_record: WriteRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record()
    page = write_leaderboard(results)
    before = page.read_bytes()
    write_record(seed=1)

    def fail(source: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_leaderboard(results)
    assert page.read_bytes() == before
    assert not list(results.rglob("*.tmp"))


def test_text_around_the_block_stays() -> None:
    assert with_block(f"a{BEGIN}x{END}b", f"{BEGIN}y{END}") == f"a{BEGIN}y{END}b"


def test_the_report_needs_neither_torch_nor_the_engine() -> None:
    code = "import sys, lra_mru.report.__main__; print([m for m in ('torch', 'lra_mru.engine') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
