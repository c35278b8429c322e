"""What the numbers and words of a record must be, so that every page and figure can be made from it."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lra_mru.records.form import Record

ACC = "test/acc"
TRAINED_LENGTH = r"\bT = (\d+)"  # as a variant names it
LONGEST_VARIANT = 200  # a figure is named by it
LARGEST = sys.float_info.max
MOST = 2**63 - 1  # of a count
MEASURES = {
    "throughput": ("train_tokens_per_s", "eval_tokens_per_s"),
    "memory": ("peak_bytes", "activation_bytes_per_token", "state_bytes"),
}


def check_content(path: Path, record: "Record") -> None:
    """Raises: ValueError in one line for what no run writes, naming the file, the value and the mend"""
    _check_numbers(path, record)
    _check_words(path, record)
    _check_config(path, record.config)
    _check_failing_length(path, record.failing_length)


def _check_numbers(path: Path, record: "Record") -> None:
    """Every number that the report prints is there, is finite, and an accuracy is one. A loss may be infinite."""
    for part, names in MEASURES.items():
        by_set = [name for name in getattr(record, part) if name.startswith("peak_bytes/")]
        for name in [*names, *by_set]:
            value = getattr(record, part).get(name, "missing")
            if value is not None and not _is_number(value):
                raise ValueError(f"{path}: {part}/{name}={value!r} must be a number or null: delete the file and rerun")
    if ACC not in record.metrics:
        raise ValueError(f"{path}: metric {ACC} is missing: delete the file and rerun")
    for key, value in {**record.metrics, **record.floors}.items():
        if (key in record.floors or re.search("/(seq_)?acc", key)) and not (_is_number(value) and 0 <= value <= 1):
            raise ValueError(f"{path}: {key}={value!r} must be between 0 and 1: delete the file and rerun")
    for key in record.metrics:
        if key == ACC or key.startswith(f"{ACC}@"):
            count = record.metrics.get(key.replace("acc", "num_examples"), 0)
            if not _is_number(count) or not 1 <= count <= MOST:
                raise ValueError(
                    f"{path}: {key} has {count} test examples, must be 1 or more: delete the file and rerun"
                )
    for point in record.curve:
        if not (isinstance(point, list) and len(point) == 2 and all(map(_is_number, point)) and 0 <= point[1] <= 1):
            raise ValueError(f"{path}: curve holds {point!r}, must be [step, accuracy]: delete the file and rerun")
    for name in ("attempt", "seed", "num_params", "steps", "best_step", "num_devices", "cores"):
        if not 0 <= getattr(record, name) <= MOST:
            raise ValueError(f"{path}: {name}={getattr(record, name)} must be a count: delete the file and rerun")
    if not (_is_number(record.wall_s) and record.wall_s >= 0):
        raise ValueError(f"{path}: wall_s={record.wall_s!r} must be a number of at least 0: delete the file and rerun")
    if record.git is not None and type(record.git.get("dirty")) is not bool:
        raise ValueError(f"{path}: git/dirty must be true or false: delete the file and rerun")


def _check_words(path: Path, record: "Record") -> None:
    """Names of files and folders come from them, and cells of tables."""
    for name in ("model", "task", "budget"):
        if not re.fullmatch(r"[\w.+-]+", getattr(record, name)):
            raise ValueError(f"{path}: {name}={getattr(record, name)!r} must be letters, digits and . + - _: rerun")
    if (record.lengths or record.failing_length) and not re.search(TRAINED_LENGTH, record.variant):
        raise ValueError(f"{path}: variant={record.variant!r} must name the trained length, as T = 300: rerun")
    for name, reason in record.skipped.items():
        if not isinstance(reason, str):
            raise ValueError(f"{path}: skipped/{name}={reason!r} must say why: delete the file and rerun")
    if not record.variant.isprintable() or len(record.variant) > LONGEST_VARIANT:
        raise ValueError(f"{path}: variant must be one line of at most {LONGEST_VARIANT} characters: rerun")
    if record.trials < 1:
        raise ValueError(f"{path}: trials={record.trials} must be at least 1: delete the file and rerun")


def _check_config(path: Path, config: dict[str, Any]) -> None:
    """What is read of a config: its parts hold keys, and a task's further test sets are lists of integers."""
    for part in ("task", "model", "optim", "budget", "trainer", "failing_length"):
        if not isinstance(config.get(part, {}), dict):
            raise ValueError(f"{path}: config/{part}={config[part]!r} must hold names and values: delete it and rerun")
    rate = config.get("optim", {}).get("lr")
    if rate is not None and not _is_number(rate):
        raise ValueError(f"{path}: config/optim/lr={rate!r} must be a number: delete it and rerun")
    task = config.get("task", {})
    for name in ("eval_lengths", "eval_examples"):
        value = task.get(name, [])
        if not isinstance(value, list) or not all(type(entry) is int for entry in value):
            raise ValueError(f"{path}: config/task/{name}={value!r} must be a list of integers: delete it and rerun")
    rows = {f"eval_examples[{i}]": value for i, value in enumerate(task.get("eval_examples", []))}
    for name, value in (rows | {"num_test": task.get("num_test", 1)}).items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{path}: config/task/{name}={value!r} must be an integer of at least 1: delete and rerun")


def _check_failing_length(path: Path, found: dict[str, Any] | None) -> None:
    """Rows, cap and the longest T that was tried are counts; for each bar there is a T, or none failed."""
    if found is None:
        return
    bars = found.get("at")
    if not isinstance(bars, dict) or not all(re.fullmatch(r"[01](\.\d+)?", str(bar)) for bar in bars):
        raise ValueError(f"{path}: failing_length/at={bars!r} must hold a T for each bar: delete the file and rerun")
    counts = {name: found.get(name) for name in ("rows", "cap", "reached")}
    counts |= {f"at/{bar}": value for bar, value in bars.items() if value is not None}
    for name, value in counts.items():
        if type(value) is not int or not 0 <= value <= MOST:
            raise ValueError(f"{path}: failing_length/{name}={value!r} must be a count: delete the file and rerun")


def _is_number(value: Any) -> bool:
    """A finite number that a float holds as well: whole numbers of a JSON file have any size."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST
