"""What the leaderboard says, read back from its Markdown and CSV."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from lra_mru.report import readme_block, write_leaderboard
from lra_mru.report.load import load_records
from lra_mru.report.sections import Section, make_sections
from lra_mru.report.tables.cells import bound_text, percent
from lra_mru.report.tables.published import PUBLISHED, published_rows

WriteRecord = Callable[..., Path]
OFFICIAL = "length 500-2000, depth 10, 2-10 arguments, 96,000 rows"


def at(accuracies: dict[int, float], num_examples: int = 256) -> dict[str, float]:
    metrics = {f"test/acc@{length}": value for length, value in accuracies.items()}
    return metrics | {f"test/num_examples@{length}": num_examples for length in accuracies}


def tables(text: str) -> list[list[list[str]]]:
    """Every table below the overview as rows of cells, without the rule under the head, links as their text."""
    found: list[list[list[str]]] = [[]]
    for line in (text.partition("How to read the tables")[2] or text).splitlines():
        if line.startswith("| "):
            found[-1].append(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line[2:-2]).split(" | "))
        elif found[-1]:
            found.append([])
    return [[table[0], *table[2:]] for table in found if table]


def row(page: str, model: str) -> list[str]:
    """The cells of a model in the first table of the page."""
    return next(cells for cells in tables(page)[0] if cells[0] == model)


def test_mean_interval_and_n(results: Path, write_record: WriteRecord) -> None:
    for seed, accuracy in enumerate([0.5, 0.6, 0.9]):
        write_record(seed=seed, metrics={"test/acc": accuracy})
    write_record(model="lru", metrics={"test/acc": 0.25})
    head, bmru, lru = tables(write_leaderboard(results).read_text())[0]
    assert head[:2] == ["model", "accuracy (%)"]
    assert bmru == ["bmru", "66.67 ± 51.71", "3 of 3", "no", "last", "n = 3"]
    assert lru == ["lru", "25.00", "1 of 1", "no", "last", "n = 1"]


def test_rows_are_sorted_by_the_hardest_length_then_accuracy_then_name(
    results: Path, write_record: WriteRecord
) -> None:
    write_record(model="d", metrics={"test/acc": 1.0, **at({3000: 0.9})}, skipped={"test/acc@30000": "too long"})
    write_record(model="b", metrics={"test/acc": 0.8, **at({3000: 0.1, 30000: 0.5})})
    write_record(model="a", metrics={"test/acc": 0.7, **at({3000: 1.0, 30000: 0.5})})
    write_record(model="c", metrics={"test/acc": 0.2, **at({3000: 0.2, 30000: 0.6})})
    write_record(model="aa", metrics={"test/acc": 0.7, **at({3000: 1.0, 30000: 0.5})})
    page = write_leaderboard(results).read_text()
    assert [row[0].split()[0] for row in tables(page)[0][1:]] == ["c", "b", "a", "aa", "d"]


def test_a_skipped_length_is_a_dash_with_its_reason_and_never_zero(results: Path, write_record: WriteRecord) -> None:
    write_record(metrics=at({3000: 1.0, 300000: 1.0}, 64))
    reason = "300001 steps exceed the model's declared maximum of 16384"
    write_record(model="transformer", metrics=at({3000: 0.5}, 64), skipped={"test/acc@300000": reason})
    page = write_leaderboard(results).read_text()
    head, _, transformer = tables(page)[0]
    assert head[1:4] == ["acc at 300 (trained) (%)", "acc at 3,000 (%)", "acc at 300,000 (%)"]
    assert transformer[1:6] == ["100.00 (≥ 99.85)", "50.00", "—", "1 of 1", "—"]
    assert f"- transformer at 300,000 — {reason}\n" in page
    assert "- Test sequences: 2,000 at 300 (trained), 64 at 3,000, 64 at 300,000\n" in page


def test_a_length_that_only_some_seeds_have_shows_its_own_n(results: Path, write_record: WriteRecord) -> None:
    write_record(seed=0, metrics=at({3000: 0.5}))
    write_record(seed=1)
    page = write_leaderboard(results).read_text()
    assert tables(page)[0][1][2] == "50.00 (n = 1)"
    assert "- bmru at 3,000 — not asked for\n" in page


def test_above_the_floor_means_more_than_sampling_noise(results: Path, write_record: WriteRecord) -> None:
    for seed, accuracy in enumerate([0.125, 0.135, 0.145]):  # standard error of 2,000 at 12.5 %: 0.0074
        write_record(seed=seed, metrics={"test/acc": accuracy})
    assert tables(write_leaderboard(results).read_text())[0][1][2] == "1 of 3"


def test_what_lies_above_is_a_binomial_test(results: Path, write_record: WriteRecord) -> None:
    """3 of 8 at 12.5 % happen in 6.7 % of all tests of chance, 4 of 8 in 1.1 %, although both exceed two errors."""
    for seed, right in enumerate([3, 4]):
        write_record(
            seed=seed, config={"task": {"num_test": 8}}, metrics={"test/acc": right / 8, "test/num_examples": 8}
        )
    assert tables(write_leaderboard(results).read_text())[0][1][2] == "1 of 2"


def test_rows_at_the_floor_far_out_are_sorted_by_what_they_learned(results: Path, write_record: WriteRecord) -> None:
    for model, trained, far in [("bmru", 0.2, 0.14), ("lru", 0.9, 0.13), ("mamba", 0.5, 0.12), ("nfsm", 0.3, 0.9)]:
        write_record(model=model, metrics={"test/acc": trained, **at({3000: far})})
    assert [cells[0] for cells in tables(write_leaderboard(results).read_text())[0][1:]] == [
        "nfsm",
        "lru",
        "mamba",
        "bmru",
    ]


def test_a_bound_is_never_rounded_to_the_side_of_certainty() -> None:
    assert bound_text("≥", 0.05 ** (1 / 2000), digits=1) == " (≥ 99.8)"
    assert bound_text("≤", 1 - 0.05 ** (1 / 2), digits=1) == " (≤ 77.7)"
    assert bound_text("≥", 0.25) == " (≥ 25.00)"


def test_floors_are_lines_and_not_rows(results: Path, write_record: WriteRecord) -> None:
    write_record(floors={"root_operator": 0.36, "chance": 0.1}, metrics={"test/acc": 0.3})
    page = write_leaderboard(results).read_text()
    assert "- Floor (no model): chance 10.00 %\n- Floor (no model): root operator 36.00 %\n" in page
    assert [row[0] for row in tables(page)[0]] == ["model", "bmru"]
    assert tables(page)[0][1][2] == "0 of 1"  # measured against the best floor


def test_machines_are_never_mixed(results: Path, write_record: WriteRecord) -> None:
    def speed(train: float) -> dict[str, float]:
        return {"train_tokens_per_s": train, "eval_tokens_per_s": 1.0}

    for seed, train in enumerate([100.0, 300.0, 200.0]):
        write_record(seed=seed, throughput=speed(train))
    write_record(seed=3, throughput=speed(9e6), device="NVIDIA H200", cores=16)
    memory = {"peak_bytes": None, "activation_bytes_per_token": 5120.0, "state_bytes": 256}
    write_record(seed=4, throughput=speed(70.0), cores=8, memory=memory)
    _, *rows = tables(write_leaderboard(results).read_text())[1]
    assert [(row[2], row[4], *row[-2:]) for row in rows] == [
        ("9,000,000", "512", "NVIDIA H200, 16 cores, 32-true", "n = 1"),
        ("200", "512", "cpu, 2 cores, 32-true", "n = 3"),
        ("70", "—", "cpu, 8 cores, 32-true", "n = 1"),
    ]


def test_dirty_and_custom_are_visible(results: Path, write_record: WriteRecord) -> None:
    write_record(seed=0, budget="custom")
    write_record(seed=1, budget="custom", git={"commit": "fedcba98765", "dirty": True})
    write_record(seed=2, budget="custom", git=None)
    page = write_leaderboard(results).read_text()
    assert "## copy_first: symbols, T = 300 (budget: custom)" in page
    assert tables(page)[0][1][0] == "bmru (dirty: 1 of 3)"
    assert [row[-2] for row in tables(page)[2][1:]] == ["01234567", "fedcba98, dirty", "no git"]
    block = readme_block(results)
    assert "Budget: custom." in block
    assert tables(block)[0][1][1].endswith(", dirty**")


def test_task_variant_and_budget_make_sections_of_their_own(results: Path, write_record: WriteRecord) -> None:
    write_record(config_hash="00000001")
    write_record(config_hash="00000002", variant="gaussian, T = 300")
    write_record(config_hash="00000003", budget="full")
    write_record(config_hash="00000004", task="listops")
    titles = [line for line in write_leaderboard(results).read_text().splitlines() if line.startswith("## ")]
    assert titles == [
        "## copy_first: gaussian, T = 300 (budget: quick)",
        "## copy_first: symbols, T = 300 (budget: full)",
        "## copy_first: symbols, T = 300 (budget: quick)",
        "## listops: symbols, T = 300 (budget: quick)",
    ]


def test_two_configurations_of_a_model_are_told_apart(results: Path, write_record: WriteRecord) -> None:
    write_record(config_hash="0000000a", config={"optim": {"lr": 0.001}, "depth": 1})
    write_record(config_hash="0000000b", config={"optim": {"lr": 0.003}, "depth": 1})
    page = write_leaderboard(results).read_text()
    assert "- bmru 0000000a: optim.lr = 0.001\n- bmru 0000000b: optim.lr = 0.003\n" in page


def test_root_operators_have_a_table(results: Path, write_record: WriteRecord) -> None:
    write_record(task="listops", metrics={"test/acc/MIN": 0.4, "test/acc/MAX": 0.5})
    page = write_leaderboard(results).read_text()
    assert "### Accuracy by root operator\n" in page
    assert tables(page)[1] == [["model", "MAX (%)", "MIN (%)"], ["bmru", "50.00", "40.00"]]


def test_published_rows_stand_apart_and_only_beside_the_official_task(results: Path, write_record: WriteRecord) -> None:
    write_record(task="listops", budget="full", config_hash="00000001", variant="length 50-200")
    write_record(task="listops", budget="quick", config_hash="00000002", variant=OFFICIAL)
    assert "Published" not in write_leaderboard(results).read_text()
    write_record(task="listops", budget="full", config_hash="00000003", variant=OFFICIAL)
    page = write_leaderboard(results).read_text()
    assert page.count("### Published, not ours") == 1
    published = next(table for table in tables(page) if "provenance" in table[0])
    source = "Gu et al., arXiv 2111.00396 table 10"
    assert ["S4 (2021)", "58.35", source, "text", "bidirectional"] in published
    assert all(row[1] for row in published)  # a result that nobody reported is no row
    assert "S4" not in readme_block(results)


def test_the_official_section_is_the_shipped_listops_config(composed: Callable[..., Any]) -> None:
    task = instantiate(composed("task=listops", "budget=full").task)
    rows = published_rows(Section(task="listops", variant=task.variant, budget="full", rows=[]))
    assert [row.model for row in rows][:2] == ["Transformer", "BigBird"]


def test_every_provenance_is_explained() -> None:
    text = PUBLISHED.read_text()
    explained = {line.split()[1] for line in text.splitlines() if line.startswith("#   ")}
    used = {part.split(",")[0].split("}")[0].strip() for part in text.split("provenance: ")[1:]}
    assert used == explained


def test_never_rounds_up_to_all() -> None:
    assert (percent(1.0), percent(0.999999), percent(0.99994), percent(1.5)) == ("100.00", "99.99", "99.99", "150.00")


def test_csv_has_every_number_with_its_kind(results: Path, write_record: WriteRecord) -> None:
    for seed, accuracy in enumerate([0.5, 0.6, 0.9]):
        write_record(seed=seed, metrics={"test/acc": accuracy}, skipped={"test/acc@3000": "too long"})
    write_record(task="listops", budget="full", variant=OFFICIAL, floors={"chance": 0.1})
    write_leaderboard(results)
    with open(results / "leaderboard.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    ours = {(line["task"], line["metric"]): line for line in lines if line["kind"] == "ours"}
    accuracy_line = ours["copy_first", "test/acc"]
    assert float(accuracy_line["value"]) == round(2 / 3, 10)
    assert (accuracy_line["n"], accuracy_line["per_seed"]) == ("3", "0=0.5 1=0.6 2=0.9")
    assert (ours["copy_first", "test/acc@3000"]["value"], ours["copy_first", "test/acc@3000"]["note"]) == (
        "",
        "too long",
    )
    assert ours["copy_first", "peak_bytes"]["value"] == str(2**29)
    assert ours["copy_first", "train_tokens_per_s"]["machine"] == "cpu, 2 cores, 32-true"
    assert {line["model"] for line in lines if line["kind"] == "floor" and line["task"] == "listops"} == {"chance"}
    assert any(line["kind"] == "published" and line["value"] == "0.5835" for line in lines)


def test_same_records_same_bytes_in_any_order_of_writing(results: Path, write_record: WriteRecord) -> None:
    def make(models: list[str]) -> list[bytes]:
        for model in models:
            write_record(model=model, metrics={"test/acc": 0.1 * len(model)})
        page = write_leaderboard(results)
        return [page.read_bytes(), page.with_suffix(".csv").read_bytes(), readme_block(results).encode()]

    first = make(["lru", "bmru", "mamba"])
    for record in list(results.rglob("seed*.json")):
        record.unlink()
    assert make(["mamba", "lru", "bmru"]) == first


def test_a_pipe_in_a_text_does_not_break_the_table(results: Path, write_record: WriteRecord) -> None:
    write_record(pooling="last|mean")
    assert "last\\|mean" in write_leaderboard(results).read_text()


def test_sections_come_with_best_rows_first_whatever_the_order(results: Path, write_record: WriteRecord) -> None:
    write_record(model="lru", metrics={"test/acc": 0.2})
    write_record(model="mamba", metrics={"test/acc": 0.3})
    (section,) = make_sections(load_records(results))
    assert [row.model for row in section.rows] == ["mamba", "lru"]


def test_a_readme_shows_what_compares_and_names_the_rest(results: Path, write_record: WriteRecord) -> None:
    write_record(task="parity", variant="T = 40")
    assert "**parity: T = 40 (budget: quick)**" in readme_block(results)  # nothing compares yet
    write_record()
    write_record(model="lru", config_hash="5e6f7a8b")
    block = readme_block(results)
    assert "**copy_first" in block
    assert "**parity" not in block
    assert "One row so far, on the whole page: parity." in block


def test_all_targets_of_a_sequence_are_one_draw(results: Path, write_record: WriteRecord) -> None:
    """53.1 % of 80,000 prefixes is noise where they stand in 2,000 rows, and is not where they are independent."""
    found = {"test/acc": 0.531, "test/num_examples": 80_000}
    floors = {"chance": 0.51}
    write_record(metrics=found, floors=floors, model="a", config={"task": {"num_test": 2000}})
    write_record(metrics=found, floors=floors, model="b")
    page = write_leaderboard(results).read_text()
    assert row(page, "a")[2] == "0 of 1"
    assert row(page, "b")[2] == "1 of 1"
    assert "- Test sequences: 2,000 or 80,000 (80,000 targets) at the trained lengths" in page


def test_where_every_answer_is_right_the_bound_of_so_many_sequences_stands(
    results: Path, write_record: WriteRecord
) -> None:
    config = {"task": {"eval_lengths": [3000], "eval_examples": [32]}}
    metrics = {"test/acc@3000": 1.0, "test/num_examples@3000": 32}
    write_record(metrics=metrics, config=config)
    assert row(write_leaderboard(results).read_text(), "bmru")[1:3] == ["100.00 (≥ 99.85)", "100.00 (≥ 91.06)"]
    for seed in (1, 2):
        write_record(metrics=metrics, config=config, seed=seed)
    assert row(write_leaderboard(results).read_text(), "bmru")[2] == "100.00 (≥ 91.06)"  # on the same 32 sequences
