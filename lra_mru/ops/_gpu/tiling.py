"""How a scan is cut up for a GPU: a pure function of the shape, the same on every machine."""

from dataclasses import dataclass

BLOCK_T = 32  # steps of a tile
ROW_BYTES = 128  # of a tile: a full cache line, 16 bytes for each of 8 lanes
FULL_GPU = 264  # programs that keep two on each of the 132 multiprocessors of an H100
FEW_PROGRAMS = 32  # below it most of a GPU idles
LONG = 4096  # steps from which a second pass over the input costs less than idle multiprocessors
SHORTEST_CHUNK = 512  # steps, so that a chunk's start and end cost little beside it
BYTES_IN_FLIGHT = 2_500_000  # 3 TB/s x 0.7 us of latency, and a little more
WARP_STATES = 128  # of selective_scan in a warp: backward keeps those of 8 steps, 32 registers a lane, of some 250
MAX_WARPS = 8  # 16 of 250 registers do not fit on a multiprocessor
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
    stage_bytes = max(1, programs) * num_chunks * 2 * BLOCK_T * block_n * itemsize
    num_stages = min(MAX_STAGES, max(2, 1 + -(-BYTES_IN_FLIGHT // stage_bytes)))
    return Tiling(block_n, num_stages, chunk, num_chunks)


@dataclass(frozen=True)
class Spans:
    """One program of num_warps warps walks `span` steps, whole chunks unless it is the whole sequence, of block_d
    channels.
    """

    block_d: int
    num_warps: int
    span: int
    num_spans: int


def pick_spans(batch: int, length: int, channels: int, num_states: int, chunk: int) -> Spans:
    """For selective_scan: how many channels a program holds, and whether sequences are cut.

    Width: a warp holds WARP_STATES states, 4 in each lane: with N = 16 of 8 channels. All the warps of a program share
    one reading of B and C, and backward one sum over channels: 16 N / block_d bytes a step and channel, 4 at 64
    channels and 32 at 8, beside 36 of everything else. So a program is as wide as leaves one for each multiprocessor.
    Form: sequences are cut where even one warp each leaves fewer than FEW_PROGRAMS; it costs a second walk over most
    of the inputs.
    """
    warp_channels = max(1, WARP_STATES >> max(0, num_states - 1).bit_length())
    needed = 1 << max(0, -(-channels // warp_channels) - 1).bit_length()
    num_warps = min(MAX_WARPS, needed)
    while num_warps > 1 and batch * -(-channels // (num_warps * warp_channels)) < FULL_GPU // 2:
        num_warps //= 2
    block_d = num_warps * warp_channels
    programs = batch * -(-channels // block_d)
    if programs >= FEW_PROGRAMS or length < LONG:
        return Spans(block_d, num_warps, length, 1)
    span = max(SHORTEST_CHUNK, length * programs // FULL_GPU // chunk * chunk)
    return Spans(block_d, num_warps, span, -(-length // span))
