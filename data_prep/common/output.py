"""Printed lines, also where nobody reads on, as in `python -m lra_mru.runs | head -1`, or nothing can be written."""

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
READER_LEFT = 141  # the exit status that a shell shows for a program ended by SIGPIPE
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
NOT_WRITTEN = "the output could not be written"
INTERRUPTED = 130  # and by SIGINT


def put_line(line: str) -> None:
    """Prints the line at once; where nobody reads any more, or the disk is full, it and all after it go nowhere.

    What a run has to say is worth less than the run.
    """
    try:
        print(line, flush=True)
    except OSError:
        discard_output()


def printing_program(main: Callable[P, R]) -> Callable[P, R]:
    """Decorates a program that only prints: it ends without a word when its reader does, and with a line on Ctrl-C.

    With a line, too, where its output cannot be written: a full disk.
    """

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = main(*args, **kwargs)
            flush_output()
            return result
        except BrokenPipeError:
            discard_output()
            sys.exit(READER_LEFT)
        except OSError as error:
            if not is_of_output(error):
                raise
            discard_output()
            print(f"error: {NOT_WRITTEN} ({error.strerror})", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("error: interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)

    return guarded


def is_of_output(error: OSError) -> bool:
    """Whether it was raised by printing onto a full disk, not by a file of its own."""
    return error.errno in NO_ROOM and not error.filename


def flush_output() -> None:
    """What was printed is out. Without a standard output (>&-) nothing was. Raises: OSError"""
    if sys.stdout is not None:
        sys.stdout.flush()


def discard_output() -> None:
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
