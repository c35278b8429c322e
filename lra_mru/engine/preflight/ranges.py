"""The range of every number of a config, checked before anything starts. Sizes of a task stand with the task."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lra_mru.engine.arguments import MAX_SEED
from lra_mru.engine.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """From low to high. whole: integers alone; above, below: without the bound itself; optional: null as well."""

    low: float
    high: float = math.inf
    whole: bool = False
    above: bool = False
    below: bool = False
    optional: bool = False

    def holds(self, value: Any) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, int) and abs(value) > MAX_SEED:
            return False
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        if not math.isfinite(value):
            return False
        return (value > self.low if self.above else value >= self.low) and (
            value < self.high if self.below else value <= self.high
        )

    def __str__(self) -> str:
        text = "an integer" if self.whole else "a number"
        low = f"{'above' if self.above else 'of at least'} {self.low:g}"
        high = "" if self.high == math.inf else f" and {'below' if self.below else 'at most'} {self.high:g}"
        return f"{text} {low}{high}{', or null' if self.optional else ''}"


COUNT, POSITIVE, AT_LEAST_0 = Range(1, whole=True), Range(0, above=True), Range(0)
SHARE = Range(0, 1)
RANGES = {  # of a dotted key; * is any name
    "seed": Range(0, MAX_SEED, whole=True),
    "trials": COUNT,
    "checkpoint_minutes": AT_LEAST_0,
    "budget.steps": COUNT,
    "budget.val_every_steps": COUNT,
    "trainer.max_steps": COUNT,
    "failing_length.cap": Range(1, whole=True, optional=True),
    "failing_length.rows": COUNT,
    "failing_length.bars.*": Range(0.001, 1),
    "trainer.accumulate_grad_batches": Range(1, 1_000_000, whole=True),
    "trainer.num_nodes": COUNT,
    "trainer.log_every_n_steps": COUNT,
    "trainer.gradient_clip_val": Range(0, above=True, optional=True),
    "optim.lr": POSITIVE,
    "optim.weight_decay": AT_LEAST_0,
    "optim.warmup_fraction": Range(0, 1, below=True),
    "optim.betas.*": Range(0, 1, below=True),
    "optim.groups.*.lr_factor": AT_LEAST_0,  # 0: these parameters stay as they are at the start
    "optim.groups.*.weight_decay": AT_LEAST_0,
    "logger.connect_timeout_s": POSITIVE,
    "logger.finish_timeout_s": POSITIVE,
    "model.d_model": Range(1, 65_536, whole=True),
    "model.depth": Range(1, 10_000, whole=True),
    "model.block_params": Range(0, above=True, optional=True),
    "model.dropout": Range(0, 1, below=True),
    "model.mixers.*.expand": POSITIVE,
    "model.mixers.*.min_openings_per_sequence": POSITIVE,
    "model.mixers.*.max_openings_per_step": SHARE,
    "model.mixers.*.share_slowest": SHARE,
    "model.mixers.*.alpha": POSITIVE,
    "model.mixers.*.carry_grad": SHARE,
    "model.mixers.*.lower_threshold": POSITIVE,
    "model.mixers.*.num_states": Range(2, 64, whole=True),
    "model.mixers.*.temperature": POSITIVE,
    "model.mixers.*.table_std": POSITIVE,
    "model.mixers.*.spread_cost": AT_LEAST_0,
    "model.mixers.*.r_min": Range(0, 1, below=True),
    "model.mixers.*.r_max": Range(0, 1, above=True, below=True),
    "model.mixers.*.max_phase": Range(0, 2 * math.pi, above=True),
    "model.mixers.*.d_state": COUNT,
    "model.mixers.*.d_conv": Range(2, whole=True),
    "model.mixers.*.dt_min": POSITIVE,
    "model.mixers.*.dt_max": POSITIVE,
    "model.mixers.*.num_heads": COUNT,
    "model.mixers.*.rotary_base": Range(1, above=True),
    "model.mixers.*.max_length": Range(1, whole=True, optional=True),
}


def check_ranges(cfg: DictConfig) -> None:
    """Raises: ConfigError in one line, naming a number that is out of its range, or no number where one must be.

    A key without a range here (a user's own mixer) must at least be finite; its constructor knows the rest.
    """
    for key, value in _leaves(cfg, ""):
        found = _range_of(key)
        if found is not None:
            if not found.holds(value):
                raise ConfigError(f"{key}={_shown(value)} must be {found}")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key}={value} must be a finite number")
        elif isinstance(value, int) and abs(value) > MAX_SEED:
            raise ConfigError(f"{key}={value} must be an integer of 64 bits")
    if not isinstance(cfg.optim.get("betas"), ListConfig) or len(cfg.optim.betas) != 2:
        raise ConfigError(f"optim.betas={cfg.optim.get('betas')} must be two numbers, as [0.9,0.999]")


def _range_of(key: str) -> Range | None:
    return next((found for pattern, found in RANGES.items() if _matches(key, pattern)), None)


def _matches(key: str, pattern: str) -> bool:
    return key.count(".") == pattern.count(".") and fnmatchcase(key, pattern)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _leaves(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every plain value with its dotted key, and whatever stands for a number; entries of a list count from 0."""
    plain: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    pairs = plain.items() if isinstance(plain, dict) else enumerate(plain)
    for key, value in pairs:
        if isinstance(value, (dict, list)) and _range_of(f"{prefix}{key}") is None:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
