"""The program behind `python sweep.py` and `lra-sweep`: a W&B sweep file, with no account and no network."""

from data_prep.common.output import printing_program
from lra_mru.engine import cli
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.sweep.main import sweep_from_command_line


@printing_program
def main() -> None:
    try:
        results_dir = sweep_from_command_line()
        from lra_mru.report import print_sweeps, write_leaderboard  # draws: not needed for an answer to a mistake

        print_sweeps(results_dir)
        print(f"leaderboard: {write_leaderboard(results_dir)}")
    except (ConfigError, RunError) as error:
        cli.fail(error)
    except KeyboardInterrupt:
        cli.fail(RunError("interrupted before a trial began"))


if __name__ == "__main__":
    main()
