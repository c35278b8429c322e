"""The declared list of runs: models x tasks x seeds x rates, read from one YAML file that anyone can narrow."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lra_mru.engine.arguments import MAX_SEED, nearest
from lra_mru.engine.errors import ConfigError

KEYS = {"budget", "rates", "seeds", "groups"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the matrix: a model on a task. words: what train.py is told to make it so."""

    task: str
    model: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.task} {self.model}"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """cells: most important first; rates: learning rates to choose from at seeds[0]; one rate is no choice."""

    cells: tuple[Cell, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for name, values in {"rates": self.rates, "seeds": self.seeds}.items():
            if len(set(values)) < len(values):
                raise ConfigError(f"{name}={list(values)} names one twice")
        if not all(0 < rate < math.inf for rate in self.rates):
            raise ConfigError(f"rates={list(self.rates)} must be numbers above 0")
        if not all(0 <= seed <= MAX_SEED for seed in self.seeds):
            raise ConfigError(f"seeds={list(self.seeds)} must be at least 0, and at most {MAX_SEED}")

    def narrowed(
        self,
        *,
        tasks: Sequence[str] | None,
        models: Sequence[str] | None,
        rates: Sequence[float] | None,
        seeds: Sequence[int] | None,
    ) -> "Declared":
        """Only what is named; None leaves all. Raises: ConfigError for a name that is not in the list"""
        _check_known("--tasks", tasks, [cell.task for cell in self.cells])
        _check_known("--models", models, [cell.model for cell in self.cells])
        cells = tuple(
            cell
            for cell in self.cells
            if (tasks is None or cell.task in tasks) and (models is None or cell.model in models)
        )
        if not cells:
            raise ConfigError("--tasks and --models: the list has none of these models on any of these tasks")
        return Declared(cells=cells, rates=tuple(rates or self.rates), seeds=tuple(seeds or self.seeds))


def read(path: Path) -> Declared:
    """Raises: ConfigError in one line for a file that cannot be read or does not say what it must"""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as a list of runs ({reason})") from error
    if not isinstance(content, dict) or set(content) != KEYS:
        raise ConfigError(f"{path}: a list of runs has the keys {', '.join(sorted(KEYS))} and no others")
    cells = [cell for group in _list(path, content, "groups", dict) for cell in _cells(path, group, content["budget"])]
    if len({(cell.task, cell.model) for cell in cells}) < len(cells):
        raise ConfigError(f"{path}: a model stands twice at one task")
    return Declared(
        cells=tuple(cells),
        rates=tuple(float(rate) for rate in _list(path, content, "rates", (int, float))),
        seeds=tuple(_list(path, content, "seeds", int)),
    )


def _cells(path: Path, group: Mapping[str, Any], budget: Any) -> list[Cell]:
    """The list's budget holds for a group that names none of its own."""
    tasks, budget = group.get("tasks"), group.get("budget", budget)
    if set(group) - {"budget"} != {"tasks", "models"} or not isinstance(tasks, dict) or not isinstance(budget, str):
        raise ConfigError(
            f"{path}: a group has tasks, each with a name and what train.py is told, models, and maybe a budget"
        )
    return [
        Cell(task=str(task), model=model, words=(f"model={model}", *_words(path, task, words), f"budget={budget}"))
        for task, words in tasks.items()
        for model in _list(path, group, "models", str)
    ]


def _words(path: Path, task: Any, words: Any) -> list[str]:
    if not isinstance(words, str) or not words.strip():
        raise ConfigError(f"{path}: tasks/{task}={words!r} must be what train.py is told, like task=copy_first")
    return words.split()


def _list(path: Path, node: Mapping[str, Any], key: str, kind: type | tuple[type, ...]) -> list[Any]:
    found: Any = node[key]
    whole = isinstance(found, list) and all(isinstance(item, kind) and not isinstance(item, bool) for item in found)
    if not whole or not found:
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise ConfigError(f"{path}: {key}={found!r} must be a list of {names}, not an empty one")
    return list(found)


def _check_known(name: str, said: Sequence[str] | None, known: Sequence[str]) -> None:
    for word in said or ():
        if word not in known:
            raise ConfigError(
                f"{name}={word}: the list has {', '.join(dict.fromkeys(known))}{nearest(word, set(known))}"
            )
