"""From run records to a leaderboard: tables, figures and the block of a README.

Reads results/runs/**/seed<k>.json, results/bench/*.json, results/sweeps/*.json and published.yaml, nothing else; the
same records give the same bytes.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from lra_mru.files import locked, write_whole
from lra_mru.places import MY_RESULTS, RESULTS
from lra_mru.report.figures.accuracy import draw
from lra_mru.report.figures.front import draw_front
from lra_mru.report.figures.lengths import draw_bench
from lra_mru.report.figures.memory import draw_memory
from lra_mru.report.load import Record, load_good
from lra_mru.report.page import page
from lra_mru.report.pareto import load_good_sweeps
from lra_mru.report.sections import make_sections
from lra_mru.report.tables.csv import leaderboard_csv
from lra_mru.report.tables.leaderboard import leaderboard, short_table
from lra_mru.report.tables.lengths import bench_section, load_good_benches
from lra_mru.report.tables.sweeps import front_table, sweep_section

BEGIN, END = "<!-- leaderboard:begin -->", "<!-- leaderboard:end -->"


def write_leaderboard(results_dir: Path) -> Path:
    """Make leaderboard.md, .csv, index.html and figures/*.png in `results_dir` from all good records under its runs/.

    A record or sweep that cannot be read costs its own row, a line of the page, and a warning on stderr.

    In my_results, the default of results_dir, the shipped records stand on the same page.
    Everything is made before the first file is touched, and each file is replaced whole. Of several processes that
    write at once the last to read is the last to write, so that the page lacks no record.
    Returns: the path of leaderboard.md
    Raises:  ValueError if there is no such folder; OSError
    """
    if not results_dir.is_dir():
        load_good(results_dir)  # says so
    with locked(results_dir / ".leaderboard.lock"):
        for path, content in _files(results_dir).items():
            path.parent.mkdir(exist_ok=True)
            write_whole(path, content, overwrite=True)
    return results_dir / "leaderboard.md"


def _files(results_dir: Path) -> dict[Path, bytes]:
    records, complaints = records_of(results_dir)
    benches, of_benches = load_good_benches(results_dir)
    sweeps, of_sweeps = load_good_sweeps(results_dir)
    for complaint in (complaints := [*complaints, *of_benches, *of_sweeps]):
        print(f"warning: left out of the leaderboard: {complaint}", file=sys.stderr, flush=True)
    sections = make_sections(records)
    files = {results_dir / "figures" / f"{section.slug}.png": draw(section) for section in sections}
    for section in sections:
        if section.has_memory:
            files[results_dir / "figures" / f"{section.slug}_memory.png"] = draw_memory(section)
    for bench in benches:
        files[results_dir / "figures" / f"bench_{bench.name}.png"] = draw_bench(bench)
    for sweep in sweeps:
        if sweep.candidates:
            files[results_dir / "figures" / f"sweep_{sweep.study}.png"] = draw_front(sweep)
    files[results_dir / "leaderboard.csv"] = leaderboard_csv(sections).encode()
    extra = [*map(bench_section, benches), *map(sweep_section, sweeps), *left_out(results_dir, complaints)]
    text = "\n".join([leaderboard(sections, benches), *extra])
    files[results_dir / "leaderboard.md"] = text.encode()
    files[results_dir / "index.html"] = page(text, sections, benches, sweeps).encode()
    return files


def records_of(results_dir: Path) -> tuple[list[Record], list[str]]:
    """The records that a page in `results_dir` shows, and a complaint for each that cannot be read.

    In my_results these are its own and those shipped with the suite; of a run that stands in both, its own counts.
    """
    own, complaints = load_good(results_dir)
    if results_dir != MY_RESULTS or not RESULTS.is_dir():
        return own, complaints
    shipped, more = load_good(RESULTS)
    shipped = [replace(record, link=os.path.relpath(RESULTS / record.link, results_dir)) for record in shipped]
    return list({record.run: record for record in [*shipped, *own]}.values()), [*complaints, *more]


def left_out(results_dir: Path, complaints: list[str]) -> list[str]:
    """The section of the page that names what could not be read; none if all could."""
    lines = [f"- {complaint.replace(f'{results_dir}/', '')}" for complaint in complaints]
    return ["\n".join(["## Left out", "", *lines, ""])] if lines else []


def print_sweeps(results_dir: Path) -> None:
    """The Pareto front of each sweep that can be read, for the terminal."""
    for sweep in load_good_sweeps(results_dir)[0]:
        print(f"\n{sweep.study}: Pareto front\n{front_table(sweep)}", flush=True)


def readme_block(results_dir: Path) -> str:
    """The short table of a README that stands next to `results_dir`, with its markers."""
    sections = make_sections(load_good(results_dir)[0])
    table = short_table(sections, f"{results_dir.resolve().name}/leaderboard.md", load_good_benches(results_dir)[0])
    return f"{BEGIN}\n{table}\n{END}"


def with_block(text: str, block: str) -> str:
    """`text` with what stands between its markers replaced.

    Raises:  ValueError unless each marker stands there once, in order
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(
            f"the README must hold one line {BEGIN} and after it one line {END}: add them where the table goes"
        )
    return text[: text.index(BEGIN)] + block + text[text.index(END) + len(END) :]


def write_readme(results_dir: Path, readme: Path) -> None:
    """Replace the block of `readme`; all else in it stays."""
    text = with_block(readme.read_text(encoding="utf-8"), readme_block(results_dir))
    write_whole(readme, text.encode(), overwrite=True)
