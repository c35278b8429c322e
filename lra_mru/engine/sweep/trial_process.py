"""One trial: a train.py of its own, whose output is read from its log."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from lra_mru.places import PACKAGE

TRAIN = [sys.executable, "-m", "lra_mru.train"]
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>, Linux
VALIDATION = re.compile(r"^step ([\d,]+)/.*\bval/acc ([\d.]+)", re.MULTILINE)
RECORD = re.compile(r"^record: (.+)$", re.MULTILINE)


def end_with_parent() -> None:
    """In the new process: ask the kernel for SIGTERM when sweep.py dies, so that none trains on unseen. Linux only."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class TrialProcess:
    """A run in progress, with its share of the machine.

    number: the trial's; log: where its output goes; slot: 0 .. jobs - 1, which share of cores and GPUs it has
    """

    def __init__(self, number: int, overrides: list[str], log: Path, *, slot: int, jobs: int) -> None:
        self.number, self.overrides, self.log, self.slot = number, overrides, log, slot
        log.parent.mkdir(parents=True, exist_ok=True)
        self._from = log.stat().st_size if log.exists() else 0  # a trial taken over goes on in the same log
        self.reported = len(self.validations())  # told to Optuna, also before the trial was taken over
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*TRAIN, *overrides],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | _share(slot, jobs),
                start_new_session=True,  # Ctrl-C reaches sweep.py alone, which passes it on once
                preexec_fn=end_with_parent,
            )

    def text(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._from)
            return file.read().decode(errors="replace")

    def validations(self) -> list[float]:
        """Validation accuracy at each validation of the trial so far, before it was taken over as well."""
        text = self.log.read_bytes().decode(errors="replace") if self.log.exists() else ""
        return [float(value) for value in dict(VALIDATION.findall(text)).values()]

    def record(self) -> Path | None:
        found = RECORD.findall(self.text())
        return Path(found[-1]) if found else None

    def last_line(self) -> str:
        lines = [line for line in self.text().splitlines() if line.strip()]
        return lines[-1] if lines else f"no output, exit status {self.process.returncode}"

    def stop(self, number: signal.Signals) -> None:
        """Asks the run to save a checkpoint and end; SIGKILL leaves it no choice."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _share(slot: int, jobs: int) -> dict[str, str]:
    """Cores divided among the jobs, GPUs dealt out in turn; what the caller has set already holds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = {"PYTHONUNBUFFERED": "1"}
    share["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    if "OMP_NUM_THREADS" not in os.environ:
        share["OMP_NUM_THREADS"] = str(max(1, cores // jobs))
    if gpus := _gpus():
        share["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    return share


def _gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    return [str(index) for index, _ in enumerate(sorted(Path("/proc/driver/nvidia/gpus").glob("*")))]
