"""Failing lengths and certificates as the leaderboard shows them."""

import json
from pathlib import Path
from typing import Any

import pytest

from lra_mru.records.digest import as_text
from lra_mru.report import write_leaderboard
from lra_mru.report.figures.accuracy import make_figure
from lra_mru.report.load import load_good, load_records
from lra_mru.report.sections import make_sections

SPEC = {"task": "state_tracking", "variant": "z2, every prefix, T = 64"}


def measured(*lengths: int | None, reached: int = 1024) -> list[dict[str, Any]]:
    return [{"rows": 128, "cap": 1024, "reached": reached, "at": {"0.9": n, "1.0": n}} for n in lengths]


@pytest.mark.parametrize(
    ("lengths", "cell"),
    [
        ((100, 200, 300), "200 (3 of 3 learned)"),
        ((100, 64, 300), "200 (2 of 3 learned)"),  # 64 is the trained length: not learned
        ((10, 20, 64), "none (0 of 3 learned)"),
        ((None, None, 90), "no failure to 1,024 (3 of 3 learned)"),
    ],
)
def test_the_median_is_of_the_seeds_that_learned(results, write_record, lengths, cell) -> None:
    for seed, failing in enumerate(measured(*lengths)):
        write_record(**SPEC, seed=seed, failing_length=failing)
    page = write_leaderboard(results).read_text()
    assert "failing length (bar 90.00 %)" in page
    assert f"| {cell} |" in page
    assert "| NFSM (1 layer) | 1M+ |" in page  # the published ones stand apart


def certificate(path: Path, **changes: Any) -> Path:
    place = path.with_suffix(".certificate.json")
    record = json.loads(path.read_text())
    names = {"task": record["task"], "variant": record["variant"], "weights_sha256": "abc"}
    place.write_text(as_text(names | {"schema": 3, "grade": "every word", "wrong_steps": 0} | changes))
    return place


def test_infinity_is_printed_with_a_link_and_never_without_a_certificate(results, write_record) -> None:
    paths = [write_record(**SPEC, seed=seed, best_weights_sha256="abc") for seed in range(3)]
    assert "∞" not in write_leaderboard(results).read_text().split("## state_tracking")[1]
    certificate(paths[0])
    certificate(paths[1], grade="once settled", wrong_steps=4)
    page = write_leaderboard(results).read_text()
    folder = "runs/state_tracking/bmru-1a2b3c4d"
    assert f"[∞]({folder}/seed0.certificate.json) [no]({folder}/seed1.certificate.json) |" in page
    assert len(load_records(results)) == 3  # certificates are no records


def test_the_overview_and_the_figure_count_seeds_that_are_proven(results, write_record) -> None:
    metrics = {"test/acc@3000": 1.0, "test/num_examples@3000": 64}
    paths = [write_record(**SPEC, seed=seed, best_weights_sha256="abc", metrics=metrics) for seed in range(2)]
    assert "∞" not in write_leaderboard(results).read_text().split("How to read")[0]
    certificate(paths[0])
    overview = write_leaderboard(results).read_text().split("How to read")[0]
    assert overview.count("**100.0 (≥ 95.4), ∞ 1 of 2** |") == 1  # at the longest length alone
    (section,) = make_sections(load_records(results))
    (axes,) = make_figure(section).axes
    assert "bmru, ∞ proven 1 of 2" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights_sha256": "other"}, "it is of other weights than the record beside it"),
        ({"task": "parity"}, "it is of other task than"),
        ({"variant": "z2"}, "it is of other variant than"),
        ({"schema": 9}, "schema 9 is of another version"),
        ({"grade": "always"}, "grade 'always' is none of every word, "),
        ({"wrong_steps": 3}, "wrong_steps=3 with grade 'every word'"),
        ("edited", "its content is not what was written"),
        ("cut", "no readable certificate"),
        ("[]", "it holds list"),
    ],
)
def test_a_certificate_that_is_none_costs_the_proof_alone(results, write_record, capsys, changes, says) -> None:
    path = write_record(**SPEC, best_weights_sha256="abc")
    place = certificate(path, **(changes if isinstance(changes, dict) else {}))
    text = place.read_text()
    place.write_text({"edited": text.replace("every word", "from length n"), "cut": text[:30], "[]": "[]"}.get(
        str(changes), text
    ))  # fmt: skip
    records, complaints = load_good(results)
    assert [record.certificate for record in records] == [None]
    assert len(complaints) == 1
    assert complaints[0].startswith(f"{place}: ")
    assert says in complaints[0]
    page = write_leaderboard(results).read_text()
    assert "∞]" not in page
    assert says in capsys.readouterr().err


def test_without_either_no_column_stands(results, write_record) -> None:
    write_record()
    header = next(line for line in write_leaderboard(results).read_text().splitlines() if line.startswith("| model |"))
    assert "failing" not in header
    assert "every length" not in header


def test_all_failing_lengths_stand_in_one_table_with_the_published_ones_below(results, write_record) -> None:
    (short, endless) = measured(100, None)
    s3 = SPEC | {"variant": "s3, every prefix, T = 64"}
    for seed in range(2):
        write_record(**SPEC, seed=seed, failing_length=short)
        certificate(write_record(**s3, seed=seed, model="nfsm", failing_length=endless, best_weights_sha256="abc"))
    page = write_leaderboard(results).read_text()
    table = page.split("## Failing lengths: state_tracking (budget: quick)\n\n")[1].split("\n\n")[0]
    links = [f"[{monoid}](#state_tracking-{monoid}-every-prefix-t--64-budget-quick)" for monoid in ("s3", "z2")]
    assert table.splitlines() == [
        f"| model | {links[0]} | {links[1]} |",
        "| --- | ---: | ---: |",
        "| bmru | — | 100 (2 of 2) |",
        "| nfsm | > 1,024 (2 of 2), ∞ 2 of 2 | — |",
        "| NFSM (1 layer), *published* | 1M+ | 1M+ |",
        "| Mamba, eigenvalues in (-1, 1] (4 x 256), *published* | 186 | 4352 |",
        "| AUSSM (4 x 256), *published* | 128 | 144 |",
        "| PD-SSM (4 x 256), *published* | 133 | 110 |",
    ]


def test_one_monoid_alone_makes_no_such_table(results, write_record) -> None:
    write_record(**SPEC, failing_length=measured(100)[0])
    assert "## Failing lengths" not in write_leaderboard(results).read_text()


def test_two_sequences_are_above_no_floor_but_a_proof_is(results, write_record) -> None:
    config = {"task": {"eval_lengths": [3000], "eval_examples": [2]}}
    all_right = {"test/acc@3000": 1.0, "test/num_examples@3000": 2}
    common = {"floors": {"latest_symbol": 0.55}, "config": config, "metrics": all_right}
    certificate(write_record(**common, best_weights_sha256="abc"))
    write_record(**common, model="hybrid")
    page = write_leaderboard(results).read_text()
    assert page.count("| 1 of 1 | 1 of 1 | [∞]") == page.count("| 1 of 1 | — | — |") == 1
    assert "- Sequences at 3,000 are too few for any accuracy to lie above the floor; a proof does\n" in page
