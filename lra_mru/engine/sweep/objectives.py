"""What a sweep may ask for, and where a record says it. The test set is not among it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lra_mru.engine.arguments import nearest
from lra_mru.engine.errors import ConfigError

Goal = Literal["maximize", "minimize"]
GOALS: dict[str, Goal] = {
    "val/acc": "maximize",
    "train_tokens_per_s": "maximize",
    "eval_tokens_per_s": "maximize",
    "step_ms": "minimize",
    "peak_bytes": "minimize",
    "activation_bytes_per_token": "minimize",
    "state_bytes": "minimize",
    "num_params": "minimize",
}


@dataclass(frozen=True)
class Objective:
    """name: a key of GOALS."""

    name: str
    goal: Goal


def objective(where: str, name: str) -> Objective:
    """Raises: ConfigError for a name that no record has, and for whatever the test set says."""
    if name.startswith("test/"):
        raise ConfigError(f"{where}={name}: selection is on validation; use val/acc")
    if name not in GOALS:
        raise ConfigError(f"{where}={name}: there is no such objective{nearest(name, GOALS)}")
    return Objective(name, GOALS[name])


def measured(record: dict[str, Any]) -> dict[str, float]:
    """Every objective that a record has a number for."""
    flat = {"val/acc": record["metrics"]["val/acc"], "num_params": record["num_params"]}
    flat |= record["throughput"] | record["memory"]
    return {name: flat[name] for name in GOALS if flat.get(name) is not None}


def values_of(objectives: Sequence[Objective], record: dict[str, Any]) -> list[float]:
    """The objectives' values in order. Raises: ConfigError if the record has none for one of them."""
    found = measured(record)
    if missing := [o.name for o in objectives if o.name not in found]:
        raise ConfigError(f"objective {missing[0]}: {record['model']} has no such number")
    return [found[o.name] for o in objectives]
