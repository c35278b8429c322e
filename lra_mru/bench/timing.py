"""Interleaved timing: everything that is compared is measured in one run, turn and turn about, on one machine."""

import ctypes
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch


def machine() -> str:
    """One line that names what the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = f"{len(names)} x {names[0]}" if names else cpu
    waiting = os.environ.get("OMP_WAIT_POLICY", "default")
    return (
        f"{cpu}, {torch.get_num_threads()} threads (OMP_WAIT_POLICY {waiting}), torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )


def allocate(memory: Literal["reused", "fresh"]) -> None:
    """Tell glibc where the outputs of every later call come from, ours and theirs alike.

    Left alone, glibc decides by the history of the heap, and the same call costs page faults or not: up to 6 x.
    "reused": from memory this process already touched. "fresh": from the kernel each time, with all page faults, as
    glibc does by default for any tensor above 32 MiB.
    """
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
    settings = {
        "reused": {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1},
        "fresh": {M_MMAP_MAX: 2**16, M_MMAP_THRESHOLD: 2**20, M_TRIM_THRESHOLD: 2**20},
    }[memory]
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    for parameter, value in settings.items():
        if mallopt(parameter, value) != 1:
            raise OSError(f"mallopt({parameter}, {value}) was refused: timings would depend on the heap's history")


def interleaved(candidates: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median seconds of one call of each candidate.

    Every round runs every candidate twice and times the second call: each then finds its own data as it left it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():  # compiles
        call()
    for _ in range(rounds):
        for name, call in candidates.items():
            call()
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
