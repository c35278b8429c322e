"""An Optuna study: where it is stored, how it samples, and whose trials may be taken over after a kill."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend
from optuna.trial import FrozenTrial, TrialState

from lra_mru import files
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.sweep.file import Sweep
from lra_mru.engine.sweep.objectives import Objective
from lra_mru.engine.sweep.overrides import written
from lra_mru.engine.sweep.space import Choice, Range

MAX_REPEATS = 200  # samples in a row that were tried before: the space is as good as used up
REPEATS = "repeats"  # the number of the failed trial in whose place a trial stands
LOCK_WAIT_S = 10  # SQLite: other processes hold the file for milliseconds


def study_name(
    sweep: Sweep, parameters: dict[str, Choice | Range], overrides: Sequence[str], goals: Sequence[Objective]
) -> str:
    """The file's name and a hash of all that decides what is sampled: another search is another study."""
    places = ("results_dir=", "runs_dir=", "data_dir=", "logger=")
    fixed = sorted(override for override in overrides if not override.startswith(places))
    text = json.dumps([sweep.method, repr(sweep.halving), sorted(map(repr, parameters.items())), fixed])
    text += repr(list(goals))
    return f"{sweep.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def open_storage(url: str) -> BaseStorage:
    """sqlite:///FILE, any other SQLAlchemy URL, journal:///FILE or redis://HOST. Raises: ConfigError in one line."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if url.startswith("journal:///"):
            path = Path(url.removeprefix("journal:///"))
            path.parent.mkdir(parents=True, exist_ok=True)
            check_journal(path)
            return JournalStorage(JournalFileBackend(str(path)))
        if url.startswith("redis"):
            return JournalStorage(JournalRedisBackend(url))
        arguments = {}
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            arguments = {"connect_args": {"timeout": LOCK_WAIT_S}}
        return RDBStorage(url, engine_kwargs=arguments)
    except ConfigError as error:
        raise ConfigError(f"--storage={url}: {error}") from error
    except ModuleNotFoundError as error:
        raise ConfigError(f"--storage={url}: its driver is not installed: pip install {error.name}") from error
    except Exception as error:  # drivers raise whatever they like; all of it means that this URL cannot be used
        raise ConfigError(f"--storage={url}: {storage_problem(error)}") from error


def check_journal(path: Path) -> None:
    """Refuses a file of other content, to which Optuna would else add its lines. Raises: ConfigError"""
    if not path.exists():
        return
    if not path.is_file():
        raise ConfigError(f"{path} is no file: give one that is new, or a journal")
    with path.open("rb") as file:
        first = file.readline()
    try:
        is_journal = not first or "op_code" in json.loads(first)
    except (ValueError, TypeError):
        is_journal = False
    if not is_journal:
        raise ConfigError(f"{path} is no journal of a sweep: give a new file")


def storage_problem(error: BaseException) -> str:
    """The innermost reason in one line."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    text = " ".join(str(error).split()) or type(error).__name__
    hint = "; another program holds it: end that one, or give another --storage" if "locked" in text else ""
    return f"{text}{hint}"


class Trials:
    """The trials of one study, shared by every process and machine that works on it."""

    def __init__(self, study: optuna.Study, sweep: Sweep, parameters: dict[str, Choice | Range], folder: Path) -> None:
        self.study, self.sweep, self.parameters = study, sweep, parameters
        self.workers = folder / "workers"
        self.workers.mkdir(parents=True, exist_ok=True)
        self.worker = uuid4().hex  # alive as long as its lock is held; the system lets go of it when a process dies
        self._lock = files.hold(self.workers / self.worker)

    def tried(self) -> list[FrozenTrial]:
        """Trials that count: not those that repeated another, that still wait, or that failed and are repeated."""
        trials = self.study.get_trials(deepcopy=False)
        again = {t.user_attrs.get(REPEATS) for t in trials}
        counts = (t for t in trials if t.state != TrialState.WAITING and "dropped" not in t.user_attrs)
        return [t for t in counts if t.number not in again]

    def repeat_failed(self) -> None:
        """Puts what failed in line again: a full disk has room by now; what cannot work fails again, and soon."""
        for trial in self.tried():
            if trial.state == TrialState.FAIL and "overrides" in trial.user_attrs:
                self.study.enqueue_trial(trial.params, user_attrs={REPEATS: trial.number})

    def overrides_of(self, trial: FrozenTrial) -> list[str]:
        return list(trial.user_attrs["overrides"])

    def left_behind(self) -> list[FrozenTrial]:
        """Trials that a process on this machine was at when it died; those of other machines are left to them."""
        found = []
        for trial in self.tried():
            owner = trial.user_attrs.get("worker")
            if trial.state == TrialState.RUNNING and owner != self.worker and self._is_dead(owner):
                if "overrides" in trial.user_attrs:
                    self._set(trial.number, "worker", self.worker)
                    found.append(trial)
                else:
                    self.drop(trial.number)
        return found

    def _is_dead(self, owner: str | None) -> bool:
        return owner is not None and (self.workers / owner).exists() and not files.is_held(self.workers / owner)

    def ask(self, num_trials: int) -> optuna.Trial | None:
        """A new trial that repeats none; None once num_trials are there."""
        for _ in range(MAX_REPEATS):
            if len(self.tried()) >= num_trials:
                return None
            self.study.sampler = self._sampler()
            trial = self.study.ask()
            trial.set_user_attr("worker", self.worker)
            values = {name: space.suggest(trial, name) for name, space in self.parameters.items()}
            earlier = [t for t in self.tried() if t.number < trial.number]
            repeats = any(t.user_attrs.get("overrides") == written(values) for t in earlier)
            if len(earlier) < num_trials and not repeats:
                trial.set_user_attr("overrides", written(values))
                return trial
            self.drop(trial.number)
            if self.sweep.method == "grid":
                return None  # all points stood in line; what comes now is a sample of its own
        return None

    def drop(self, number: int) -> None:
        """Takes a trial out of all counts."""
        self._set(number, "dropped", True)
        self.study.tell(number, state=TrialState.FAIL)

    def _set(self, number: int, key: str, value: object) -> None:
        optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id).set_user_attr(key, value)

    def _sampler(self) -> optuna.samplers.BaseSampler:
        """The file's method. A resumed sweep must not draw its first samples again, so the seed counts trials."""
        count = f"{self.study.study_name} {len(self.study.get_trials(deepcopy=False))}"
        seed = int(hashlib.sha256(count.encode()).hexdigest()[:8], 16)
        if self.sweep.method == "bayes":
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)  # trials in progress count as taken
        return optuna.samplers.RandomSampler(seed=seed)

    def enqueue_grid(self) -> None:
        """Every point of a grid, in the order of W&B: the last parameter changes fastest."""
        names = list(self.parameters)
        for point in itertools.product(*(space.examples() for space in self.parameters.values())):
            self.study.enqueue_trial(dict(zip(names, point, strict=True)))


def open_study(
    storage: BaseStorage, name: str, sweep: Sweep, goals: Sequence[Objective], *, resume: bool
) -> tuple[optuna.Study, bool]:
    """The study and whether it is new. Raises: ConfigError if it is there and should not be, or the other way round."""
    known = [study.study_name for study in storage.get_all_studies()]
    if resume and name not in known:
        others = [other for other in known if other.rpartition("-")[0] == sweep.name]
        mend = f"; {', '.join(others)} had other parameters, overrides or objectives" if others else ""
        raise ConfigError(f"--resume: the storage has no study {name}{mend}; leave --resume out to start it")
    if not resume and name in known:
        raise ConfigError(f"study {name} has been started already: --resume goes on with it, --storage starts another")
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if sweep.halving:
        pruner = optuna.pruners.SuccessiveHalvingPruner(
            min_resource=sweep.halving.min_iter, reduction_factor=sweep.halving.eta
        )
    study = optuna.create_study(
        storage=storage, study_name=name, directions=[goal.goal for goal in goals], pruner=pruner, load_if_exists=True
    )
    return study, name not in known
