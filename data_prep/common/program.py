"""What every program of data_prep does around its own work: arguments, clock, progress, one line for an error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_prep.common.output import put_line


class Clock:
    """Seconds spent on compiling and on making, apart."""

    def __init__(self) -> None:
        self.compile_s = self.make_s = 0.0
        self.examples = 0

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Around a first call that is thrown away: later calls find compiled code."""
        start = time.perf_counter()
        yield
        self.compile_s += time.perf_counter() - start

    @contextmanager
    def making(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes the number of examples just made; a bar on stderr if that is a terminal."""
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(description, total=total)

            def advance(examples: int) -> None:
                self.examples += examples
                progress.advance(task, examples)

            start = time.perf_counter()
            yield advance
            self.make_s += time.perf_counter() - start

    def __str__(self) -> str:
        rate = self.examples / max(self.make_s, 1e-9)
        return (
            f"{self.examples:,} examples in {self.make_s:.2f} s = {rate:,.0f} examples/s, "
            f"compile time apart ({self.compile_s:.1f} s)"
        )


def run(module: str, out: Path, make: Callable[[Clock], bool]) -> int:
    """Call make -> exit status: 0 if the set is whole, 2 for what cannot be, 1 for a disk that refuses, 130 for Ctrl-C.

    make: makes or checks the set in `out` -> whether it was made
    """
    clock = Clock()
    try:
        made = make(clock)
    except (ValueError, TypeError, MemoryError) as error:
        print(f"data_prep.{module}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        reason = error.strerror or error
        print(f"data_prep.{module}: cannot write {out}: {reason}; temporary files are removed", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"data_prep.{module}: interrupted, {out} is not there; the same command goes on", file=sys.stderr)
        return 130
    put_line(f"{out}: made, {clock}" if made else f"{out}: kept, it holds this data set already")
    return 0


def name_the_task(task: str, source: str) -> int:
    """Of a data set that has no command: print the command that imports it -> exit status 2.

    source: the setting that names where it comes from, if it needs one
    """
    command = f"python -m lra_mru.show task={task} {source}".rstrip()
    print(f"data_prep.{task} is imported by its task; to import it and look at it: {command}", file=sys.stderr)
    return 2
