"""Numbers that lie on a device, read by the host without making the device wait."""

import math
from collections import deque

import torch
from torch import Tensor

MOST_BEHIND = 4  # steps: the host never runs further ahead of what it has read


class LateLosses:
    """The loss of every step, known on the host as soon as the device has it: at once on a CPU, steps later on a GPU.

    newest: (step, loss) that was read last; None before the first
    bad:    (step, loss) of the first loss that is not finite; None where all that were read are
    """

    def __init__(self) -> None:
        self.newest: tuple[int, float] | None = None
        self.bad: tuple[int, float] | None = None
        self._pending: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()

    def put(self, step: int, loss: Tensor) -> None:
        """Asks for the loss of a step. Does not wait for it."""
        loss = loss.detach()
        if loss.device.type != "cuda":
            self._pending.append((step, loss, None))
            return
        copied = torch.empty(loss.shape, dtype=loss.dtype, pin_memory=True)
        copied.copy_(loss, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._pending.append((step, copied, event))

    def read(self, *, wait: bool) -> None:
        """Takes in what has arrived; with wait, all that was asked for."""
        while self._pending:
            step, loss, event = self._pending[0]
            if event is not None and not event.query():
                if not wait and len(self._pending) <= MOST_BEHIND:
                    return
                event.synchronize()
            self._pending.popleft()
            self.newest = (step, float(loss.numpy()))  # host memory: nothing is asked of a device
            if self.bad is None and not math.isfinite(self.newest[1]):
                self.bad = self.newest
