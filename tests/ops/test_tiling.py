"""The rule that cuts a scan up for a GPU."""

import pytest

from lra_mru.ops._gpu.tiling import FEW_PROGRAMS, FULL_GPU, MANY_SEQUENCES, STEPS, WORDS, pick_spans, pick_tiling


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("length", [1, 33, 5000, 1 << 20])
@pytest.mark.parametrize("channels", [1, 17, 4096])
@pytest.mark.parametrize("itemsize", [2, 4, 8, 16])
@pytest.mark.parametrize("inputs", [1, 2, 3, 4])
def test_chunks_cover_the_sequence_once(batch: int, length: int, channels: int, itemsize: int, inputs: int) -> None:
    tiling = pick_tiling(batch, length, channels, itemsize, inputs)
    assert (tiling.chunks - 1) * tiling.chunk < length <= tiling.chunks * tiling.chunk
    assert tiling.segments == 1 or tiling.chunk < 2 * length  # at most half of a program's steps are beyond the end
    assert 1 <= tiling.reach <= max(1, tiling.chunks - 1)
    for number in (tiling.block_t, tiling.segments, tiling.block_n):
        assert number & (number - 1) == 0
    words = tiling.block_t * inputs * max(4, itemsize) // 4
    assert tiling.block_t == 1 or (tiling.block_t <= STEPS and words <= (1.5 * WORDS if inputs == 3 else WORDS))


def test_every_shape_has_programs_for_a_whole_gpu() -> None:
    for shape in ((8, 16384, 256), (32, 1024, 256), (64, 1024, 128), (1, 65536, 128), (1, 1 << 20, 128)):
        for inputs in (2, 4):
            tiling = pick_tiling(*shape, 4, inputs)
            warps = shape[0] * shape[2] // 32 * tiling.chunks * tiling.segments
            assert warps >= 132 * 16


def test_the_fewer_the_sequences_the_further_a_program_looks_back() -> None:
    picked = [pick_tiling(batch, 16384, 128, 4, 2) for batch in (1, 8, 64)]
    assert [tiling.reach for tiling in picked] == [8, 4, 2]
    assert [tiling.segments for tiling in picked] == [8, 4, 4]
    assert 4 < MANY_SEQUENCES <= 32
    assert pick_tiling(8, 16384, 256, 2, 2).reach > pick_tiling(32, 16384, 256, 2, 2).reach


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
