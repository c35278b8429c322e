"""Every function of lra_mru that runs after the training of a run, found by watching one; and any of them broken."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import pytorch_lightning as pl

from lra_mru.places import PACKAGE

OURS = str(PACKAGE)
CONDUCTORS = (
    "/engine/run.py",
    "/recording/summary.py",
    "/recording/record.py",
)  # what they call are steps of their own


class Broken(Exception):
    """Raised by the tests, and caught by nobody."""


@contextmanager
def watched(called: Callable[[FrameType], None], fit: Callable[..., None] = pl.Trainer.fit) -> Iterator[None]:
    """Tells `called` of every call of a function of lra_mru after fit, in the order of the calls."""

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            called(frame)  # what it raises is raised where the function was called

    def fit_and_watch(*arguments: Any, **named: Any) -> None:
        fit(*arguments, **named)
        sys.setprofile(profile)

    pl.Trainer.fit = fit_and_watch  # type: ignore[method-assign]
    try:
        yield
    finally:
        sys.setprofile(None)
        pl.Trainer.fit = fit  # type: ignore[method-assign]


def collect(found: dict[CodeType, bool]) -> Callable[[FrameType], None]:
    """Fills found with the functions that are called, and whether one is a step of its own: called by Lightning, or by
    those that put the steps in their order."""

    def called(frame: FrameType) -> None:
        caller = frame.f_back.f_code.co_filename if frame.f_back else ""
        step = not caller.startswith(OURS) or caller.endswith(CONDUCTORS)
        found[frame.f_code] = found.get(frame.f_code, False) or step

    return called


def breaking(code: CodeType) -> Callable[[FrameType], None]:
    """Breaks the first call of a function."""
    left = [Broken(code.co_qualname)]

    def called(frame: FrameType) -> None:
        if left and frame.f_code is code:
            raise left.pop()

    return called
