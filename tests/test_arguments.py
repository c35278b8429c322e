"""Every program complains of its command line in one line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ROOT, TINY_COPY

from data_prep.common.output import INTERRUPTED, READER_LEFT, printing_program
from lra_mru import runs, show
from lra_mru.bench import __main__ as bench
from lra_mru.report import __main__ as report


@pytest.mark.parametrize(
    ("main", "arguments", "complaint"),
    [
        (bench.main, ["cpu", "--treads", "1"], "bench: unrecognized arguments: --treads 1; --help says"),
        (bench.main, ["nope"], "invalid choice: 'nope' (choose from"),
        (bench.main, ["cpu", "--json", "/no/such/x.json"], "make the folder /no/such first"),
        (report.main, ["--resuts", "x"], "report: unrecognized arguments: --resuts x; --help says"),
        (runs.main, ["--results", "x"], "runs: unrecognized arguments: --results x; --help says"),
        (show.main, [], "lra_mru.show: the following arguments are required: key=value; --help says"),
    ],
)
def test_one_line_and_status_2(
    main: Callable[[], object],
    arguments: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


READER_LEAVES = """
import sys
from lra_mru import runs
runs.lines = lambda *_: [runs.Line(state="finished", run="r", detail="d", command="c")] * 100_000
sys.argv = ["runs"]
runs.main()
"""


def test_a_program_ends_without_a_word_when_its_reader_leaves() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", READER_LEAVES]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "finished   r   d\n"
    process.stdout.close()  # as `| head -1` does
    assert process.stderr.read() == ""
    assert process.wait() == READER_LEFT


def test_bench_says_that_rows_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [{"status": "ok"}, {"status": "failed: no such head"}, {"status": "out of memory"}]
    monkeypatch.setattr(bench, "run", lambda _: {"rows": rows})
    monkeypatch.setattr(sys, "argv", ["bench", "throughput", "--json", str(tmp_path / "x.json")])
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: 1 rows failed; the first said: failed: no such head\n"
    assert (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("data_prep.listops --out={}/set --train 2 --val 1 --test 1 --seed 0 --min-length 5 --max-length 20", 0),
        ("lra_mru.train --help", READER_LEFT),
        ("lra_mru.train --cfg job", READER_LEFT),
    ],
)
def test_no_program_complains_where_nobody_reads(words: str, status: int, tmp_path: Path) -> None:
    """As in `| true`. What a program makes is made all the same."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", *words.format(tmp_path).split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (status, "")
    assert status or (tmp_path / "set/manifest.json").exists()


@pytest.mark.parametrize(
    "words",
    ["lra_mru.runs --results-dir r", "lra_mru.report --check r", "lra_mru.train --help", "lra_mru.train --cfg job"],
)
def test_output_onto_a_full_disk_is_told_in_a_line(words: str, tmp_path: Path) -> None:
    record = tmp_path / "r/runs/x/lru-1a2b3c4d/seed0.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    command = [sys.executable, "-m", *words.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        "error: the output could not be written (No space left on device)\n",
    )


def test_a_run_goes_on_where_its_lines_cannot_be_written(tmp_path: Path) -> None:
    words = [*TINY_COPY, "model=lru", "trainer.max_steps=3"]
    command = [sys.executable, "-m", "lra_mru.train", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.glob("my_results/runs/*/*/seed0.json"))) == 1


def test_a_program_that_only_prints_ends_with_a_line_on_ctrl_c(capsys):
    @printing_program
    def program():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        program()
    assert (ended.value.code, capsys.readouterr().err) == (INTERRUPTED, "error: interrupted\n")
