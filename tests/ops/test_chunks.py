"""One long row is cut in time: chunks give what a whole row gives, whichever thread comes first."""

from collections.abc import Iterator

import pytest
import torch
from ops.op_cases import TOLERANCE, assert_close, in_double, op_cases, outputs_and_gradients

from lra_mru.ops._cpu import chunks as _cpu_chunks
from lra_mru.ops._cpu import threads as _cpu_threads
from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan

CASES = [case for case in op_cases(set(TOLERANCE)) if case.op != "selective_scan"]  # which shares out channels


def test_only_a_long_row_on_its_own_is_cut() -> None:
    assert _cpu_chunks.chunk_steps(1, 2**20, 128) == 1024
    assert _cpu_chunks.chunk_steps(2, 2**20, 128) == 2**20
    assert _cpu_chunks.chunk_steps(1, 2000, 128) == 2000  # not worth a second thread
    assert _cpu_chunks.chunk_steps(1, 100, 2**18) == 1
    assert _cpu_chunks.num_units(1, 2**20 + 1, 128) == 1025


@pytest.fixture
def chunks_of_three_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In four threads, however few the cores: some wait for a thread that does not run."""
    before = torch.get_num_threads()
    monkeypatch.setattr(_cpu_chunks, "chunk_steps", lambda batch, length, channels: 3)
    monkeypatch.setattr(_cpu_threads, "MIN_ELEMENTS_PER_THREAD", 1)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("chunks_of_three_steps")
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("shape", [(1, 4, 1), (1, 31, 5), (2, 33, 17)], ids=str)
def test_chunks_are_the_reference(case, shape: tuple[int, int, int]) -> None:  # type: ignore[no-untyped-def]
    arguments = case.inputs(*shape)
    expected = outputs_and_gradients(case.reference, in_double(arguments))
    assert_close(outputs_and_gradients(case.fused, arguments), expected, TOLERANCE[case.dtype])


@pytest.mark.usefixtures("chunks_of_three_steps")
def test_nan_crosses_chunks_until_a_gate_opens() -> None:
    c, beta = torch.zeros(1, 12, 1), torch.ones(1, 12, 1)
    c[0, 0], c[0, 1], c[0, 8] = 2.0, float("nan"), -2.0
    h = bmru_scan(c, beta, torch.ones(1)).flatten()
    assert h.isnan().tolist() == [False] + 7 * [True] + 4 * [False]
    assert h[8:].tolist() == 4 * [-1]
    a, b = torch.zeros(1, 12, 1), torch.ones(1, 12, 1)
    b[0, 4] = float("nan")
    assert linear_scan(a, b).flatten().isnan().tolist() == 4 * [False] + 8 * [True]


@pytest.mark.usefixtures("chunks_of_three_steps")
def test_bmru_crosses_chunks_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    c, beta, alpha = torch.randn(1, 300, 8), 2 + torch.rand(1, 300, 8), torch.rand(8)
    cut = bmru_scan(c, beta, alpha)
    monkeypatch.setattr(_cpu_chunks, "chunk_steps", lambda batch, length, channels: length)
    assert torch.equal(cut, bmru_scan(c, beta, alpha))


@pytest.mark.usefixtures("chunks_of_three_steps")
def test_growth_that_overflows_does_not_reach_a_state_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cpu_chunks, "chunk_steps", lambda batch, length, channels: 700)
    a, b = torch.full((1, 1500, 2), 3.0), torch.zeros(1, 1500, 2)
    assert torch.equal(linear_scan(a, b), b)
