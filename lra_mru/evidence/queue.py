"""The queue: for every cell of the list the rate that validation chooses, then the other seeds at that rate."""

import math
import signal
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from data_prep.common.json_files import read_json
from data_prep.common.output import put_line as say
from lra_mru import files
from lra_mru.engine.arguments import as_value, names_in, nearest
from lra_mru.engine.compose import shipped_configs
from lra_mru.engine.errors import ConfigError, Interrupted, RunError
from lra_mru.engine.folders import FOLDERS, check_folders
from lra_mru.engine.recording.protocol import named, task_of_experiment
from lra_mru.engine.recording.record import Identity, check_writable
from lra_mru.engine.sweep.overrides import compose_one, key_of
from lra_mru.engine.sweep.trial_process import TrialProcess
from lra_mru.evidence.declared import Cell, Declared
from lra_mru.evidence.names import Names

# What the list decides.
OURS = ("seed", "optim.lr", "trials", "model", "task", "experiment", "budget", "protocol", "force", "resume")
GRACE_S = 60  # for a run that saves its checkpoint


class Queue:
    """Runs what is missing of a declared list, `jobs` runs at once; every run is a train.py of its own.

    The runs that a rate is chosen by have records in runs_dir/evidence/results; the best one's is copied to
    results_dir, where the other seeds follow. What has a record is not run again, and what was stopped goes on from
    its checkpoint.

    overrides: of every run; one of task.* counts for the tasks that have such a key
    Raises:    ConfigError in one line for a list or an override that no run can follow, before any has started
    """

    def __init__(self, declared: Declared, overrides: Sequence[str], *, jobs: int) -> None:
        of_tasks = {f"task.{key}" for name in names_in("task") for key in named("task", name)}
        for override in overrides:
            key = key_of(override)
            if "=" not in override or key in OURS:
                raise ConfigError(f"{override}: give key=value; {', '.join(OURS)} are the list's to say")
            if key.startswith("task.") and (start := ".".join(key.split(".")[:2])) not in of_tasks:
                raise ConfigError(f"{override}: no task has such a key{nearest(start, of_tasks)}")
        self.declared, self.jobs = declared, jobs
        with shipped_configs():
            folders = compose_one([word for word in overrides if key_of(word) in FOLDERS])
        check_folders(folders)
        self.results, self.folder = Path(folders.results_dir), Path(folders.runs_dir) / "evidence"
        self.tried = self.folder / "results"
        self.failed: list[str] = []
        self.promoted: list[Path] = []
        self.running: dict[int, TrialProcess] = {}
        self.free, self.stopping = list(range(jobs)), threading.Event()
        self.words = {cell: [*cell.words, *(w for w in overrides if _counts(w, cell))] for cell in declared.cells}
        runs = [(cell, rate) for cell in declared.cells for rate in declared.rates]
        found = Names(file=self.folder / "names.json").of([(c.model, self.words[c], rate) for c, rate in runs])
        self.named: dict[tuple[Cell, float], Identity] = dict(zip(runs, found, strict=True))
        if private := next((str(cell) for (cell, _), name in self.named.items() if name.is_private(self.results)), ""):
            raise ConfigError(
                f"results_dir={self.results}: {private} would follow no protocol, and the suite's own results hold no "
                "such record: leave the overrides out, or give another results_dir"
            )

    def run(self) -> None:
        """Raises: RunError if a run failed, after all others; Interrupted on Ctrl-C"""
        cells = self.declared.cells
        check_writable(self.results)
        say(f"{len(cells)} cells, {self.missing()} runs to do at least   logs: {self.folder / 'logs'}")
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        pool = ThreadPoolExecutor(self.jobs)
        try:
            for done in [pool.submit(self._fill, cell, seeds) for cell in cells for seeds in self._apart()]:
                done.result()
        except KeyboardInterrupt:
            self.stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            self._stop_all()
            raise Interrupted("stopped; the same command goes on where it was") from None
        finally:
            self.stopping.set()
            pool.shutdown(cancel_futures=True)
            signal.signal(signal.SIGTERM, previous)
        if self.promoted:  # a run of one's own has its row already
            from lra_mru.report import write_leaderboard  # draws: takes a second to import

            say(f"leaderboard: {write_leaderboard(self.results)}")
        if self.failed:
            raise RunError(f"{len(self.failed)} runs failed: {'; '.join(self.failed)}")

    def missing(self) -> int:
        """Runs without a record, as far as rates are chosen already; where not, one of the rates is to be confirmed."""
        number = 0
        for cell in self.declared.cells:
            rates, first = self.declared.rates, self.declared.seeds[0]
            to_try = [rate for rate in rates if len(rates) > 1 and not self._record(cell, rate, first)]
            number += len(to_try)
            rate = rates[0] if len(rates) == 1 else None if to_try else self._best(cell)
            seeds = self.declared.seeds if len(rates) == 1 else self.declared.seeds[1:]
            number += sum(rate is None or not self._record(cell, rate, seed) for seed in seeds)
        return number

    def _apart(self) -> Sequence[Sequence[int]]:
        """Seeds that wait for each other: all where the first chooses the rate, else none."""
        seeds = self.declared.seeds
        return [seeds] if len(self.declared.rates) > 1 else [(seed,) for seed in seeds]

    def _fill(self, cell: Cell, seeds: Sequence[int]) -> None:
        """Runs of one cell, in order. One that fails costs those that depend on it, and no other cell."""
        rates = self.declared.rates
        if len(rates) > 1:
            tried = [self._done(cell, rate, seeds[0], self.tried) for rate in rates]
            if not all(tried):
                return
            rate = self._best(cell)
            self._promote(cell, rate)
        else:
            rate = rates[0]
        for seed in seeds:
            self._done(cell, rate, seed, self.results)

    def _record(self, cell: Cell, rate: float, seed: int) -> Path | None:
        """The newest record of this run, among the results or among those that a rate is chosen by."""
        identity = replace(self.named[cell, rate], seed=seed)
        for folder in (self.results, self.tried):
            if records := identity.records(folder):
                return records[max(records)]
        return None

    def _best(self, cell: Cell) -> float:
        """The rate with the highest mean accuracy over the validation sets; of equal ones, the lowest loss."""
        metrics = []
        for rate in self.declared.rates:
            path = self._record(cell, rate, self.declared.seeds[0])
            assert path is not None
            metrics.append(read_json(path)["metrics"])
        scores = dict(zip(self.declared.rates, validation(metrics), strict=True))
        return max(scores, key=lambda rate: scores[rate])

    def _promote(self, cell: Cell, rate: float) -> None:
        path = self._record(cell, rate, self.declared.seeds[0])
        assert path is not None
        if path.is_relative_to(self.tried):
            goal = self.results / path.relative_to(self.tried)
            goal.parent.mkdir(parents=True, exist_ok=True)
            try:
                files.write_whole(goal, path.read_bytes(), overwrite=False)
            except FileExistsError:
                self.failed.append(f"{cell}: {goal} stands there, and is no good record: delete it")
                return
            self.promoted.append(goal)
            say(f"{cell}   optim.lr={rate:g} is best on validation: {goal}")

    def _done(self, cell: Cell, rate: float, seed: int, results: Path) -> bool:
        """Whether the run has a record, after it was run if it had none."""
        if self._record(cell, rate, seed):
            return True
        if self.stopping.is_set():
            return False
        name = f"{cell} optim.lr={rate:g} seed={seed}"
        words = [*self.words[cell], f"optim.lr={rate!r}", f"seed={seed}", f"trials={len(self.declared.rates)}"]
        words = [*(w for w in words if key_of(w) != "results_dir"), f"results_dir={as_value(str(results))}"]
        slot = self.free.pop()
        log = self.folder / "logs" / f"{name.replace(' ', '-')}.log"
        process = self.running[slot] = TrialProcess(0, words, log, slot=slot, jobs=self.jobs)
        say(f"{name}   started")
        process.process.wait()
        del self.running[slot]
        self.free.append(slot)
        if self.stopping.is_set():
            return False
        path = self._record(cell, rate, seed)
        if path is None:
            reason = process.last_line().removeprefix("error: ")
            self.failed.append(f"{name}: {reason}")
            say(f"{name}   failed: {reason}; log: {log}")
            return False
        record = read_json(path)
        found = {key: value for key, value in record["metrics"].items() if key.startswith("test/acc") and "/" in key}
        say(
            f"{name}   {record['wall_s']:.0f} s   " + "   ".join(f"{key[5:]} {found[key]:.4f}" for key in sorted(found))
        )
        return True

    def _stop_all(self) -> None:
        """Each run saves a checkpoint; a second Ctrl-C, or too long a wait, ends them at once."""
        say("stopping: each run saves a checkpoint")
        processes = list(self.running.values())
        try:
            for process in processes:
                process.stop(signal.SIGINT)
            for process in processes:
                process.process.wait(GRACE_S)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            pass
        finally:
            for process in processes:
                process.stop(signal.SIGKILL)


def validation(candidates: Sequence[dict[str, float]]) -> list[tuple[float, float]]:
    """(mean accuracy, -mean loss) of each candidate's metrics, over the validation sets that all of them have: val/acc,
    and val/acc@T of further lengths. A loss that is no number is the worst."""
    shared = set.intersection(*map(set, candidates))
    accuracies = sorted(key for key in shared if key == "val/acc" or key.startswith("val/acc@"))
    losses = sorted(key for key in shared if key.startswith("val/loss"))
    found = []
    for metrics in candidates:
        loss = sum(metrics[key] for key in losses) / max(len(losses), 1)
        accuracy = sum(metrics[key] for key in accuracies) / len(accuracies)
        found.append((accuracy, -math.inf if math.isnan(loss) else -loss))
    return found


def _counts(override: str, cell: Cell) -> bool:
    """Whether the override is one of this cell's: task.* only where the task has such a key."""
    key = key_of(override)
    if not key.startswith("task."):
        return True
    chosen = dict(word.split("=", 1) for word in cell.words)
    task = chosen.get("task") or task_of_experiment(chosen.get("experiment", ""))
    return key.split(".")[1] in named("task", task or "")
