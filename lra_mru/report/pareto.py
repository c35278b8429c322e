"""Sweeps in the leaderboard: which configurations no other beats in everything at once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from data_prep.common.json_files import read_json
from lra_mru.files import below

SCHEMA = 1
GOALS = {
    "val/acc": "maximize",
    "train_tokens_per_s": "maximize",
    "peak_bytes": "minimize",
}  # unless a sweep has several


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One configuration of a sweep over its seeds.

    settings: the sampled overrides but for the seed; values: mean over seeds of each objective
    """

    model: str
    settings: str
    trials: tuple[int, ...]
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One study, as results/sweeps/<study>.json holds it; `states` counts its trials by what became of them."""

    study: str
    task: str
    budget: str
    jobs: int
    goals: dict[str, str]
    states: dict[str, int]
    per_model: dict[str, int]
    candidates: list[Candidate]

    @property
    def front(self) -> list[Candidate]:
        """Candidates that no other beats, by the first objective and then the next ones, best first."""
        kept = [c for c in self.candidates if not any(self.beats(other, c) for other in self.candidates)]
        return sorted(kept, key=lambda c: self._rank(c), reverse=True)

    def beats(self, one: Candidate, other: Candidate) -> bool:
        """At least as good in every objective and better in one."""
        a, b = self._rank(one), self._rank(other)
        return all(x >= y for x, y in zip(a, b, strict=True)) and a != b

    def _rank(self, candidate: Candidate) -> tuple[float, ...]:
        return tuple(candidate.values[name] * (1 if goal == "maximize" else -1) for name, goal in self.goals.items())


def load_sweeps(results_dir: Path) -> list[Sweep]:
    """All sweeps of a results folder by name. Raises: ValueError naming a file that cannot be read."""
    sweeps, complaints = load_good_sweeps(results_dir)
    if complaints:
        raise ValueError(complaints[0])
    return sweeps


def load_good_sweeps(results_dir: Path) -> tuple[list[Sweep], list[str]]:
    """The sweeps that can be read, by name, and a complaint for every other."""
    good, complaints = [], []
    for path in below(results_dir / "sweeps", "*.json"):
        if not path.name.startswith("."):
            try:
                good.append(_load(path))
            except (ValueError, OSError) as error:
                complaints.append(str(error))
    return good, complaints


def _load(path: Path) -> Sweep:
    try:
        raw = read_json(path)
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema {raw['schema']}, this report reads {SCHEMA}")
        asked = {o["name"]: o["goal"] for o in raw["objectives"]}
        states: dict[str, int] = defaultdict(int)
        per_model: dict[str, int] = defaultdict(int)
        for trial in raw["trials"]:
            states[trial["state"]] += 1
            per_model[_model(raw, trial)] += 1
        goals = asked if len(asked) > 1 else GOALS
        return Sweep(
            study=raw["study"],
            task=raw["task"],
            budget=raw["budget"],
            jobs=raw["jobs"],
            goals=goals,
            states=dict(states),
            per_model=dict(sorted(per_model.items())),
            candidates=_candidates(raw, goals),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a readable sweep ({error!r}): delete it, and resume the sweep") from error


def _candidates(raw: Mapping[str, Any], goals: Mapping[str, str]) -> list[Candidate]:
    """Finished trials that have every objective, those that differ in the seed alone as one."""
    same: dict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    varied = _varied(raw["trials"])
    for trial in raw["trials"]:
        if trial["state"] == "complete" and set(goals) <= set(trial["measured"]):
            same[tuple(o for o in trial["overrides"] if o.partition("=")[0] in varied)].append(trial)
    return [
        Candidate(
            model=_model(raw, trials[0]),
            settings=" ".join(o for o in overrides if not o.startswith("model=")),
            trials=tuple(trial["number"] for trial in trials),
            values={name: fmean(trial["measured"][name] for trial in trials) for name in goals},
        )
        for overrides, trials in same.items()
    ]


def _varied(trials: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names of parameters with more than one value, and the model's; never the seed."""
    values: dict[str, set[str]] = defaultdict(set)
    for trial in trials:
        for override in trial.get("overrides", []):
            key, _, value = override.partition("=")
            values[key].add(value)
    return ({key for key, found in values.items() if len(found) > 1} | {"model"}) - {"seed"}


def _model(raw: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    chosen = [o.removeprefix("model=") for o in trial.get("overrides", []) if o.startswith("model=")]
    return chosen[0] if chosen else raw["model"]
