"""Looking back on a real GPU: forward progress, the edges of tiles, the same bits whatever else runs, replays."""

import pytest
import torch
from gpu.look_back import LONG, both_passes, check_lengths, check_odd_numbers, check_one_long_row, edges
from gpu.on_device import on, same_bits
from ops.op_cases import OpCase, op_cases
from torch import Tensor

pytestmark = pytest.mark.gpu

DTYPES = {torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.complex64}
CASES = [case for case in op_cases(DTYPES) if case.op in ("linear_scan", "bmru_scan")]
FIRST = list({(case.op, case.dtype): case for case in reversed(CASES)}.values())  # of each op and dtype
BUSY = [(8, 16384, 256), (1, 65536, 128), (3, 5000, 70)]


@pytest.mark.parametrize("shape", [LONG, (1, 2**22, 5), (40, 2**15, 64)], ids=str)
def test_more_programs_than_a_gpu_holds(shape: tuple[int, int, int]) -> None:
    check_one_long_row(shape, "cuda")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lengths_around_every_edge(case: OpCase) -> None:
    lengths = edges(case, 2, 33)
    check_lengths(case, lengths if case.dtype == torch.float32 else lengths[::4], "cuda")


def test_odd_numbers() -> None:
    for length in (8, 300, 5000):
        check_odd_numbers(length, "cuda")


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    """Output, then gradients."""
    assert [same_bits(x, y) for x, y in zip(found, expected, strict=True)] == [True] * len(expected)


@pytest.mark.parametrize("shape", BUSY, ids=str)
@pytest.mark.parametrize("case", FIRST, ids=str)
def test_the_same_bits_whatever_else_runs(case: OpCase, shape: tuple[int, int, int]) -> None:
    """Twenty times, beside products of matrices on another stream, which change when programs get their turn."""
    arguments = on("cuda", case.inputs(*shape))
    first = both_passes(case, arguments)
    other, x = torch.cuda.Stream(), torch.rand(2048, 2048, device="cuda")
    torch.cuda.synchronize()
    for turn in range(20):
        with torch.cuda.stream(other):
            for _ in range(turn):
                x = (x @ x).clamp(0, 1)
        assert_same(both_passes(case, arguments), first)
    torch.cuda.synchronize()


@pytest.mark.parametrize("case", FIRST, ids=str)
def test_two_streams_do_not_mix(case: OpCase) -> None:
    """Each call has slots of its own."""
    inputs = [on("cuda", case.inputs(4, 8192, 64, seed=seed)) for seed in range(2)]
    expected = [both_passes(case, arguments) for arguments in inputs]
    streams = [torch.cuda.Stream() for _ in inputs]
    for _ in range(10):
        found = []
        torch.cuda.synchronize()
        for stream, arguments in zip(streams, inputs, strict=True):
            with torch.cuda.stream(stream):
                found.append(both_passes(case, arguments))
        torch.cuda.synchronize()
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)


@pytest.mark.parametrize("case", FIRST, ids=str)
def test_a_replay_empties_the_slots(case: OpCase) -> None:
    """A captured call, replayed on other numbers: what the last replay published is gone."""
    captured, *others = (on("cuda", case.inputs(2, 4099, 40, seed=seed)) for seed in range(4))
    weights = [torch.randn_like(both_passes(case, captured)[0])]
    expected = [both_passes(case, other, weights) for other in others]
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):  # as torch asks for before a capture
        both_passes(case, captured, weights)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        found = both_passes(case, captured, weights)
    for other, wanted in 2 * list(zip(others, expected, strict=True)):
        for name, x in captured.items():
            if isinstance(x, Tensor):
                x.data.copy_(other[name])
        graph.replay()
        torch.cuda.synchronize()
        assert_same(found, wanted)
