"""Cost against length: what the bench wrote is what the page shows, each machine apart."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lra_mru.bench import __main__ as bench
from lra_mru.report import write_leaderboard
from lra_mru.report.tables.lengths import load_good_benches

WriteRecord = Callable[..., Path]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the real command writes of one small row."""
    path = tmp_path_factory.mktemp("bench") / "here.json"
    sizes = ["--models", "lru", "--lengths", "32", "--d-model", "32", "--depth", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", "backbones", *sizes, "--json", str(path)])
        bench.main()
    return path.read_text()


def test_the_figures_of_the_bench_stand_on_the_page(results: Path, measured: str) -> None:
    raw = json.loads(measured)
    (row,) = raw["rows"]
    late = {"model": "nfsm", "length": 4096, "status": "over 9 s"}
    raw["rows"] += [row | {"length": 4096, "train_tokens_per_s": 5e4}, late]
    folder = results / "bench"
    folder.mkdir()
    (folder / "here.json").write_text(json.dumps(raw))
    (folder / "cut.json").write_text(measured[:50])
    (folder / "late.json").write_text(json.dumps(raw | {"rows": [late]}))
    page = write_leaderboard(results).read_text()
    section = page.split("## Cost against length: here\n")[1]
    assert f"Width 32, 1 blocks, float32, one sequence at a time. {raw['machine']}. Commit " in section
    speed = f"{row['train_tokens_per_s']:,.0f}"
    head = "| model | L = 32 | L = 4,096 |\n| --- | ---: | ---: |\n"
    assert f"{head}| lru | {speed} | 50,000 |\n| nfsm | — | — |\n" in section
    for name in ("cut", "late"):
        assert f"- bench/{name}.json: not a file of `python -m lra_mru.bench backbones`" in page
    assert (results / "figures" / "bench_here.png").read_bytes().startswith(b"\x89PNG")
    assert '"bench_here":[{"kind":"costs"' in (results / "index.html").read_text()


def test_files_are_never_mixed(results: Path, measured: str) -> None:
    (results / "bench").mkdir()
    for name in ("a", "b"):
        (results / "bench" / f"{name}.json").write_text(measured)
    benches, complaints = load_good_benches(results)
    assert [found.name for found in benches] == ["a", "b"]
    assert complaints == []
    assert write_leaderboard(results).read_text().count("## Cost against length: ") == 2


def test_memory_of_the_test_stands_beside_the_accuracy_of_each_length(results: Path, write_record: WriteRecord) -> None:
    peaks = {"peak_bytes/test": 2.0**30, "peak_bytes/test@3000": 2.0**30, "peak_bytes/val@1000": 1.0}
    usual = {"peak_bytes": 2**30, "activation_bytes_per_token": 5120.0, "state_bytes": 256}
    further = {"test/acc@3000": 1.0, "test/num_examples@3000": 256}
    write_record(metrics=further, memory=usual | peaks)
    write_record(metrics=further, memory=usual, model="lru")  # an older record
    page = write_leaderboard(results).read_text()
    slug = "copy_first_symbols-t-300_quick_memory"
    assert f"(figures/{slug}.png)" in page
    assert (results / "figures" / f"{slug}.png").read_bytes().startswith(b"\x89PNG")
    series = '"series":[{"model":"bmru","label":"bmru","points":[[300,1024.0],[3000,1024.0]]}]'
    assert series in (results / "index.html").read_text()


def test_where_no_memory_was_measured_none_is_drawn(results: Path, write_record: WriteRecord) -> None:
    write_record(metrics={"test/acc@3000": 1.0, "test/num_examples@3000": 256})
    assert "_memory.png" not in write_leaderboard(results).read_text()
    assert not list((results / "figures").glob("*_memory.png"))


def test_speed_in_the_findings_is_that_of_a_bench_where_models_ran_alone(
    results: Path, write_record: WriteRecord
) -> None:
    usual = {"peak_bytes": 2**30, "state_bytes": 256}
    for model, saved in [("bmru", 1000.0), ("lru", 1500.0)]:
        for seed in range(2):
            write_record(model=model, seed=seed, memory=usual | {"activation_bytes_per_token": saved})
    assert "**What it costs.** Training speed in tokens/s" in write_leaderboard(results).read_text()
    speeds = {("bmru", 64): 100.0, ("bmru", 256): 100.0, ("lru", 64): 50.0, ("lru", 256): 200.0}
    rows = [
        {"model": model, "length": length, "train_tokens_per_s": speed, "train_peak_bytes": 2**20}
        for (model, length), speed in speeds.items()
    ]
    (results / "bench").mkdir()
    about = {"d_model": 64, "depth": 2, "precision": "float32", "machine": "a machine"}
    about |= {"code": {"commit": "0123456789abcdef", "dirty": True}}
    (results / "bench" / "here.json").write_text(json.dumps(about | {"rows": rows}))
    page = write_leaderboard(results).read_text()
    assert "over 64 to 256 steps, each model alone on one machine (here)" in page
    assert "A machine. Commit 0123456, with uncommitted changes." in page.replace(". a machine", ". A machine")
    assert "(median over tasks): lru 0.50 to 2.00 and 1.50." in page
