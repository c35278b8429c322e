"""The overview: which rows stand in it, what is bold, and the sentences that the records write."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lra_mru.report import readme_block, write_leaderboard
from lra_mru.report.compare import best_of
from lra_mru.report.figures.accuracy import make_figure
from lra_mru.report.load import load_records
from lra_mru.report.matrix import estimates_of, make_matrix, short_names
from lra_mru.report.order import FIRST_TASKS, LOOKS, in_order, look_of
from lra_mru.report.sections import Section, make_sections
from lra_mru.report.tables.cells import rerun
from lra_mru.report.tables.findings import findings
from lra_mru.report.tables.overview import cell_text, matrix_table

WriteRecord = Callable[..., Path]
CONFIGS = Path(__file__).parents[2] / "conf" / "model"


@pytest.fixture
def three_models(write_record: WriteRecord) -> None:
    """bmru holds what it learned, lru forgets it, the transformer cannot read so far; each on two tasks."""
    for number, task in enumerate(["copy_first", "adding"]):
        for seed in (10, 11, 12):
            for model, far, speed in [
                ("bmru", 1.0, 100.0),
                ("lru", 0.13 + seed / 1000, 200.0),
                ("transformer", None, 50.0),
            ]:
                reached = {} if far is None else {"test/acc@300000": far, "test/num_examples@300000": 32}
                measured = {"train_tokens_per_s": speed, "eval_tokens_per_s": 1.0, "step_ms": 1.0}
                write_record(
                    model=model, task=task, seed=seed, metrics=reached, throughput=measured,
                    config_hash=f"0000000{number}", skipped={"test/acc@300000": "too long"} if far is None else {},
                    command=f"python train.py model={model} task={task} seed={seed} budget=quick",
                )  # fmt: skip


def sections(results: Path) -> list[Section]:
    return make_sections(load_records(results))


@pytest.mark.usefixtures("three_models")
def test_a_task_has_a_line_at_the_trained_and_one_at_the_longest_length(results: Path) -> None:
    table = matrix_table(make_matrix(sections(results)), "page.md").splitlines()
    assert table[0] == "| task | bmru | lru | transformer |"
    assert table[2].startswith("| [copy_first](page.md#copy_first-symbols-t--300-budget-quick), at 300 | **100.0")
    assert table[3].endswith(", at 300,000 | **100.0 (≥ 91.0)** | 14.1 ± 0.2 | too long |")
    assert len(table) == 6


@pytest.mark.usefixtures("three_models")
def test_findings_are_those_of_the_records(results: Path) -> None:
    kept, learned, cost = findings(make_matrix(sections(results)))
    assert "Tested at up to 1,000 times the trained length" in kept
    assert kept.endswith("at most 5 points at any length on: bmru 2 of 2, lru 0 of 2, transformer 0 of 2.")
    assert learned.endswith("bmru 2 of 2, lru 2 of 2, transformer 2 of 2.")
    assert cost.endswith("(cpu, 2 cores, 32-true; median over 2 tasks): lru 2.00 and 1.00, transformer 0.50 and 1.00.")


def test_speeds_of_two_machines_are_never_divided(results: Path, write_record: WriteRecord) -> None:
    for seed in range(2):
        write_record(model="bmru", seed=seed)
        write_record(model="lru", seed=seed, cores=64)
    assert not any("What it costs" in sentence for sentence in findings(make_matrix(sections(results))))


def test_rows_of_one_seed_stay_out_and_the_page_says_so(results: Path, write_record: WriteRecord) -> None:
    write_record(model="lru")
    assert "No row has 2 seeds yet" in write_leaderboard(results).read_text()
    assert "**copy_first: symbols, T = 300 (budget: quick)**" in readme_block(results)
    for seed in range(2):
        write_record(model="bmru", seed=seed)
    (line,) = make_matrix(sections(results))
    assert list(line.cells) == ["bmru"]
    assert readme_block(results).count("| task | bmru |") == 1


def test_a_task_of_one_model_has_a_line_only_while_no_task_compares(results: Path, write_record: WriteRecord) -> None:
    for seed in range(2):
        write_record(task="adding", seed=seed)
    assert [line.name for line in make_matrix(sections(results))] == ["adding"]
    for model in ("bmru", "lru"):
        write_record(model=model, seed=0)
        write_record(model=model, seed=1)
    assert [line.name for line in make_matrix(sections(results))] == ["copy_first"]


def test_of_several_configurations_validation_chooses(results: Path, write_record: WriteRecord) -> None:
    for seed in range(2):
        write_record(config_hash="0000000a", seed=seed, metrics={"val/acc": 0.8, "test/acc": 0.9})
        longer = {"val/acc@1000": 0.9, "val/num_examples@1000": 64}
        write_record(config_hash="0000000b", seed=seed, metrics={"val/acc": 0.8, "test/acc": 0.7} | longer)
    (line,) = make_matrix(sections(results))
    assert line.cells["bmru"].config_hash == "0000000b"


def test_nothing_is_bold_at_the_floor_and_some_seeds_are_counted(results: Path, write_record: WriteRecord) -> None:
    for seed in range(3):
        write_record(model="lru", seed=seed, metrics={"test/acc": 0.125})
        for model in ("lru", "mamba"):
            write_record(model=model, seed=seed, metrics={"test/acc": 0.125}, task="listops")
        write_record(model="bmru", seed=seed, metrics={"test/acc": 0.9 if seed else 0.125})
    first, second = make_matrix(sections(results))
    assert (first.best, second.best) == ({"bmru"}, frozenset())
    assert cell_text(first, "bmru") == "64.2 ± 111.2, 2 of 3"


def test_a_model_with_a_seed_that_learned_nothing_is_not_as_good_as_the_best(
    results: Path, write_record: WriteRecord
) -> None:
    for seed, accuracy in enumerate([0.84, 0.43, 0.125]):
        write_record(model="lru", seed=seed, metrics={"test/acc": accuracy})
        write_record(model="mamba", seed=seed, metrics={"test/acc": accuracy + 0.1})
        write_record(model="bmru", seed=seed)
    (line,) = make_matrix(sections(results))
    assert {"bmru", "mamba", "lru"} == best_of(estimates_of(line.section, "test/acc"))
    assert line.best == {"bmru"}  # mamba is above the floor in every seed, and 40 points behind


def test_names_hold_what_tells_them_apart_and_no_more() -> None:
    def section(task: str, variant: str, budget: str = "quick") -> Section:
        return Section(task=task, variant=variant, budget=budget, rows=[])

    symbols, gaussian = "symbols, T = 300, 8 + 8 tokens", "gaussian, T = 300, 8 codes"
    found = short_names(
        [section("a", symbols), section("a", gaussian), section("a", f"{symbols}, varied"), section("b", "x")]
    )
    assert found == ["a, symbols", "a, gaussian", "a, symbols, varied", "b"]
    assert short_names([section("b", "x"), section("b", "x", "full")]) == ["b", "b, budget full"]


def test_declared_tasks_come_first_then_the_others_by_name(results: Path, write_record: WriteRecord) -> None:
    for number, task in enumerate(["parity", *reversed(FIRST_TASKS), "adding"]):
        write_record(task=task, config_hash=f"0000000{number}")
    assert [section.task for section in sections(results)] == [*FIRST_TASKS, "adding", "parity"]


def test_a_section_of_single_seeds_stands_after_the_others(results: Path, write_record: WriteRecord) -> None:
    write_record(task="copy_first")
    for seed in range(2):
        write_record(task="parity", seed=seed)
    assert [section.task for section in sections(results)] == ["parity", "copy_first"]


def test_every_shipped_model_has_a_look_of_its_own_and_the_main_ones_a_colour() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} <= set(LOOKS)
    assert len(set(LOOKS.values())) == len(LOOKS)
    assert len({look.colour for look in list(LOOKS.values())[:9]}) == 9
    mine = look_of("my_model")
    assert mine == look_of("my_model")
    assert mine not in LOOKS.values()
    assert in_order(["zebra", "lru", "bmru", "ape", "lru"]) == ["bmru", "lru", "ape", "zebra"]


@pytest.mark.usefixtures("three_models")
def test_one_command_stands_beside_each_row(results: Path) -> None:
    page = write_leaderboard(results).read_text()
    assert "- lru (01234567): `python train.py -m model=lru task=adding seed=10,11,12 budget=quick`\n" in page
    rows = sections(results)[0].rows
    assert rerun(rows[0].records[:1]) == ["python train.py model=bmru task=copy_first seed=10 budget=quick"]


def test_commands_that_differ_in_more_than_the_seed_stay_apart(results: Path, write_record: WriteRecord) -> None:
    for seed, more in enumerate(["", " optim.lr=0.003"]):
        write_record(
            seed=seed, command=f"python train.py seed={seed}{more} 'runs_dir=<runs_dir>' results_dir=<results_dir>"
        )
    write_record(seed=2)  # of a version that did not say
    assert rerun(sections(results)[0].rows[0].records) == [
        "python train.py seed=0",
        "python train.py seed=1 optim.lr=0.003",
    ]


@pytest.mark.usefixtures("three_models")
def test_every_link_of_the_page_leads_to_a_file(results: Path) -> None:
    page = write_leaderboard(results).read_text()
    links = {link for link in re.findall(r"\]\(([^)]+)\)", page) if not link.startswith("#")}
    assert len(links) > 20
    assert [link for link in links if not (results / link).exists()] == []
    headings = {
        re.sub(r"[^\w\- ]", "", line[3:].lower()).replace(" ", "-")
        for line in page.splitlines()
        if line.startswith("## ")
    }
    assert {link[1:] for link in re.findall(r"\]\((#[^)]+)\)", page)} <= headings


def test_a_length_below_the_trained_one_stands_left_of_it(results: Path, write_record: WriteRecord) -> None:
    """delayed_mnist is tested without any delay as well, and 0 has no logarithm."""
    for seed in range(2):
        metrics = {f"test/acc@{n}": 0.5 for n in (0, 2000)} | {f"test/num_examples@{n}": 100 for n in (0, 2000)}
        write_record(task="delayed_mnist", variant="gaussian, T = 200", seed=seed, metrics=metrics)
    (section,) = sections(results)
    assert section.accuracy_metrics == ["test/acc@0", "test/acc", "test/acc@2000"]
    (axes,) = make_figure(section).axes
    ticks = [text.get_text().split("\n")[0] for text in axes.get_xticklabels()]
    assert ticks == ["0", "200 (trained)", "2,000"]
    assert axes.get_xlim()[0] > 0


def test_rows_of_one_seed_do_not_crowd_a_figure_where_the_model_has_more(
    results: Path, write_record: WriteRecord
) -> None:
    for seed in range(2):
        write_record(seed=seed, config_hash="0000000a")
    write_record(config_hash="0000000b")
    write_record(model="lru")
    (section,) = sections(results)
    assert [(row.model, len(row.records)) for row in section.drawn] == [("bmru", 2), ("lru", 1)]


def test_sequences_without_a_wrong_answer_have_a_table(results: Path, write_record: WriteRecord) -> None:
    write_record(pooling="per step", metrics={"test/seq_acc": 0.25})
    page = write_leaderboard(results).read_text()
    assert "### Sequences without a wrong answer\n" in page
    assert "| 25.00 |" in page
    write_record(model="lru", task="listops", metrics={"test/seq_acc": 0.25})
    assert write_leaderboard(results).read_text().count("without a wrong answer") == 1
