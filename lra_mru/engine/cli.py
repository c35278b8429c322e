"""Around Hydra's entry point: one clear line for every mistake, and an exit status that tells the truth."""

import difflib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lra_mru.engine.errors import ConfigError, Interrupted, RunError
from lra_mru.engine.help import help_text
from lra_mru.places import CONF


class JobError(RunError):
    """One job of several went wrong: names it, and says why. The others went on."""


def train(cfg: DictConfig) -> Path | None:
    """One Hydra job; returns the record's path in the first process of a run that keeps one."""
    from lra_mru.engine.console import is_first_process  # take seconds to import: a typing mistake is answered before
    from lra_mru.engine.run import run

    hydra = HydraConfig.get()
    choices, overrides = hydra.runtime.choices, list(hydra.overrides.task)
    try:
        return run(cfg, model_name=choices["model"], task_name=choices["task"], overrides=overrides)
    except Interrupted as error:  # whoever stops one job wants none of those after it
        if is_first_process():
            fail(error)
        sys.exit(1)
    except (ConfigError, RunError) as error:
        if hydra.mode == RunMode.MULTIRUN:
            raise failed_job(overrides, str(error)) from error
        fail(error)
    except Exception as error:
        if hydra.mode != RunMode.MULTIRUN:
            raise
        traceback.print_exc()  # a defect: of this job alone, perhaps
        raise failed_job(overrides, f"{type(error).__name__}: {error}") from error


def failed_job(overrides: list[str], reason: str) -> JobError:
    """Says at once which job failed and why; Hydra goes on with the others, and raises the error after the last."""
    error = JobError(f"{' '.join(overrides)}: {reason}")
    print(f"error: {explain(error)}", file=sys.stderr, flush=True)
    return error


def fail(error: Exception) -> NoReturn:
    """Ends the process with one line: status 2 for what was asked wrongly, 1 for what went wrong later."""
    line = explain(error)
    print(f"error: {f'not every job finished: {line}' if isinstance(error, JobError) else line}", file=sys.stderr)
    sys.exit(1 if isinstance(error, RunError) else 2)


def launch(main: Callable[[], None]) -> None:
    """Runs a function made by hydra.main. Exits with 0 only if every run is complete; a defect keeps its traceback."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(CONF))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing them in its own way
    try:
        main()
    except (ConfigError, RunError, HydraException, OmegaConfBaseException) as error:
        fail(error)
    except KeyboardInterrupt:
        print("error: interrupted; the same command again goes on from what was saved", file=sys.stderr)
        sys.exit(1)


def explain(error: Exception) -> str:
    """The error in one line, with the nearest valid names where a name was wrong."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = str(error.missing_cfg_file).partition("/")
        return f"{group}={name}: there is no such {group}{nearest(name, error.options)}"
    text = str(error)
    if isinstance(error, OverrideParseException):
        return f"cannot read the argument {error.override!r}; write key=value, like model=bmru task=listops"
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"Could not override '([^']+)'", text)):
        key = found[1]
        return f"{key}: there is no such key{nearest(key, all_keys())}"
    return " ".join(text.split())


def nearest(name: str, valid: Iterable[str]) -> str:
    """'; did you mean ...' for the closest valid names, or all of them if none is close and they are few."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6) or (names if len(names) <= 20 else [])
    return f"; did you mean {', '.join(close)}?" if close else ""


def all_keys() -> list[str]:
    """Every dotted key of every config file, and the config groups themselves."""
    keys = {folder.name for folder in CONF.iterdir() if folder.is_dir()}
    for file in CONF.rglob("*.yaml"):
        group = "" if file.parent in (CONF, CONF / "protocol") else f"{file.parent.name}."
        group = "model." if file == CONF / "stack.yaml" else group  # included by every conf/model/*.yaml
        keys |= {group + key for key in _dotted(OmegaConf.to_container(OmegaConf.load(file)))}
    return sorted(key for key in keys if not re.match(r"defaults|hydra|.*\._", key))


def _dotted(node: Any) -> Iterable[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield key
        yield from (f"{key}.{below}" for below in _dotted(value))
