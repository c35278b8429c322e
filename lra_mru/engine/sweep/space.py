"""One parameter of a W&B sweep file, as Optuna samples it and as Hydra reads it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from lra_mru.engine.arguments import nearest
from lra_mru.engine.errors import ConfigError

MOST_EXPONENT = 700  # whose power of e a float holds
MOST_STEPS = 2**53  # whole numbers that a float holds exactly
UNIFORM, QUANTIZED = {"min", "max"}, {"min", "max", "q"}
KEYS = {  # distribution -> its keys
    "constant": {"value"},
    "categorical": {"values"},
    "int_uniform": UNIFORM,
    "uniform": UNIFORM,
    "q_uniform": QUANTIZED,
    "log_uniform": UNIFORM,  # min and max are exponents of e
    "q_log_uniform": QUANTIZED,
    "log_uniform_values": UNIFORM,
    "q_log_uniform_values": QUANTIZED,
}
LACKING: tuple[str, ...] = (
    "normal",
    "q_normal",
    "log_normal",
    "q_log_normal",
    "beta",
    "q_beta",
    "categorical_w_probabilities",
)
LACKING += ("inv_log_uniform", "inv_log_uniform_values")


@dataclass(frozen=True)
class Choice:
    """One of some values, each written as an override writes it."""

    values: tuple[str, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> str:
        return str(trial.suggest_categorical(name, self.values))

    def examples(self) -> tuple[str, ...]:
        """A value of every kind that may be sampled."""
        return self.values

    def num_points(self) -> float:
        return len(self.values)


@dataclass(frozen=True)
class Range:
    """A number between low and high; uniform, or uniform in its logarithm; with q, rounded to the nearest multiple."""

    low: float
    high: float
    log: bool = False
    integer: bool = False
    q: float | None = None

    def suggest(self, trial: optuna.Trial, name: str) -> str:
        if self.integer:
            return str(trial.suggest_int(name, round(self.low), round(self.high)))
        return self._written(trial.suggest_float(name, self.low, self.high, log=self.log))

    def examples(self) -> tuple[str, ...]:
        """A value of every kind that may be sampled: both ends and one between."""
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return tuple(dict.fromkeys(self._written(value) for value in (self.low, middle, self.high)))

    def num_points(self) -> float:
        """How many different values there are; infinity where they cannot be counted."""
        if self.integer:
            return round(self.high) - round(self.low) + 1
        if self.q is None or self.log:
            return math.inf
        return round(self.high / self.q) - round(self.low / self.q) + 1

    def grid(self) -> Choice:
        """Every value. Needs num_points() to be finite"""
        if self.integer:
            return Choice(tuple(str(k) for k in range(round(self.low), round(self.high) + 1)))
        assert self.q is not None
        steps = range(round(self.low / self.q), round(self.high / self.q) + 1)
        return Choice(tuple(self._written(k * self.q) for k in steps))

    def _written(self, value: float) -> str:
        if self.integer:
            return str(math.floor(value))
        if self.q is None:
            return f"{value:.6g}"  # a run is named by what is written: nothing is rounded later
        rounded = round(value / self.q) * self.q
        return str(round(rounded)) if float(self.q).is_integer() else f"{rounded:.6g}"


def read_space(where: str, node: Any) -> Choice | Range:
    """A parameter of the file. Raises: ConfigError naming the key, what it says and the mend."""
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where}={node!r} must have value, values, or min and max below it")
    if "parameters" in node:
        raise ConfigError(f"{where}.parameters: nested parameters cannot be overrides; write names with dots: optim.lr")
    if "probabilities" in node:
        raise ConfigError(f"{where}.probabilities: Optuna has no weighted choice; leave it out, or use `wandb sweep`")
    kind = node.get("distribution") or _implied(where, node)
    if kind in LACKING:
        raise ConfigError(f"{where}.distribution={kind}: Optuna has no such distribution; use one of {', '.join(KEYS)}")
    if kind not in KEYS:
        raise ConfigError(f"{where}.distribution={kind}: there is no such distribution{nearest(str(kind), KEYS)}")
    for key in set(node) - KEYS[kind] - {"distribution"}:
        raise ConfigError(f"{where}.{key}: {kind} has no such key{nearest(str(key), KEYS[kind])}")
    for key in KEYS[kind] - set(node) - {"q"}:
        raise ConfigError(f"{where}.{key} is missing: {kind} needs it")
    if kind == "constant":
        return Choice((as_override(where, node["value"]),))
    if kind == "categorical":
        return _choice(where, node["values"])
    return _range(where, kind, node)


def _implied(where: str, node: Mapping[str, Any]) -> str:
    """The distribution that W&B takes where none is named."""
    if "value" in node:
        return "constant"
    if "values" in node:
        return "categorical"
    if "min" in node and "max" in node:
        return "int_uniform" if all(type(node[key]) is int for key in ("min", "max")) else "uniform"
    valid = {"value", "values", "min", "max", "q", "distribution"}
    unknown = "".join(f"; {key}{nearest(str(key), valid)}" for key in node if key not in valid)
    raise ConfigError(f"{where} needs value, values, or min and max{unknown}")


def _choice(where: str, values: Any) -> Choice:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{where}.values={values!r} must be a list with at least one value")
    written = tuple(as_override(f"{where}.values", value) for value in values)
    if len(set(written)) < len(written):
        raise ConfigError(f"{where}.values={values!r} has a value twice")
    return Choice(written)


def _range(where: str, kind: str, node: Mapping[str, Any]) -> Range:
    low, high = (_number(f"{where}.{key}", node[key]) for key in ("min", "max"))
    log, exponents = "log" in kind, kind in ("log_uniform", "q_log_uniform")
    if not low < high:
        raise ConfigError(f"{where}: min={node['min']} must be below max={node['max']}")
    if exponents and max(abs(low), abs(high)) > MOST_EXPONENT:
        raise ConfigError(
            f"{where}: min={node['min']} and max={node['max']} are exponents of e, at most {MOST_EXPONENT}"
        )
    if exponents:
        low, high = math.exp(low), math.exp(high)
    if log and low <= 0:
        raise ConfigError(f"{where}.min={node['min']} must be above 0 for {kind}")
    if kind == "int_uniform" and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"{where}: min={node['min']} and max={node['max']} must be whole numbers for int_uniform")
    q = _number(f"{where}.q", node.get("q", 1)) if "q" in KEYS[kind] else None  # 1 is W&B's own default
    if q is not None and q <= 0:
        raise ConfigError(f"{where}.q={node['q']} must be above 0")
    if q is not None and not max(abs(low), abs(high)) / q < MOST_STEPS:
        raise ConfigError(f"{where}.q={node.get('q', 1)} is too small for min={node['min']} and max={node['max']}")
    if kind == "int_uniform" and max(abs(low), abs(high)) > MOST_STEPS:
        raise ConfigError(f"{where}: min={node['min']} and max={node['max']} must be below {MOST_STEPS:,} in size")
    return Range(low, high, log=log, integer=kind == "int_uniform", q=q)


def _number(where: str, value: Any) -> float:
    """A number, or text that is one: YAML 1.1 reads 1e-4, without a dot, as text."""
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{where}={value!r} must be a finite number")


def as_override(where: str, value: Any) -> str:
    """The value as it stands after key= on a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(as_override(where, item) for item in value)}]"
    if isinstance(value, (int, float, str)):
        return str(value)
    raise ConfigError(f"{where}={value!r} must be a number, a text, true, false, null or a list of them")
