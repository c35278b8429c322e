"""Batches made ahead: while a GPU works on one, a thread makes the next ones and puts them where it fetches them."""

import threading
from collections.abc import Iterator
from queue import Full, Queue
from typing import Protocol

import torch

from lra_mru.spec import Batch

NUM_AHEAD = 3  # batches that wait in memory
POLL_S = 0.1  # how soon the thread notices that nobody wants more


class Loader(Protocol):
    """What the engine takes batches from."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


class Ahead:
    """The batches of a loader, in its order, each made before it is asked for.

    device: a GPU: batches lie in page-locked memory, from where it copies by itself. A CPU: as the loader made them
    """

    def __init__(self, loader: Loader, *, device: torch.device) -> None:
        self.loader, self.device = loader, device

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        queue: Queue[Batch | BaseException | None] = Queue(NUM_AHEAD)
        stop = threading.Event()
        thread = threading.Thread(target=self._fill, args=(queue, stop), name="batches ahead", daemon=True)
        thread.start()
        try:
            while (item := queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:  # also where the run stops early
            stop.set()
            thread.join()

    def _fill(self, queue: "Queue[Batch | BaseException | None]", stop: threading.Event) -> None:
        try:
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            for batch in self.loader:
                if not _put(queue, batch.pin_memory() if self.device.type == "cuda" else batch, stop):
                    return
            _put(queue, None, stop)
        except BaseException as error:  # handed over: it is raised where the batch is asked for
            _put(queue, error, stop)


def _put(
    queue: "Queue[Batch | BaseException | None]", item: Batch | BaseException | None, stop: threading.Event
) -> bool:
    """Waits for room; False if the batches are no longer wanted."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=POLL_S)
            return True
        except Full:
            continue
    return False
