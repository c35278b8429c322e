"""One model at one length in a process of its own: what it takes to train on a batch, to read one, and to go one step.

    echo '{"model": "bmru", "length": 1024, ...}' | python -m lra_mru.bench.model_row      one JSON line per finding

A process of its own makes peaks honest and lets an attempt fail: one that needs more memory than allowed ends with the
findings made before and a line that says so. On a CPU the system would else stop everything, or swap.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch, as train.py does

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from lra_mru.engine.build import build
from lra_mru.engine.measuring.memory import PeakMemory, activation_bytes_per_token
from lra_mru.engine.training.allocator import keep_freed_blocks
from lra_mru.engine.training.optim import make_optimizer, named_groups
from lra_mru.model import SequenceModel
from lra_mru.places import CONF
from lra_mru.spec import Batch, TaskSpec

WARMUP_CALLS = 2  # the first compiles kernels and sizes the heap, the second runs as every later one
VOCABULARY, CLASSES = 256, 10  # bytes in, as the throughput table of arXiv 2011.04006


@dataclass(frozen=True, kw_only=True)
class Setting:
    """model: a file of conf/model. parts: of "step", "forward", "train". memory_bytes: most that a CPU may allocate."""

    model: str
    length: int
    batch: int
    d_model: int
    depth: int
    precision: str
    compile: bool
    threads: int
    max_calls: int
    call_seconds: float
    memory_bytes: int
    parts: list[str]


def timed(
    call: Callable[[], object], setting: Setting, device: torch.device, when_warm: Callable[[], None] = lambda: None
) -> list[float]:
    """Seconds of single calls after the warm-up: max_calls of them, or as many as call_seconds allow, one at least."""
    seconds: list[float] = []
    for index in range(WARMUP_CALLS + setting.max_calls):
        if index == WARMUP_CALLS:
            when_warm()
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if index >= WARMUP_CALLS:
            seconds.append(time.perf_counter() - start)
            if sum(seconds) > setting.call_seconds:
                break
    return seconds


def milliseconds(name: str, seconds: list[float]) -> dict[str, float]:
    """Median, and the 20th and 80th percentiles."""
    p20, median, p80 = (1e3 * torch.tensor(seconds).quantile(torch.tensor([0.2, 0.5, 0.8]))).tolist()
    return {f"{name}_ms": median, f"{name}_ms_p20": p20, f"{name}_ms_p80": p80, f"{name}_calls": len(seconds)}


def build_model(setting: Setting) -> tuple[SequenceModel, dict[str, Any]]:
    """The model as conf/ gives it, and the optimizer's settings. Attention is causal, as the others are."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"model={setting.model}", "task=copy_first"])
    cfg.model.d_model, cfg.model.depth = setting.d_model, setting.depth
    if attention := cfg.model.mixers.get("attention"):
        attention.causal, attention.max_length = True, max(attention.max_length, 2 * setting.length)
    spec = TaskSpec(
        kind="tokens", vocab_size=VOCABULARY, num_classes=CLASSES, max_length=setting.length, chance=1 / CLASSES
    )
    torch.manual_seed(0)
    optim = {key: value for key, value in cfg.optim.items() if key != "warmup_fraction"}
    return build(cfg.model, "model", spec=spec), optim


def findings(setting: Setting) -> Iterator[dict[str, Any]]:
    """Figures as they are found, the cheap ones first."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, optim = build_model(setting)
    model = model.to(device)
    groups = {name: sum(p.numel() for _, p in members) for name, members in named_groups(model).items()}
    yield {
        "params": sum(groups.values()),
        "dynamics_params": groups.get("dynamics", 0),
        "state_bytes": model.state_bytes(setting.length),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
    }
    if setting.compile:
        model.compile()
    inputs = torch.randint(VOCABULARY, (setting.batch, setting.length), device=device)
    lengths = torch.full((setting.batch,), setting.length, device=device)
    batch = Batch(inputs=inputs, lengths=lengths, targets=torch.randint(CLASSES, (setting.batch,), device=device))

    def loss_of(batch: Batch) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=setting.precision == "bf16"):
            logits = model(batch.inputs, batch.lengths)
        return torch.nn.functional.cross_entropy(logits.float(), batch.targets)

    if "forward" in setting.parts:
        with torch.inference_mode():
            yield milliseconds("forward", timed(lambda: loss_of(batch), setting, device))
    if "train" in setting.parts:
        yield {"activation_bytes_per_token": activation_bytes_per_token(model, loss_of, batch)}
        optimizer, memory = make_optimizer(model, **optim), PeakMemory()

        def train_step() -> None:
            optimizer.zero_grad()
            loss_of(batch).backward()
            optimizer.step()

        seconds = timed(train_step, setting, device, when_warm=lambda: memory.reset(device))
        memory.read_train(device)
        figures = milliseconds("train", seconds)
        tokens = setting.batch * setting.length
        yield figures | {"train_tokens_per_s": 1e3 * tokens / figures["train_ms"]} | memory.figures()
    if "step" in setting.parts:
        with torch.inference_mode():
            _, state = model.advance(inputs[:1], model.initial_state(1))
            yield milliseconds("step", timed(lambda: model.step(inputs[:1, 0], state), setting, device))


def allow(memory_bytes: int) -> None:
    """From here on, allocations of this process beyond memory_bytes fail, instead of bringing the machine down."""
    import resource  # not on every system that has a GPU

    with open("/proc/self/statm") as file:
        data = int(file.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + memory_bytes, resource.RLIM_INFINITY))


def main() -> None:
    setting = Setting(**json.load(sys.stdin))
    torch.set_num_threads(setting.threads)
    keep_freed_blocks()
    if not torch.cuda.is_available():
        allow(setting.memory_bytes)
    try:
        for finding in findings(setting):
            print(json.dumps(finding), flush=True)
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError; the CPU's has no class
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "allocate memory" not in str(error):
            raise
        print(json.dumps({"status": "out of memory"}), flush=True)
        sys.exit(0)
    print(json.dumps({"status": "ok"}), flush=True)


if __name__ == "__main__":
    main()
