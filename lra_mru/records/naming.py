"""The name of a run: a hash of what it computes. What cannot change a number has no part in it.

Two rules are understood, and a record says as `name_rule` which of them named it. Rule 1, of records that say nothing,
hashed the whole config, folders and loaders included. Rule 2 hashes `computed(config)`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

RULE = 2
# where a run's files lie, which of several equal runs it is, and when it is saved
NOT_COMPUTED = (
    *("seed", "results_dir", "data_dir", "runs_dir", "logger", "trials"),
    *("resume", "force", "checkpoint_minutes"),
)
# rows are checked, wherever they come from; how many of them are evaluated or loaded at a time changes no score
NOT_COMPUTED_OF_TASK = ("seed", "data_dir", "lra_dir", "mnist_dir", "hub_id", "num_workers", "eval_batch_tokens")
# on which devices, seen by which tools; a batch is the global one, and recomputed activations are the same
NOT_COMPUTED_OF_TRAINER = (
    *("_target_", "accelerator", "devices", "num_nodes", "strategy", "benchmark", "log_every_n_steps"),
    *("profiler", "detect_anomaly", "activation_checkpointing", "cuda_graphs"),
)
NEUTRAL_OF_TRAINER: dict[str, tuple[Any, ...]] = {  # values that say the same as a key that is left out
    "accumulate_grad_batches": (1,),
    "deterministic": (False, None),
    "gradient_clip_algorithm": ("norm", None),
    "gradient_clip_val": (0, None),
    "precision": ("32-true",),
    "float32_matmul_precision": ("highest", None),
}
PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true", "None": "32-true"}


def computed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that can change a number, written in one way; computed(computed(c)) == computed(c).

    The steps of the budget are those that the trainer takes, and a budget that takes others is "custom".
    """
    found = {key: value for key, value in config.items() if key not in NOT_COMPUTED}
    found["task"] = _without(found.get("task"), NOT_COMPUTED_OF_TASK)
    trainer = _without(found.get("trainer"), NOT_COMPUTED_OF_TRAINER)
    budget = dict(found.get("budget") or {})
    if "max_steps" in trainer:
        steps = trainer.pop("max_steps")
        if steps != budget.get("steps"):
            budget |= {"name": "custom", "steps": steps}
        if isinstance(every := budget.get("val_every_steps"), int) and isinstance(steps, int):
            budget["val_every_steps"] = min(every, steps)
    if "precision" in trainer:
        trainer["precision"] = precision_name(trainer["precision"])
    found["budget"] = budget
    found["trainer"] = {k: v for k, v in trainer.items() if v not in NEUTRAL_OF_TRAINER.get(k, ())}
    if not found.get("callbacks"):
        found.pop("callbacks", None)
    if (found.get("failing_length") or {}).get("cap") is None:  # not measured
        found.pop("failing_length", None)
    return {key: _plain(value) for key, value in found.items()}


def precision_name(precision: Any) -> str:
    """Lightning's full name of a precision: "32-true" of 32, "32" or null."""
    return PRECISIONS.get(str(precision), str(precision))


def name_of(config: Mapping[str, Any]) -> str:
    """The first 8 hexadecimal digits of the SHA-256 of what a config computes: rule 2."""
    return _hash(computed(config))


def name_by_rule_1(config: Mapping[str, Any]) -> str:
    """The name that records without `name_rule` carry: of every key but seed and some folders."""
    return _hash(config)


def present_name(config: Mapping[str, Any], config_hash: str) -> str:
    """What rule 2 calls a run that rule 1 called config_hash; unchanged if rule 1 does not call the config so."""
    return name_of(config) if config_hash == name_by_rule_1(config) else config_hash


def _hash(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _without(node: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in (node or {}).items() if key not in keys}


def _plain(value: Any) -> Any:
    """1.0 and 1 are one number, and have one name."""
    if isinstance(value, Mapping):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
