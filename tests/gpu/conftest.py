"""A program that waits for ever must not hold the machine: one look back is tried first, and every test has an end."""

import faulthandler
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

SECONDS = 300  # for a test, its compilation included


@pytest.fixture(scope="session", autouse=True)
def _look_backs_end() -> None:
    """In a process of its own: if it does not end, it is killed, its kernel with it, and no other test begins."""
    script, places = Path(__file__).with_name("look_back.py"), f"{ROOT}:{ROOT / 'tests'}"
    command, environment = [sys.executable, str(script), "cuda"], os.environ | {"PYTHONPATH": places}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"a look back did not end within {SECONDS} s", pytrace=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    """A test that takes longer ends its process, whatever it waits in; with several processes the others go on."""
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()
