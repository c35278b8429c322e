"""What surrounds Hydra's entry point: every mistake is told in one line, and the exit status says how it ended."""

import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from data_prep.common.output import (
    NOT_WRITTEN,
    READER_LEFT,
    discard_output,
    flush_output,
    is_of_output,
    printing_program,
)
from lra_mru.engine.arguments import Parser, explain, nearest
from lra_mru.engine.console import is_first_process
from lra_mru.engine.errors import ConfigError, Interrupted, RunError
from lra_mru.engine.help import help_text
from lra_mru.engine.imports import imports_that_stay
from lra_mru.places import CONF

__all__ = ["JobError", "explain", "fail", "launch", "nearest", "train"]


class JobError(RunError):
    """One job of several went wrong: names it, and says why. The others went on."""


def train(cfg: DictConfig) -> Path | None:
    """One Hydra job; returns the record's path in the first process of a run that keeps one."""
    with imports_that_stay():
        from lra_mru.engine.recording.protocol import typed_overrides
        from lra_mru.engine.run import run  # takes seconds to import: a typing mistake is answered before

    hydra = HydraConfig.get()
    choices, overrides = hydra.runtime.choices, typed_overrides()
    try:
        return run(cfg, model_name=choices["model"], task_name=choices["task"], overrides=overrides)
    except Interrupted as error:  # whoever stops one job wants none of those after it
        if is_first_process():
            fail(error)
        sys.exit(1)
    except (ConfigError, RunError, HydraException, OmegaConfBaseException) as error:
        if hydra.mode == RunMode.MULTIRUN:
            raise failed_job(overrides, explain(error)) from error
        if is_first_process():
            fail(error)
        sys.exit(status_of(error))
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
    """Ends the process with one line."""
    line = explain(error, sys.argv[1:])
    print(f"error: {f'not every job finished: {line}' if isinstance(error, JobError) else line}", file=sys.stderr)
    sys.exit(status_of(error))


def status_of(error: Exception) -> int:
    """2 for what was asked wrongly, 1 for what went wrong later."""
    return 1 if isinstance(error, RunError) else 2


def launch(main: Callable[[], None]) -> None:
    """Runs a function made by hydra.main. Exits with 0 only if every run is complete; a defect keeps its traceback."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        printing_program(print)(help_text(CONF))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing them in its own way
    try:
        check_options()
        main()
        flush_output()
    except KeyboardInterrupt:
        print("error: interrupted; the same command again goes on from what was saved", file=sys.stderr)
        sys.exit(1)
    except (ConfigError, RunError) as error:
        fail(error)
    except Exception as error:
        job: Callable[..., object] = getattr(main, "__wrapped__", main)
        if passed_through(error, job.__code__):
            raise
        if isinstance(error, BrokenPipeError):  # `--cfg job | head -1`
            discard_output()
            sys.exit(READER_LEFT)
        if isinstance(error, OSError) and is_of_output(error):  # the same, onto a full disk
            discard_output()
            fail(RunError(f"{NOT_WRITTEN} ({error.strerror})"))
        fail(error)  # before the job began: a folder of Hydra's that cannot be made, a choice without a name


def check_options() -> None:
    """Has Hydra's own parser read the options, which answers a mistake with a page. Raises: ConfigError, one line"""
    parser = get_args_parser()
    parser.error = partial(Parser.error, parser)  # type: ignore[method-assign, arg-type]
    parser.parse_args()


def passed_through(error: BaseException, code: CodeType) -> bool:
    """Whether the error came out of a function with this code."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is code:
            return True
        trace = trace.tb_next
    return False
