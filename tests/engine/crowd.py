"""A program: eight processes do the same thing in the same instant.

python crowd.py FOLDER      does every job in a folder of its name, and prints "<job> <what came of it>", a line each
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).parents[1:3])

from lra_mru.engine.errors import ConfigError
from lra_mru.engine.recording.record import Identity, write_record
from lra_mru.engine.saving.attempts import Attempt, open_attempt
from lra_mru.report import write_leaderboard

CROWD = 8
HELD: list[Attempt] = []  # an attempt that is forgotten is let go
RECORD = {
    **dict(schema=2, model="bmru", task="copy_first", variant="symbols, T = 8", budget="quick", config_hash="0badcafe"),
    **dict(config={}, git=None, num_params=10, metrics={"test/acc": 0.5, "test/num_examples": 40, "val/acc": 0.5}),
    **dict(
        skipped={}, floors={"chance": 0.125}, wall_s=1.0, steps=1, best_step=1, device="cpu", num_devices=1, cores=1
    ),
    **dict(precision="32-true", bidirectional=False, pooling="last", finished_at="2026-01-01T00:00:00Z"),
    "throughput": {"train_tokens_per_s": 1.0, "eval_tokens_per_s": 1.0},
    "memory": {"peak_bytes": 1, "activation_bytes_per_token": 1.0, "state_bytes": 1},
}


def identity(seed: int) -> Identity:
    return Identity(model="bmru", task="copy_first", budget="quick", seed=seed, config={}, config_hash="0badcafe")


def finish(folder: Path, seed: int, me: int) -> str:
    """Each has a folder of its own, as on a machine of its own."""
    attempt = Attempt(folder / f"runs{me}" / "attempt1")
    attempt.path.mkdir(parents=True)
    path = write_record(folder / "results", identity(seed), attempt, RECORD | {"seed": seed})
    write_leaderboard(folder / "results")
    return path.name


def start(folder: Path, *, go_on: bool) -> str:
    results = folder / "results"
    try:
        HELD.append(open_attempt(folder / "runs", go_on=go_on, results_dir=results, above=0, facts={}))
    except ConfigError as error:
        return str(error)
    return HELD[-1].path.name


JOBS: dict[str, Callable[[Path, int], str]] = {
    "finish": lambda folder, me: finish(folder, me, me),
    "finish_the_same": lambda folder, me: finish(folder, 0, me),
    "start": lambda folder, me: start(folder, go_on=True),
    "start_anew": lambda folder, me: start(folder, go_on=False),
}


def one(job: str, folder: Path, me: int, barrier: Barrier) -> None:
    barrier.wait()
    said = JOBS[job](folder, me)
    barrier.wait()  # whoever holds something holds it until all are done
    os.write(1, f"{job} {said}\n".encode())


def main() -> None:
    fork, failed = multiprocessing.get_context("fork"), False
    for job in JOBS:
        folder = Path(sys.argv[1]) / job
        (folder / "results").mkdir(parents=True)
        barrier = fork.Barrier(CROWD)
        crowd = [fork.Process(target=one, args=(job, folder, me, barrier)) for me in range(CROWD)]
        for process in crowd:
            process.start()
        for process in crowd:
            process.join()
        failed |= any(process.exitcode for process in crowd)
    sys.exit(failed)


if __name__ == "__main__":
    main()
