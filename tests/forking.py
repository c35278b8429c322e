"""Many command lines of train.py in a second each: one process imports everything, and forks for each of them.

Reads lines of JSON, [working folder, environment, arguments], and answers each with [exit status, output, errors].
"""

import json
import os
import runpy
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does

TRAIN = Path(__file__).parents[1] / "train.py"


def answer(folder: str, environment: dict[str, str], arguments: list[str]) -> list[object]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(folder)
            os.environ.update(environment)
            sys.argv = [str(TRAIN), *arguments]
            runpy.run_path(str(TRAIN), run_name="__main__")  # ends the interpreter as the program would
            sys.exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return [status, out.read(), err.read()]


if __name__ == "__main__":
    sys.path.insert(0, str(TRAIN.parent))
    import lra_mru.engine.run
    import lra_mru.report

    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in questions:
        print(json.dumps(answer(*json.loads(line))), file=answers, flush=True)
