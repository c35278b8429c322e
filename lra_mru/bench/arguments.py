"""The options of `python -m lra_mru.bench`, checked before anything is measured."""

import argparse
import os
from pathlib import Path

from data_prep.common.json_files import read_json
from lra_mru import files


def positive(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def threads(text: str) -> int:
    """As many threads as are wanted, of those that the machine has."""
    cores = os.cpu_count() or 1
    value = int(text)
    if not 1 <= value <= cores:
        raise argparse.ArgumentTypeError(f"{value} must be from 1 to {cores}, the cores of this machine")
    return value


def new_file(text: str) -> Path:
    """A file that can be written once all is measured."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder: give a file in it")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: make the folder {path.parent} first")
    try:
        files.try_to_write(path.parent)
        before = read_json(path) if path.exists() else {"machine": ""}
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be written ({error.strerror})") from error
    except ValueError:
        before = None
    if not isinstance(before, dict) or "machine" not in before:
        raise argparse.ArgumentTypeError(f"{path} stands there, and is no report of this program: give another file")
    return path


def above_0(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value
