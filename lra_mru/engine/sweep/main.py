"""python sweep.py FILE --trials N --jobs K: from the command line to a finished study."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from data_prep.common.output import put_line as say
from lra_mru.engine.arguments import Parser, as_value, check_jobs
from lra_mru.engine.compose import shipped_configs
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.folders import check_folders
from lra_mru.engine.sweep.file import Sweep, read_sweep
from lra_mru.engine.sweep.loop import Loop
from lra_mru.engine.sweep.objectives import Objective, objective
from lra_mru.engine.sweep.overrides import compose_all, constants, free, key_of
from lra_mru.engine.sweep.study import Trials, open_storage, open_study, storage_problem, study_name
from lra_mru.engine.sweep.summary import summary, write_summary


def parser() -> Parser:
    made = Parser(prog="python sweep.py", description="Runs a W&B sweep file with Optuna: no account, no network.")
    made.add_argument("file", type=Path, help="a sweep file, e.g. sweeps/memory.yaml")
    made.add_argument("--trials", type=int, help="trials in all, those of an earlier part included")
    made.add_argument("--jobs", type=int, default=1, help="trials at once; they share the cores (default: 1)")
    made.add_argument("--objectives", help="several objectives, e.g. val/acc,train_tokens_per_s,peak_bytes")
    made.add_argument("--storage", help="sqlite:///FILE, another database's URL, journal:///FILE or redis://HOST")
    made.add_argument("--resume", action="store_true", help="go on with this study, or join it from another machine")
    made.add_argument("overrides", nargs="*", help="as for train.py; one that names a parameter fixes it")
    return made


def sweep(arguments: Sequence[str]) -> Path:
    """Runs a whole sweep; returns its results_dir. Raises: ConfigError before anything starts, RunError after."""
    said = parser().parse_intermixed_args(arguments)
    check_jobs(said.jobs)
    if said.trials is not None and said.trials < 1:
        raise ConfigError(f"--trials={said.trials} must be at least 1")
    file = read_sweep(said.file)
    overrides = _checked(said.overrides)
    parameters = free(file.parameters, overrides)
    goals = _goals(file, said.objectives)
    with shipped_configs():
        cfg, choices = compose_all(file, parameters, overrides)
    check_folders(cfg)
    common = [*file.overrides, *overrides, *constants(parameters)]
    parameters = {name: space for name, space in parameters.items() if len(space.examples()) > 1}
    name = study_name(file, parameters, common, goals)
    asked = num_trials_of(file, said.trials, cfg)
    num_trials = int(min(asked, math.prod(space.num_points() for space in parameters.values())))
    folder = Path(cfg.runs_dir) / "sweeps" / name
    own_results = any(key_of(override) == "results_dir" for override in common)
    results_dir = Path(cfg.results_dir) if own_results else folder / "results"
    storage = open_storage(said.storage or f"sqlite:///{folder / 'study.db'}")
    try:
        study, is_new = open_study(storage, name, file, goals, resume=said.resume)
        trials = Trials(study, file, parameters, folder)
        if is_new and file.method == "grid":
            trials.enqueue_grid()
        if not is_new:
            trials.repeat_failed()

        def save() -> Path:
            content = summary(
                study=name,
                method=file.method,
                jobs=said.jobs,
                num_trials=num_trials,
                overrides=common,
                objectives=goals,
                trials=trials.tried(),
                **{key: choices[key] for key in ("task", "model", "budget")},
            )
            return write_summary(results_dir, content)

        fixed = [*common, f"results_dir={as_value(str(results_dir))}", f"trials={num_trials}"]
        say(f"study {name}   {len(trials.tried())} of {num_trials} trials so far   {folder}")
        logs = folder / "logs"
        loop = Loop(trials, objectives=goals, fixed=fixed, logs=logs, num_trials=num_trials, jobs=said.jobs, saved=save)
        loop.run()
        save()
        loop.check_success()
        if len(trials.tried()) < asked:
            say(f"{len(trials.tried())} trials: the parameters have no other values")
    except (OptunaError, SQLAlchemyError) as error:
        raise RunError(f"storage of {name}: {storage_problem(error)}") from error
    return results_dir


def _checked(overrides: Sequence[str]) -> list[str]:
    for override in overrides:
        if "=" not in override and not override.startswith("~"):
            raise ConfigError(f"cannot read the argument {override!r}; write key=value, like budget=quick")
        if key_of(override) == "trials":
            raise ConfigError(f"{override}: the sweep counts its trials itself; give --trials")
    return list(overrides)


def _goals(file: Sweep, asked: str | None) -> list[Objective]:
    if asked is None:
        return [file.metric]
    names = [name.strip() for name in asked.split(",")]
    goals = [objective("--objectives", name) for name in names]
    if len(set(names)) < len(names):
        raise ConfigError(f"--objectives={asked} names one twice")
    if file.halving and len(goals) > 1:
        raise ConfigError("early_terminate: with several objectives no trial is the worst; leave it out of the file")
    return goals


def num_trials_of(file: Sweep, asked: int | None, cfg: DictConfig) -> int:
    """--trials, or what a fair experiment or the file's run_cap says."""
    if cfg.trials > 1 and asked is not None and asked != cfg.trials:
        raise ConfigError(f"--trials={asked}: this experiment gives every backbone {cfg.trials}; leave --trials out")
    number = asked or (cfg.trials if cfg.trials > 1 else file.run_cap)
    if number is None:
        raise ConfigError("--trials is missing: how many trials? (or run_cap in the file)")
    return int(number)


def sweep_from_command_line() -> Path:
    return sweep(sys.argv[1:])
