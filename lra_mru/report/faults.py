"""What speaks against a record by itself: its name, what made it, its steps, its numbers."""

import math
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from lra_mru.places import CONF, PACKAGE
from lra_mru.records.content import ACC
from lra_mru.records.digest import DIGEST
from lra_mru.records.form import Record
from lra_mru.records.naming import RULE, name_by_rule_1, name_of
from lra_mru.report.rows import num_examples

CUSTOM = "custom"
SHA256 = re.compile(r"[0-9a-f]{64}")
ROUNDING = 1e-6  # of a float32 accuracy: what it may be off by, as a share of its examples


def faults(record: Record, raw: dict[str, Any]) -> list[str]:
    """Each fault in a few words; raw: the record's file, of which Record holds a part."""
    return [*_of_name(record), *_of_source(record, raw), *_of_steps(record), *_of_numbers(record)]


def _of_name(record: Record) -> Iterator[str]:
    """Its name is the hash of its config, by the rule that it says."""
    rules = {1: name_by_rule_1, RULE: name_of}
    if record.name_rule not in rules:
        yield f"name_rule={record.name_rule} is none that this version knows"
    elif (name := rules[record.name_rule](record.config)) != record.config_hash:
        yield f"its config has the hash {name}, not {record.config_hash}"


def _of_source(record: Record, raw: dict[str, Any]) -> Iterator[str]:
    """Anybody can look up the code that made it, and that it is what was written."""
    if record.git is None:
        yield "it names no commit: run it in a clone"
    elif record.dirty:
        yield "made by code that differs from its commit (git: dirty): commit, then run it again"
    else:
        commit = str(record.git.get("commit"))
        if not re.fullmatch(r"[0-9a-f]{40}", commit) or not _is_known(commit):
            yield f"commit {commit[:12]} is none of this repository: send its branch, too"
    versions = raw.get("versions")
    if not isinstance(versions, dict) or "torch" not in versions:
        yield "it does not say with which version of torch it was made"
    if DIGEST not in raw:
        yield "it has no digest: an older version wrote it, and an edit would not be seen"
    for name in ("weights_sha256", "best_weights_sha256"):
        if not SHA256.fullmatch(str(raw.get(name))):
            yield f"{name} is no SHA-256 of weights"


@cache
def _is_known(commit: str) -> bool:
    """Whether this clone has the commit; where this is no clone, nobody can tell, and it counts as known."""
    if not (PACKAGE.parent / ".git").exists():
        return True
    command = ["git", "-C", str(PACKAGE.parent), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _of_steps(record: Record) -> Iterator[str]:
    """It took the steps of its budget, and the budget is the one that this version knows by the name."""
    budget = record.config.get("budget")
    budget = budget if isinstance(budget, dict) else {}
    if record.budget == CUSTOM:
        yield "its budget is custom: only runs of a whole protocol are compared"
    elif budget.get("name") != record.budget:
        yield f"budget={record.budget}, its config says {budget.get('name')}"
    else:
        ours = _yaml("budget", record.budget) | _yaml("protocol", f"{record.task}_{record.budget}").get("budget", {})
        if budget.get("steps") != ours.get("steps"):
            steps = f"{ours.get('steps')} steps here, {budget.get('steps')} there"
            yield f"budget {record.budget} of {record.task} has {steps}"
    if record.steps != budget.get("steps"):
        yield f"it took {record.steps} steps, its budget has {budget.get('steps')}"
    if not 1 <= record.best_step <= record.steps:
        yield f"best_step={record.best_step} is no step of {record.steps}"


def _yaml(group: str, name: str) -> dict[str, Any]:
    path = CONF / group / f"{name}.yaml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def _of_numbers(record: Record) -> Iterator[str]:
    """An accuracy is a whole number of right answers, over the sets that its config asks for."""
    task, metrics = record.config.get("task", {}), record.metrics
    if "val/acc" not in metrics:
        yield "val/acc is missing"
    asked = {f"{ACC}@{length}" for length in task.get("eval_lengths", [])} | {ACC}
    there = {f"{ACC}@{length}" for length in record.lengths} | {ACC}
    if asked != there:
        yield f"its config asks for other test sets: {', '.join(sorted(asked ^ there))}"
    for key, value in metrics.items():
        if "seq_acc" in key and not (isinstance(value, (int, float)) and 0 <= value <= 1):
            yield f"{key}={value!r} must be between 0 and 1"
        if "/loss" in key and not (isinstance(value, (int, float)) and (value >= 0 or math.isnan(value))):
            yield f"{key}={value!r} must be at least 0"
    for key in sorted(there & metrics.keys()):
        n = num_examples(record, key)
        if metrics[key.replace("acc", "num_examples")] != n:
            yield f"{key.replace('acc', 'num_examples')} is no whole number"
        if n < _rows_asked(record, key):
            yield f"{key} has {n} test examples, its config asks for {_rows_asked(record, key)} sequences"
        right = metrics[key] * n
        if abs(right - round(right)) > max(ROUNDING * n, 1e-3):
            yield f"{key}={metrics[key]!r} is no share of {n} examples"
    if "chance" not in record.floors:
        yield "floors do not say what chance gives"
    if record.num_params < 1:
        yield f"num_params={record.num_params} must be at least 1"


def _rows_asked(record: Record, metric: str) -> int:
    """Sequences of a test set, as the config asks for them; 1 where it does not say."""
    task, length = record.config.get("task", {}), metric.partition("@")[2]
    if length:
        rows = dict(zip(task.get("eval_lengths", []), task.get("eval_examples", []), strict=False)).get(int(length))
    else:
        rows = task.get("num_test")
    return rows if isinstance(rows, int) else 1
