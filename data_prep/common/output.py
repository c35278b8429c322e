"""Printed lines, also where nobody reads on, as in `python -m lra_mru.runs | head -1`."""

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
READER_LEFT = 141  # the exit status that a shell shows for a program ended by SIGPIPE
INTERRUPTED = 130  # and by SIGINT


def put_line(line: str) -> None:
    """Prints the line at once; where nobody reads any more, this line and all after it go nowhere."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        discard_output()


def printing_program(main: Callable[P, R]) -> Callable[P, R]:
    """Decorates a program that only prints: it ends without a word when its reader does, and with a line on Ctrl-C."""

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = main(*args, **kwargs)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            discard_output()
            sys.exit(READER_LEFT)
        except KeyboardInterrupt:
            print("error: interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)

    return guarded


def discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
