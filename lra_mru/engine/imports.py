"""Imports of a program, made quick."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_that_stay() -> Iterator[None]:
    """Around the imports of a program, which needs them to its end: the garbage collector leaves them alone.

    Torch and Lightning make half a million objects. To walk them takes a second while they come, and one at the end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
