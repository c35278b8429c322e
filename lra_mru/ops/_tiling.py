"""How a scan is cut up for a GPU: a pure function of the shape, the same on every machine."""

from dataclasses import dataclass

BLOCK_T = 32  # steps of a tile
ROW_BYTES = 128  # of a tile: a full cache line, 16 bytes for each of 8 lanes
FULL_GPU = 264  # programs that keep two on each of the 132 multiprocessors of an H100
FEW_PROGRAMS = 32  # below it most of a GPU idles
LONG = 4096  # steps from which a second pass over the input costs less than idle multiprocessors
SHORTEST_CHUNK = 512  # steps, so that a chunk's start and end cost little beside it
BYTES_IN_FLIGHT = 2_500_000  # 3 TB/s x 0.7 us of latency, and a little more
MAX_STAGES = 4  # more of them spill registers in bmru_scan's backward pass


@dataclass(frozen=True)
class Tiling:
    """One program walks through num_stages-deep prefetched tiles of BLOCK_T steps by block_n channels.

    chunk: steps of one program, a multiple of BLOCK_T unless it is the whole sequence
    """

    block_n: int
    num_stages: int
    chunk: int
    num_chunks: int


def pick_tiling(batch: int, length: int, channels: int, itemsize: int) -> Tiling:
    """Tile width, prefetch depth, and the parallel form: one pass, or three where channels are few and L is long.

    Width: a row of a tile is a full cache line of float32, in bfloat16 half of one (64 channels would need more than
    255 registers in some backward passes), or all channels where they are fewer.
    Depth: a tile of two inputs is 8 KB (itemsize 4: 2 x 32 x 32 x 4), and all programs together must have about
    BYTES_IN_FLIGHT on their way, else latency and not bandwidth sets the time: 256 programs need 2 tiles ahead.
    Form: one pass moves 12 bytes an element in float32 (a, b, h), three passes 20 (a, b again), so three are worth it
    only where one pass would use less than about half of the machine. 4 programs (B = 1, N = 128) at L = 16,384 walk
    512 tiles each, some 80 us, against 18 us of three passes with 264 programs of 2 tiles, out of the L2 cache.
    """
    block_n = min(32, ROW_BYTES // itemsize, 1 << max(0, channels - 1).bit_length())
    programs, chunk, num_chunks = batch * -(-channels // block_n), length, 1
    if programs < FEW_PROGRAMS and length >= LONG:
        chunk = max(SHORTEST_CHUNK, length * programs // FULL_GPU // BLOCK_T * BLOCK_T)
        num_chunks = -(-length // chunk)
    stage_bytes = programs * num_chunks * 2 * BLOCK_T * block_n * itemsize
    num_stages = min(MAX_STAGES, max(2, 1 + -(-BYTES_IN_FLIGHT // stage_bytes)))
    return Tiling(block_n, num_stages, chunk, num_chunks)


def pick_spans(batch: int, length: int, channels: int, chunk: int) -> tuple[int, int, int]:
    """For selective_scan: channels of a program, steps of a program (whole chunks), and programs along the sequence.

    A warp with N = 16 states of 32 channels holds 16 states in each lane, of 8 channels 4. Wide rows save instructions
    (4.7 a channel and step at 32, 6.5 at 8), but 4 schedulers on each of 132 multiprocessors want 528 warps, and two
    each to hide latency. Sequences are cut where even 8 channels leave fewer than FEW_PROGRAMS: the cut costs a second
    walk over most of the inputs.
    """
    block_d = next((width for width in (32, 16) if batch * -(-channels // width) >= 4 * FULL_GPU), 8)
    programs = batch * -(-channels // block_d)
    if programs >= FEW_PROGRAMS or length < LONG:
        return block_d, length, 1
    span = max(SHORTEST_CHUNK, length * programs // FULL_GPU // chunk * chunk)
    return block_d, span, -(-length // span)
