"""How fast a run trains and tests, measured while it does."""

import time
from collections import deque
from itertools import islice
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch

from lra_mru.engine.measuring.energy import gpu_joules
from lra_mru.engine.measuring.memory import PeakMemory
from lra_mru.engine.training.allocator import return_freed_blocks
from lra_mru.spec import Batch

WARMUP_STEPS = 10  # left out of every figure: first calls compile kernels and fill caches; again after every resume
SHOWN_STEPS = 50  # behind the speed that the progress bar shows
Mark = float | torch.cuda.Event  # a moment: of the host, in seconds, or of a GPU's stream of work
KEPT_STEPS = 10_000  # the newest measured steps: enough for any percentile, and small in a checkpoint


class Speedometer(pl.Callback):
    """Times every training step and every test batch, apart from the time between them, and reads memory and energy.

    A step is forward, backward and optimizer. What lies between the end of a step and the start of the next is data
    time: loading, transfer to the device, and the trainer's own bookkeeping; validations are left out. Tokens are
    counted without padding, and with. Everything is carried over from life to life of a run that was interrupted.
    On a GPU its own clock counts: when it reached the start and the end of a step. It notes both as it passes them and
    the host reads them later, so that neither waits; data time is then what the GPU had to wait for the host.
    """

    def __init__(self) -> None:
        self.steps: deque[tuple[float, float, int, int]] = deque(maxlen=KEPT_STEPS)  # step s, data s, tokens, padded
        self.test_batches: dict[str, list[tuple[float, int, int]]] = {}  # by set: s, tokens, padded; of this rank
        self.memory = PeakMemory()
        self.joules: float | None = None  # of this rank's GPU, from the end of the warm-up to the end of training
        self._device = torch.device("cpu")
        self._seen = 0
        self._start: Mark = 0.0
        self._end: Mark = 0.0
        self._unread: deque[tuple[Mark, Mark, Mark, int, int]] = deque()  # end before, start, end, tokens, padded
        self._unread_tests: deque[tuple[Mark, Mark, int, int, str]] = deque()
        self._joules_before: float | None = None
        self._set = ""  # which one is being tested

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._device = trainer.strategy.root_device
        self._seen, self._end = 0, _now(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._start = _now(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = _now(trainer)
        self._seen += 1
        if self._seen == WARMUP_STEPS:
            self.memory.reset(self._device)
            self._joules_before = gpu_joules(self._device)
        elif self._seen > WARMUP_STEPS:
            self._unread.append((self._end, self._start, now, batch.num_tokens, batch.num_padded_tokens))
            self._take_in(wait=False)
            recent = _percentiles(self._rates(trainer.world_size, column=2, newest=SHOWN_STEPS))[1]
            if recent is not None:
                pl_module.log("tokens/s", torch.tensor(recent), prog_bar=True)
        self._end = _now(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end = _now(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._read()

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if (name := "".join(pl_module.final_sets[dataloader_idx])) != self._set:
            self._end_set(trainer)
            self._set = name
            return_freed_blocks()
            self.memory.reset(trainer.strategy.root_device)
        self._start = _now(trainer)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        self._unread_tests.append((self._start, _now(trainer), batch.num_tokens, batch.num_padded_tokens, self._set))
        self._take_in(wait=False)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._take_in(wait=True)
        self._end_set(trainer)

    def _end_set(self, trainer: pl.Trainer) -> None:
        if self._set:
            self.memory.read_eval(trainer.strategy.root_device, self._set)
            self._set = ""

    def state_dict(self) -> dict[str, Any]:
        self._read()
        steps = torch.tensor(list(self.steps), dtype=torch.float64)
        return {"steps": steps, "memory": self.memory.train, "joules": self.joules}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps.extend((s, data, int(tokens), int(all_)) for s, data, tokens, all_ in state_dict["steps"].tolist())
        self.memory.train, self.joules = state_dict["memory"], state_dict["joules"]

    def throughput(self, world_size: int) -> dict[str, float | int | None]:
        """Medians over measured steps, with 20th and 80th percentiles; tokens of all ranks together. Test: all tokens
        over all of their time, without the first batch of a set that has more. None where nothing was measured: a life
        of a run that is no longer than the warm-up measures nothing."""
        figures: dict[str, float | int | None] = {}
        self._take_in(wait=True)
        step_ms, data_ms = ([1e3 * step[column] for step in self.steps] for column in (0, 1))
        figures |= _spread("train_tokens_per_s", _percentiles(self._rates(world_size, column=2)))
        figures |= {"train_padded_tokens_per_s": _percentiles(self._rates(world_size, column=3))[1]}
        figures |= _spread("step_ms", _percentiles(step_ms)) | _spread("data_ms", _percentiles(data_ms))
        figures |= {"measured_steps": len(self.steps), "warmup_steps": WARMUP_STEPS}
        batches = [batch for found in self.test_batches.values() for batch in found[1:] or found]
        seconds, tokens, padded = (sum(column) for column in zip(*batches, strict=True))
        figures |= {
            "eval_tokens_per_s": world_size * tokens / seconds,
            "eval_padded_tokens_per_s": world_size * padded / seconds,
        }
        return figures

    def median(self, column: int) -> float | None:
        """Of the measured steps: seconds of a step (0), seconds between steps (1), tokens (2), with padding (3)."""
        self._take_in(wait=True)
        return _percentiles([step[column] for step in self.steps])[1]

    def _rates(self, world_size: int, *, column: int, newest: int = KEPT_STEPS) -> list[float]:
        return [world_size * step[column] / step[0] for step in islice(reversed(self.steps), newest)]

    def _take_in(self, *, wait: bool) -> None:
        """Turns the marks that the device has passed into seconds; with wait, all of them."""
        while self._unread and (wait or _passed(self._unread[0][2])):
            before, start, end, tokens, padded = self._unread.popleft()
            self.steps.append((_seconds(start, end), _seconds(before, start), tokens, padded))
        while self._unread_tests and (wait or _passed(self._unread_tests[0][1])):
            start, end, tokens, padded, name = self._unread_tests.popleft()
            self.test_batches.setdefault(name, []).append((_seconds(start, end), tokens, padded))

    def _read(self) -> None:
        """Reads what the device counts since the warm-up; nothing before its end."""
        self._take_in(wait=True)
        if self._seen < WARMUP_STEPS:
            return
        self.memory.read_train(self._device)
        now = gpu_joules(self._device)
        if now is not None and self._joules_before is not None:
            self.joules = (self.joules or 0.0) + now - self._joules_before
            self._joules_before = now


def _percentiles(values: list[float]) -> list[float | None]:
    """20th, 50th and 80th; None of nothing."""
    return list(map(float, np.percentile(values, [20, 50, 80]))) if values else [None] * 3


def _spread(name: str, percentiles: list[float | None]) -> dict[str, float | int | None]:
    return {f"{name}_p20": percentiles[0], name: percentiles[1], f"{name}_p80": percentiles[2]}


def _now(trainer: pl.Trainer) -> Mark:
    """This moment of the host; for a GPU the moment at which it will have done all that it was asked so far."""
    if trainer.strategy.root_device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _passed(mark: Mark) -> bool:
    """Whether the device has passed the mark. Does not wait."""
    return isinstance(mark, float) or mark.query()


def _seconds(start: Mark, end: Mark) -> float:
    """Waits until the device has passed both."""
    if isinstance(start, float) or isinstance(end, float):
        return cast(float, end) - cast(float, start)  # two moments of the host: marks of one run are of one kind
    end.synchronize()
    return start.elapsed_time(end) / 1e3
