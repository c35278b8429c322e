"""Every program complains of its command line in one line."""

import sys
from collections.abc import Callable

import pytest

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
