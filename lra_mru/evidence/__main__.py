"""python -m lra_mru.evidence [LIST] [--tasks ..] [--models ..] [--rates ..] [--seeds ..] [--jobs N] [key=value ...]"""

from pathlib import Path

from lra_mru.engine import cli
from lra_mru.engine.arguments import Parser, check_jobs
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.evidence.declared import read
from lra_mru.evidence.queue import Queue
from lra_mru.places import RESULTS


def parser() -> Parser:
    made = Parser(prog="python -m lra_mru.evidence", description="Runs what is missing of a declared list of runs.")
    made.add_argument(
        "--list", type=Path, default=RESULTS / "evidence.yaml", help="the list (default: the shipped one)"
    )
    made.add_argument("--tasks", type=words, help="only these of the list's tasks, e.g. delayed_mnist,flip_flop")
    made.add_argument("--models", type=words, help="only these of its models, e.g. bmru,hybrid")
    made.add_argument("--rates", type=numbers, help="learning rates in place of the list's; one: nothing to choose")
    made.add_argument("--seeds", type=integers, help="seeds in place of the list's")
    made.add_argument("--jobs", type=int, default=1, help="runs at once: they share cores and GPUs (default: 1)")
    made.add_argument("--dry", action="store_true", help="only say how many runs are missing")
    made.add_argument("overrides", nargs="*", help="for every run, e.g. results_dir=results task.mnist_dir=<folder>")
    return made


def words(text: str) -> list[str]:
    return text.split(",")


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def integers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def evidence() -> None:
    said = parser().parse_intermixed_args()
    check_jobs(said.jobs)
    declared = read(said.list).narrowed(tasks=said.tasks, models=said.models, rates=said.rates, seeds=said.seeds)
    queue = Queue(declared, said.overrides, jobs=said.jobs)
    if said.dry:
        print(f"{len(declared.cells)} cells, {queue.missing()} runs to do at least")
        return
    queue.run()


def main() -> None:
    try:
        evidence()
    except (ConfigError, RunError) as error:
        cli.fail(error)
    except OSError as error:  # of a runs_dir that is a file, or that nobody may write to
        cli.fail(ConfigError(f"{error.filename}: {error.strerror}"))
    except KeyboardInterrupt:
        cli.fail(RunError("interrupted before a run began"))


if __name__ == "__main__":
    main()
