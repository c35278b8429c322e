"""A record that cannot be trusted stops the report with one line that names the file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lra_mru.report.load import load_attempts, load_records

WriteRecord = Callable[..., Path]


def test_a_good_record_is_read_whole(results: Path, write_record: WriteRecord) -> None:
    write_record(metrics={"test/acc@3000": 0.5, "test/num_examples@3000": 256, "test/loss": float("nan")})
    (record,) = load_records(results)
    assert (record.model, record.seed, record.num_params) == ("bmru", 0, 24584)
    assert record.lengths == {3000}
    assert record.machine == "cpu, 2 cores, 32-true"


def test_lengths_count_whether_run_or_skipped_and_groups_are_no_lengths(
    results: Path, write_record: WriteRecord
) -> None:
    metrics = {"test/acc@3000": 0.5, "test/num_examples@3000": 256, "test/acc/MIN": 0.4, "test/acc/MIN@3000": 0.4}
    write_record(metrics=metrics, skipped={"test/acc@300000": "too long"})
    (record,) = load_records(results)
    assert (record.lengths, record.groups) == ({3000, 300000}, {"MIN"})


def test_a_temporary_file_of_a_writer_is_no_record(results: Path, write_record: WriteRecord) -> None:
    path = write_record()
    path.with_name(".seed1.json.123").write_text("{")
    path.with_name(".seed1.json").write_text("{")
    assert len(load_records(results)) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schema": 3}, "schema 3, this report reads 1 and 2"),
        ({"num_params": "many"}, "num_params='many' must be of type int"),
        ({"bidirectional": 1}, "bidirectional=1 must be of type bool"),
        ({"steps": True}, "steps=True must be of type int"),
        ({"git": {"commit": "abc"}}, "git/dirty must be true or false"),
        ({"metrics": {"test/acc": 1.5}}, "test/acc=1.5 must be between 0 and 1"),
        ({"metrics": {"test/acc": float("nan")}}, "test/acc=nan must be between 0 and 1"),
        ({"metrics": {"test/acc@3000": 0.5}}, "test/acc@3000 has 0 test examples"),
        ({"floors": {"chance": 12.5}}, "chance=12.5 must be between 0 and 1"),
        (
            {"throughput": {"train_tokens_per_s": 1.0}},
            "throughput/eval_tokens_per_s='missing' must be a number or null",
        ),
        (
            {"variant": "x", "metrics": {"test/acc@9": 1.0, "test/num_examples@9": 2}},
            "variant='x' must name the trained",
        ),
        (
            {"variant": "x", "failing_length": {"rows": 1, "cap": 9, "reached": 9, "at": {"1.0": 9}}},
            "variant='x' must name the trained length, as T = 300",
        ),
        ({"variant": "x\ny"}, "variant must be one line of at most 200 characters"),
        ({"variant": "x" * 201}, "variant must be one line of at most 200 characters"),
        ({"metrics": {"test/num_examples": 10**400}}, "test/acc has 1"),
        ({"metrics": {"test/seq_acc": "x"}}, "test/seq_acc='x' must be between 0 and 1"),
        ({"metrics": {"test/seq_acc@9": {}}}, "test/seq_acc@9={} must be between 0 and 1"),
        ({"floors": {"chance": 10**400}}, "chance=1"),
        ({"memory": {"peak_bytes": 10**400}}, "memory/peak_bytes=1"),
        ({"steps": 10**30}, "steps=1000000000000000000000000000000 must be a count"),
        ({"num_params": -1}, "num_params=-1 must be a count"),
        ({"wall_s": float("nan")}, "wall_s=nan must be a number of at least 0"),
        ({"wall_s": -1.0}, "wall_s=-1.0 must be a number of at least 0"),
        ({"skipped": {"acc@9": 5}}, "skipped/acc@9=5 must say why"),
        ({"config": {"optim": {"lr": "abc"}}}, "config/optim/lr='abc' must be a number"),
        ({"failing_length": {"rows": 5, "cap": 10**30, "reached": 9, "at": {}}}, "failing_length/cap=1"),
        ({"curve": [[100, 1.5]]}, "curve holds [100, 1.5], must be [step, accuracy]"),
        ({"command": 7}, "command=7 must be of type str or NoneType"),
        ({"memory": {"peak_bytes": "1 GB"}}, "memory/peak_bytes='1 GB' must be a number or null"),
    ],
)
def test_wrong_content_is_named(
    results: Path, write_record: WriteRecord, changes: dict[str, Any], complaint: str
) -> None:
    path = write_record(**changes)
    with pytest.raises(ValueError, match=re.escape(f"{path}: ") + ".*" + re.escape(complaint)):
        load_records(results)


@pytest.mark.parametrize("field", ["metrics", "floors", "seed", "variant"])
def test_a_missing_field_is_named(results: Path, write_record: WriteRecord, field: str) -> None:
    path = write_record()
    record = json.loads(path.read_text())
    del record[field]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=re.escape(f"{path}: field '{field}' is missing")):
        load_records(results)


def test_missing_test_accuracy_is_named(results: Path, write_record: WriteRecord) -> None:
    path = write_record()
    path.write_text(path.read_text().replace('"test/acc"', '"test/accuracy"'))
    with pytest.raises(ValueError, match="metric test/acc is missing"):
        load_records(results)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '{"schema": 2', "\xff", "[" * 100_000], ids=range(7))
def test_a_truncated_or_foreign_file_is_named(results: Path, write_record: WriteRecord, content: str) -> None:
    path = write_record()
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=re.escape(f"{path}: ")) as error:
        load_records(results)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["copy_first/bmru-1a2b3c4d/seed1.json", "listops/bmru-1a2b3c4d/seed0.json"])
@pytest.mark.parametrize("model", ["bmru", "lru"])
def test_path_and_content_must_agree(results: Path, write_record: WriteRecord, place: str, model: str) -> None:
    path = write_record(model=model)
    target = results / "runs" / place
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    with pytest.raises(ValueError, match=f"its content belongs at runs/copy_first/{model}-1a2b3c4d/seed0.json"):
        load_records(results)


@pytest.mark.parametrize("changes", [{"variant": "gaussian, T = 300"}, {"budget": "full"}, {"num_params": 1}])
def test_seeds_of_one_configuration_must_agree(
    results: Path, write_record: WriteRecord, changes: dict[str, Any]
) -> None:
    write_record(seed=0)
    path = write_record(seed=1, **changes)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*differs from .* in seed0.json"):
        load_records(results)


def test_of_several_attempts_at_a_run_the_newest_counts(results: Path, write_record: WriteRecord) -> None:
    for attempt in (2, 10, 1):
        write_record(attempt=attempt, wall_s=float(attempt))
    write_record(seed=1)
    assert [(r.seed, r.attempt, r.wall_s) for r in load_records(results)] == [(0, 10, 10.0), (1, 1, 70.0)]
    assert len(load_attempts(results)) == 4


def test_a_record_of_the_first_schema_is_still_read(results: Path, write_record: WriteRecord) -> None:
    path = write_record(schema=1)
    record = json.loads(path.read_text())
    del record["attempt"]
    path.write_text(json.dumps(record))
    assert load_records(results)[0].attempt == 1


def test_a_results_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere does not exist.*--results"):
        load_records(tmp_path / "nowhere")
