"""Many command lines of the programs, a second each: one process imports everything, and forks for each of them.

Run as a program it reads lines of JSON, [module, working folder, environment, arguments], and answers each with
[exit status, output, errors].
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class Programs:
    """commands("lra_mru.train", folder, "seed=-1") -> (status, output, errors), as a process of its own would end."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
        environment["CUDA_VISIBLE_DEVICES"] = ""
        self.process = subprocess.Popen(
            [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, module: str, folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([module, str(folder), environment, arguments]), file=self.process.stdin, flush=True)
        status, out, err = json.loads(self.process.stdout.readline())
        return status, out, err

    def close(self) -> None:
        self.process.communicate()


def run(module: str) -> int:
    """The exit status of a program, and on stderr what the interpreter would say of it."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def answer(module: str, folder: str, environment: dict[str, str], arguments: list[str]) -> list[Any]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            signal.alarm(60)  # nothing here takes so long
            os.chdir(folder)
            os.environ.update(environment)
            sys.argv = ["", *arguments]
            status = run(module)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # the interpreter's own end would walk all that was imported, for seconds
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return [status, out.read(), err.read()]


if __name__ == "__main__":
    from lra_mru.engine.imports import imports_that_stay

    with imports_that_stay():  # a child that collects what it did not make would copy it
        import lra_mru.bench.models
        import lra_mru.engine.run
        import lra_mru.engine.sweep.main
        import lra_mru.report
        import lra_mru.show.data  # noqa: F401

    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in questions:
        print(json.dumps(answer(*json.loads(line))), file=answers, flush=True)
