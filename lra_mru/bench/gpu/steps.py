"""Training steps of whole models: their time, how much of it the GPU works, and how often the host waits for it."""

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lra_mru.bench.model_row import CLASSES, VOCABULARY, Setting, build_model
from lra_mru.engine.training.optim import make_optimizer

WARMUP_STEPS, TIMED_STEPS = 3, 8
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One model at one shape."""

    model: str
    precision: str
    batch: int = 16
    length: int = 1024
    d_model: int = 256
    depth: int = 6
    compile: bool = False


STEPS = {
    **{f"{m} bf16": Step(model=m, precision="bf16") for m in ("bmru", "lru", "mamba", "transformer")},
    "bmru bf16 compiled": Step(model="bmru", precision="bf16", compile=True),
    **{f"{m} float32": Step(model=m, precision="float32") for m in ("bmru", "lru", "mamba", "transformer")},
    **{f"{m} bf16 long": Step(model=m, precision="bf16", batch=4, length=16384) for m in ("bmru", "hybrid", "mamba")},
}


def measured_step(step: Step) -> dict[str, Any]:
    """Milliseconds of a step and of the GPU's work in it, kernels and waits of a step; or how it failed."""
    row: dict[str, Any] = vars(step).copy()
    try:
        train = training_step(step, "cuda")
        return row | {"step_ms": step_ms(train)} | gpu_work(train) | {"waits": waits(train)}
    except torch.OutOfMemoryError:
        return row | {"status": "out of memory"}
    except RuntimeError as error:
        return row | {"status": f"failed: {str(error).splitlines()[0][:200]}"}


def training_step(step: Step, device: str) -> Callable[[], None]:
    """Forward, backward and optimizer on one batch of random tokens, which is on the device already."""
    setting = Setting(
        model=step.model, length=step.length, batch=step.batch, d_model=step.d_model, depth=step.depth,
        precision=step.precision, compile=step.compile, threads=torch.get_num_threads(), max_calls=1, call_seconds=1.0,
        memory_bytes=0, parts=[],
    )  # fmt: skip
    model, optim = build_model(setting)
    model = model.to(device)
    optimizer = make_optimizer(model, **optim, fused=device == "cuda")
    if step.compile:
        model.compile()
    tokens = torch.randint(VOCABULARY, (step.batch, step.length), device=device)
    targets = torch.randint(CLASSES, (step.batch,), device=device)
    lengths = torch.full((step.batch,), step.length, device=device)
    dtype = DTYPES[step.precision]

    def loss() -> Tensor:
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            logits: Tensor = model(tokens, lengths)
        return cross_entropy(logits.float(), targets)

    def train() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return train


def step_ms(train: Callable[[], None], synchronize: Callable[[], None] = torch.cuda.synchronize) -> float:
    """Median after the warm-up, of steps that each wait for the device at their end."""
    seconds = []
    for _ in range(WARMUP_STEPS + TIMED_STEPS):
        start = time.perf_counter()
        train()
        synchronize()
        seconds.append(time.perf_counter() - start)
    return 1e3 * median(seconds[WARMUP_STEPS:])


def gpu_work(train: Callable[[], None]) -> dict[str, float]:
    """Of one step: milliseconds in which some kernel runs, and the number of kernels."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        train()
        torch.cuda.synchronize()
    kernels = [event for event in profile.events() or [] if event.device_type == torch.autograd.DeviceType.CUDA]
    spans = [(event.time_range.start, event.time_range.end) for event in kernels]
    return {"busy_ms": covered(spans) / 1e3, "kernels": len(kernels)}


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans (start, end): kernels that run at once count once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def waits(train: Callable[[], None]) -> int:
    """How often the host waits for the GPU in one step, as torch sees it."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)
