"""Parts of a data set made by several threads, and handed on in order: the result is that of one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Made = TypeVar("Made")


def in_order(make: Callable[[Part], Made], parts: Iterable[Part], *, workers: int) -> Iterator[Made]:
    """Yield make(part) for every part, in order; compiled code that lets go of the GIL runs in parallel.

    At most 2 * workers results wait in memory. An error in one part is raised where it would be by one worker.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Made]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(make, part))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
