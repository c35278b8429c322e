"""The kernels share out work over threads: same numbers for any number of them, in any thread, after any fork."""

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from ops.op_cases import OPS, op_cases, outputs_and_gradients
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lra_mru.ops._cpu import threads as _cpu_threads
from lra_mru.ops.linear_scan import linear_scan

FIRST_CASES = [next(c for c in op_cases({torch.float32}) if c.op == op) for op in OPS]
SHAPE = (3, 1024, 160)  # 491,520 elements: three threads
ONE_ROW = (1, 3072, 160)  # as many, cut in time


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("first_case", FIRST_CASES, ids=str)
@pytest.mark.parametrize("shape", [SHAPE, ONE_ROW], ids=str)
def test_number_of_threads_changes_no_bit(first_case, shape, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    others: list[int] = []
    workers = _cpu_threads._workers
    monkeypatch.setattr(_cpu_threads, "_workers", lambda number: others.append(number) or workers(number))
    arguments = first_case.inputs(*shape)
    torch.set_num_threads(1)
    one = outputs_and_gradients(first_case.fused, arguments)
    assert others == []
    torch.set_num_threads(3)
    three = outputs_and_gradients(first_case.fused, arguments)
    assert set(others) == {2}
    assert all(torch.equal(one[name], three[name]) for name in one)


def _scan_sum(seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)
    return float(linear_scan(a, b).numpy().sum())  # by NumPy: torch's own threads do not survive a fork


def test_python_threads_at_once() -> None:
    torch.set_num_threads(2)
    expected = [_scan_sum(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_scan_sum, range(4))) == expected


def test_an_error_in_another_thread_is_raised_in_the_one_that_asked() -> None:
    caller = threading.get_ident()
    other_has_failed = threading.Event()

    def work(todo: object) -> None:
        if threading.get_ident() != caller:
            other_has_failed.set()
            raise RuntimeError("no memory for the other half")
        assert other_has_failed.wait(timeout=60)

    torch.set_num_threads(2)
    with pytest.raises(RuntimeError, match="the other half"):
        _cpu_threads.share(work, units=2, elements=1 << 20)


def _scan_in_child(queue) -> None:  # type: ignore[no-untyped-def]
    torch.set_num_threads(2)
    queue.put(_scan_sum(0))


def test_a_forked_child_starts_its_own_threads() -> None:
    torch.set_num_threads(2)
    expected = _scan_sum(0)
    assert _cpu_threads._workers.cache_info().currsize > 0
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_scan_in_child, args=(queue,))
    child.start()
    child.join(timeout=60)
    alive = child.is_alive()
    child.kill()
    assert not alive, "the child hangs on its parent's threads"
    assert child.exitcode == 0
    assert queue.get() == expected


class _Scans(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor(_scan_sum(index), dtype=torch.float64)


def test_data_loader_workers_may_scan() -> None:
    torch.set_num_threads(2)
    expected = [_scan_sum(seed) for seed in range(4)]
    assert [x.item() for x in DataLoader(_Scans(), batch_size=None, num_workers=2, timeout=60)] == expected
