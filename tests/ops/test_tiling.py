"""The rule that cuts a scan up for a GPU."""

import pytest

from lra_mru.ops._gpu.tiling import BLOCK_T, FEW_PROGRAMS, FULL_GPU, pick_spans, pick_tiling


@pytest.mark.parametrize(
    ("shape", "num_chunks"),
    [
        ((64, 1024, 128), 1),  # 256 programs: busy
        ((8, 16384, 128), 1),  # 32: just enough
        ((1, 1024, 128), 1),  # too short to be worth a second pass
        ((1, 16384, 128), 32),  # 4 programs of 16,384 steps: 32 chunks of 512
        ((1, 1 << 20, 128), 66),  # 4 programs: 66 times as many fill the GPU
    ],
)
def test_three_passes_where_channels_are_few_and_steps_many(shape: tuple[int, int, int], num_chunks: int) -> None:
    tiling = pick_tiling(*shape, itemsize=4)
    assert num_chunks <= tiling.num_chunks <= num_chunks + 1


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("length", [1, 33, 5000, 1 << 20])
@pytest.mark.parametrize("channels", [1, 17, 4096])
@pytest.mark.parametrize("itemsize", [2, 4, 8, 16])
def test_chunks_cover_the_sequence_once(batch: int, length: int, channels: int, itemsize: int) -> None:
    tiling = pick_tiling(batch, length, channels, itemsize)
    assert (tiling.num_chunks - 1) * tiling.chunk < length <= tiling.num_chunks * tiling.chunk
    assert tiling.num_chunks == 1 or tiling.chunk % BLOCK_T == 0
    assert tiling.block_n * itemsize <= 128
    assert tiling.block_n & (tiling.block_n - 1) == 0
    assert 2 <= tiling.num_stages <= 4


@pytest.mark.parametrize("batch", [1, 3, 64, 512])
@pytest.mark.parametrize("length", [1, 33, 5000, 1 << 20])
@pytest.mark.parametrize("channels", [1, 17, 4096])
@pytest.mark.parametrize("num_states", [1, 16, 100])
def test_spans_cover_the_sequence_once(batch: int, length: int, channels: int, num_states: int) -> None:
    spans = pick_spans(batch, length, channels, num_states, chunk=8)
    assert (spans.num_spans - 1) * spans.span < length <= spans.num_spans * spans.span
    programs = batch * -(-channels // spans.block_d)
    assert spans.num_spans == 1 or (spans.span % 8 == 0 and programs < FEW_PROGRAMS)
    assert spans.num_warps == 1 or (programs >= FULL_GPU // 2 and spans.block_d < 2 * channels)
    assert spans.block_d & (spans.block_d - 1) == 0
    assert spans.num_warps <= 8


def test_a_program_is_as_wide_as_leaves_one_for_each_multiprocessor() -> None:
    assert [pick_spans(batch, 1024, 512, 16, chunk=8).block_d for batch in (64, 16, 8, 4, 1)] == [64, 32, 16, 8, 8]


def test_prefetch_grows_as_programs_grow_few() -> None:
    depths = [pick_tiling(batch, 1024, 128, 4).num_stages for batch in (1024, 64, 8, 1)]
    assert depths == sorted(depths)
    assert depths[0] < depths[-1]
