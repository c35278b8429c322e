"""CPU: what the scans keep and take, as ratios where they can be: memory, long rows, the first call."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

import torch
from torch import Tensor

from lra_mru.bench.cpu import bmru_inputs, composed_bmru
from lra_mru.bench.timing import interleaved
from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan
from lra_mru.ops.selective_scan import selective_scan


def saved_bytes(call: Callable[[], object]) -> int:
    """Bytes of the distinct memory that autograd keeps for the backward pass of call."""
    storages: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        kept = call()  # alive while counted, so that no memory is used twice
    del kept
    return sum(storages.values())


def peak_extra_bytes(call: Callable[[], object]) -> int:
    """The most memory that torch has allocated beyond what it had before, while call runs."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def selective_extra_memory() -> float:
    """Peak of forward + backward beyond inputs, output and gradients, as a multiple of u."""
    u, delta = torch.randn(8, 1024, 256).requires_grad_(), torch.rand(8, 1024, 256).requires_grad_()
    A, B, C = -torch.rand(256, 16), torch.randn(8, 1024, 16), torch.randn(8, 1024, 16)
    dy = torch.randn_like(u)
    inputs = (u, delta, A.requires_grad_(), B.requires_grad_(), C.requires_grad_())
    peak = peak_extra_bytes(lambda: torch.autograd.grad(selective_scan(*inputs)[0], inputs, dy))
    results = sum(x.numel() * x.element_size() for x in (dy, *inputs))  # y has the size of dy
    return (peak - results) / (u.numel() * u.element_size())


def time_per_token(batch: int) -> float:
    """Time of linear_scan and bmru_scan forward at (batch, 2^20, 128) over that of the same numbers in rows of 2^10.

    Two long rows keep two threads busy; one is cut in time for them, which costs a second walk over the inputs.
    """
    long, short = (batch, 2**20, 128), (batch * 2**10, 2**10, 128)
    a, b = torch.rand(long), torch.randn(long)

    def both(shape: tuple[int, int, int]) -> None:
        x, y = a.view(shape), b.view(shape)
        linear_scan(x, y)
        bmru_scan(y, x, x[0, 0])

    seconds = interleaved({"long": lambda: both(long), "short": lambda: both(short)}, rounds=15)
    return seconds["long"] / seconds["short"]


def first_calls() -> tuple[float, float]:
    """Seconds of the first calls of all scans in a new process, and in the next, which finds compiled code on disk.

    Numba's own import is in both.
    """
    with tempfile.TemporaryDirectory() as cache:
        command, environment = (
            [sys.executable, "-m", "lra_mru.bench.first_calls"],
            os.environ | {"NUMBA_CACHE_DIR": cache},
        )
        cold, warm = (
            float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout) for _ in range(2)
        )
    return cold, warm


def run() -> dict[str, float]:
    """Each figure, printed beside its bar."""
    c, beta, alpha, _ = bmru_inputs((4, 256, 64))
    found = {}

    def show(name: str, value: float) -> None:
        print(f"{name:<70} {value:6.2f}", flush=True)
        found[name] = value

    fused, composed = saved_bytes(lambda: bmru_scan(c, beta, alpha)), saved_bytes(lambda: composed_bmru(c, beta, alpha))
    show("bmru_scan: saved bytes / composed (bar < 0.5)", fused / composed)
    show("selective_scan: peak extra memory / size of u (bar < 3)", selective_extra_memory())
    show("time per token, L = 1,048,576 / L = 1,024, B = 2 (bar <= 1.2)", time_per_token(2))
    show("time per token, L = 1,048,576 / L = 1,024, B = 1 (bar <= 1.2)", time_per_token(1))
    cold, warm = first_calls()
    show("seconds of all first calls, nothing compiled before (bar < 20)", cold)
    show("seconds of the same in the next process, compiled code on disk", warm)
    return found
