"""Look at a task's data before trusting them: a contact sheet, and the figures that would give a mistake away."""

import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.common.arguments import OneLineParser
from data_prep.common.output import printing_program
from lra_mru.engine.arguments import explain
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.imports import imports_that_stay

USAGE = "python -m lra_mru.show task=NAME [key=value ...]"


@printing_program
def main(argv: Sequence[str] | None = None) -> int:
    """The command line -> exit status: 0 if the sheet is written, 2 if it cannot be."""
    parser = OneLineParser(prog="python -m lra_mru.show", usage=USAGE, description=__doc__)
    parser.add_argument(
        "overrides", nargs="+", metavar="key=value", help="as for train.py: task=pathfinder task.size=16"
    )
    parser.add_argument("--out", type=Path, help="picture to write (default: <task>.png)")
    arguments = parser.parse_args(argv)
    if arguments.out and arguments.out.suffix != ".png":
        parser.error(f"--out {arguments.out} must name a picture, as sheet.png")
    with imports_that_stay():  # they take seconds: help and a typing mistake need neither
        from lra_mru.show.data import figures, load
        from lra_mru.show.sheet import write_sheet
    try:
        task = load(arguments.overrides)
        out = arguments.out or Path(f"{task.name}.png")
        print("\n".join(figures(task)))
        write_sheet(out, task)
    except BrokenPipeError:
        raise
    except (ConfigError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    print(out)
    return 0
