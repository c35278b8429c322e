"""Where the suite's own files lie: beside the package in a checkout, inside the package in an installed wheel."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def _shipped(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parent / name


CONF = _shipped("conf")
RESULTS = _shipped("results")  # the shipped records; a run is written here only if results_dir says so
MY_RESULTS = Path("my_results")  # the default of results_dir, in the folder where one works
