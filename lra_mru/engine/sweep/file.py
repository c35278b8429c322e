"""A W&B sweep file, read strictly: every key is honoured, or refused by name."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lra_mru.engine.arguments import nearest
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.sweep.objectives import Objective, objective
from lra_mru.engine.sweep.space import Choice, Range, read_space

READ = {"method", "metric", "parameters", "early_terminate", "run_cap", "command", "program"}
LABELS = {"name", "description", "project", "entity", "kind", "apiVersion"}  # where a W&B server shows the sweep
LACKING = {
    "metrics": "give --objectives a,b,c instead",
    "scheduler": "method grid, random or bayes says how to sample",
    "controller": "sweep.py is the controller",
    "job": "trials are processes of train.py",
    "image_uri": "trials are processes of train.py",
}
MACROS = ("${env}", "${interpreter}", "${program}", "${args_no_hyphens}")
MOST_POINTS = 10_000  # of a grid, which stands in the study before its first trial
METHODS = ("grid", "random", "bayes")


@dataclass(frozen=True)
class Halving:
    """Successive halving: after min_iter * eta^k validations, the best 1 / eta of the trials go on."""

    min_iter: int
    eta: int


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep file says.

    name:      the file's name without its ending
    overrides: fixed ones, from its command; parameters: name -> what is sampled
    target:    the sweep ends once a trial reaches it; run_cap: most trials
    """

    name: str
    method: str
    metric: Objective
    target: float | None
    parameters: dict[str, Choice | Range]
    overrides: list[str]
    halving: Halving | None
    run_cap: int | None


def read_sweep(path: Path) -> Sweep:
    """Raises: ConfigError naming the file, the key, what it says and the mend."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}){_others(path)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} must hold a W&B sweep: method, metric, parameters")
    try:
        return _sweep(path.stem, content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _others(path: Path) -> str:
    """What may have been meant: a file beside it, or of the suite's own sweeps/."""
    folders = dict.fromkeys((path.parent, Path("sweeps")))
    found = {other.name: str(other) for folder in folders for other in folder.glob("*.yaml")}
    close = difflib.get_close_matches(path.name, found, n=3)
    return f"; did you mean {', '.join(found[name] for name in close)}?" if close else ""


def _sweep(name: str, content: Mapping[str, Any]) -> Sweep:
    for key in content:
        if key in LACKING:
            raise ConfigError(f"{key}: sweep.py has no such thing; {LACKING[key]}")
        if key not in READ | LABELS:
            raise ConfigError(f"{key}: there is no such key{nearest(str(key), READ | LABELS)}")
    method = content.get("method")
    if method not in METHODS:
        raise ConfigError(f"method={method} must be one of {', '.join(METHODS)}")
    nodes = content.get("parameters")
    if not isinstance(nodes, Mapping) or not nodes:
        raise ConfigError("parameters: there must be at least one")
    parameters = {str(key): read_space(f"parameters.{key}", node) for key, node in nodes.items()}
    if method == "grid":
        parameters = {key: _countable(key, space) for key, space in parameters.items()}
        if (number := math.prod(space.num_points() for space in parameters.values())) > MOST_POINTS:
            raise ConfigError(f"parameters: a grid of {number:,} points; at most {MOST_POINTS:,}, or method=random")
    metric, target = _metric(content.get("metric"))
    run_cap = content.get("run_cap")
    if run_cap is not None and (type(run_cap) is not int or run_cap < 1):
        raise ConfigError(f"run_cap={run_cap} must be an integer of at least 1")
    return Sweep(
        name=name,
        method=str(method),
        metric=metric,
        target=target,
        parameters=parameters,
        overrides=_command(content.get("command"), content.get("program")),
        halving=_halving(content.get("early_terminate"), metric),
        run_cap=run_cap,
    )


def _countable(key: str, space: Choice | Range) -> Choice:
    if isinstance(space, Choice):
        return space
    if math.isinf(number := space.num_points()):
        raise ConfigError(f"parameters.{key}: method=grid needs values, int_uniform or q_uniform")
    if number > MOST_POINTS:
        raise ConfigError(f"parameters.{key}: a grid of {number:,} values; at most {MOST_POINTS:,}, or method=random")
    return space.grid()


def _metric(node: Any) -> tuple[Objective, float | None]:
    if not isinstance(node, Mapping) or "name" not in node:
        raise ConfigError("metric.name is missing: write metric: {name: val/acc, goal: maximize}")
    for key in set(node) - {"name", "goal", "target"}:
        reason = "Optuna imputes nothing" if "impute" in str(key) else "there is no such key"
        raise ConfigError(f"metric.{key}: {reason}{nearest(str(key), ('name', 'goal', 'target'))}")
    metric = objective("metric.name", str(node["name"]))
    if node.get("goal") != metric.goal:  # left out, W&B minimises
        raise ConfigError(f"metric.goal={node.get('goal')} must be {metric.goal} for {metric.name}")
    target = node.get("target")
    if target is not None and type(target) not in (int, float):
        raise ConfigError(f"metric.target={target!r} must be a number")
    return metric, target


def _halving(node: Any, metric: Objective) -> Halving | None:
    """min_iter and eta, or max_iter, s and eta: the same brackets, counted from the other end."""
    if node is None:
        return None
    if not isinstance(node, Mapping) or node.get("type") != "hyperband":
        raise ConfigError("early_terminate.type must be hyperband")
    for key in set(node) - {"type", "min_iter", "max_iter", "s", "eta", "strict"}:
        raise ConfigError(f"early_terminate.{key}: there is no such key")
    if metric.name != "val/acc":
        raise ConfigError(f"early_terminate: a run in progress shows val/acc alone, and metric.name={metric.name}")
    if node.get("strict", True) is not True:
        raise ConfigError(f"early_terminate.strict={node['strict']}: Optuna halves strictly; write strict: true")
    numbers = {"eta": 3} | {key: node[key] for key in ("min_iter", "max_iter", "s", "eta") if key in node}  # 3: W&B's
    for key, value in numbers.items():
        if type(value) is not int or value < (2 if key == "eta" else 1):
            raise ConfigError(
                f"early_terminate.{key}={value} must be an integer of at least {2 if key == 'eta' else 1}"
            )
    if "min_iter" in numbers and not {"max_iter", "s"} & set(numbers):
        return Halving(numbers["min_iter"], numbers["eta"])
    if {"max_iter", "s"} <= set(numbers) and "min_iter" not in numbers:
        return Halving(max(1, numbers["max_iter"] // numbers["eta"] ** numbers["s"]), numbers["eta"])
    raise ConfigError("early_terminate needs min_iter, or max_iter and s")


def _command(command: Any, program: Any) -> list[str]:
    """The overrides that a command gives to every trial; a trial of ours is not a run on a W&B server."""
    if not isinstance(command, list) or "${args_no_hyphens}" not in command:
        raise ConfigError("command must hold ${args_no_hyphens}: Hydra reads key=value, W&B's default is --key=value")
    if program != "train.py":
        raise ConfigError(f"program={program} must be train.py")
    for word in map(str, command):
        if word.startswith("${") and word not in MACROS:
            raise ConfigError(f"command: {word} cannot be had here; use {', '.join(MACROS)}")
    words = [str(word) for word in command if word not in MACROS]
    return [word for word in words if word != "python" and not word.startswith("logger=wandb")]
