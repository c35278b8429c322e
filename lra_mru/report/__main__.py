"""`python -m lra_mru.report`, or lra-report: make the leaderboard, and with --readme the short table of a README.

With --check, say of each record whether it can join the leaderboard, and write nothing.
"""

import sys
from pathlib import Path

from data_prep.common.arguments import OneLineParser
from data_prep.common.output import printing_program
from lra_mru.places import MY_RESULTS
from lra_mru.report import records_of, write_leaderboard, write_readme
from lra_mru.report.check import check_paths


@printing_program
def main() -> int:
    """Exit status 0 if all was written from all records, 1 with a line on stderr for what failed or was left out.

    With --check: 0 if every record can join, 1 if not, 2 for a path that holds none.
    """
    here = Path("results") if Path("results").is_dir() else MY_RESULTS
    parser = OneLineParser(prog="python -m lra_mru.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=here, help=f"folder that holds runs/ (default: {here})")
    parser.add_argument("--readme", type=Path, help="file whose leaderboard block to replace")
    parser.add_argument(
        "--check", type=Path, nargs="+", metavar="PATH", help="records, or folders of records, to check"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="with --check: where their weights may lie")
    arguments = parser.parse_args()
    if arguments.check:
        try:
            return 1 if check_paths(arguments.check, results=arguments.results, runs=arguments.runs) else 0
        except ValueError as error:
            parser.error(str(error))
        except OSError as error:
            if not error.filename:  # of what was printed
                raise
            parser.error(f"{error.filename} cannot be read ({error.strerror})")
    try:
        if arguments.readme is not None:
            write_readme(arguments.results, arguments.readme)
        page = write_leaderboard(arguments.results)
        records, complaints = records_of(arguments.results)
        num_records = len(records)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if not error.filename:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    plural = "" if num_records == 1 else "s"
    found = f"{num_records} record{plural}" if num_records else "no records yet; the page says how to make one"
    print(f"{page}: {found}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
