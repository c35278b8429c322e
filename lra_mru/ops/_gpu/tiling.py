"""How a scan is cut up for a GPU: a pure function of the shape, the same on every machine."""

from dataclasses import dataclass

WORDS = 64  # of 4 bytes: what a lane keeps of its inputs while it waits; with as many for the rest, 16 warps fit
STEPS = 32  # of a segment at most: twice as many take no fewer instructions a step
SEGMENTS = 4  # warps of a program
MANY_SEQUENCES = 32  # from these on, chunks of one sequence come slowly enough to be short
FULL_GPU = 264  # programs that keep two on each of the 132 multiprocessors of an H100
FEW_PROGRAMS = 32  # below it most of a GPU idles
LONG = 4096  # steps from which a second pass over the input costs less than idle multiprocessors
SHORTEST_CHUNK = 512  # steps, so that a chunk's start and end cost little beside it
WARP_STATES = 512  # of selective_scan in a warp: backward keeps those of 4 steps, 64 registers a lane, of some 250
MAX_WARPS = 1  # of a program: more would have to meet for every sum over channels


@dataclass(frozen=True)
class Tiling:
    """One program holds a chunk of segments * block_t steps by block_n channels in registers.

    reach: how many chunks a program looks back over at a time
    """

    block_t: int
    segments: int
    block_n: int
    chunks: int
    reach: int
    registers: int  # at most, of a lane: the compiler takes more where it may, and then fewer programs run at a time

    @property
    def chunk(self) -> int:
        """Steps."""
        return self.segments * self.block_t


def pick_tiling(batch: int, length: int, channels: int, itemsize: int, inputs: int) -> Tiling:
    """Steps, warps and reach of a program that keeps `inputs` numbers of each step in registers.

    Width: 32 channels, one a lane, are a full cache line of float32. Wider rows would take registers from time, and
    then chunks are short and many, and each has to wait for the one before.
    Segments: the fewer the sequences, the faster memory delivers the chunks of each, and the longer they have to be.
    Reach: a look back takes about 1 us. In that time memory delivers 3 MB, which is 64 chunks of 128 steps by 32
    channels with two inputs and an output in float32: one chunk of each of 64 sequences, or 8 of each of 8.
    Registers: forward 4 programs of 4 warps fit on a multiprocessor, backward 3.
    """
    words = inputs * max(4, itemsize) // 4
    block_t = max(1, min(STEPS, WORDS >> (words - 1).bit_length()))
    if inputs == 3:  # the third is not needed for what a chunk does, and is loaded last
        block_t = min(STEPS, 2 * block_t)
    sequences = batch * -(-channels // 32)
    segments = SEGMENTS if sequences >= MANY_SEQUENCES else 2 * SEGMENTS
    while segments > 1 and segments * block_t >= 2 * length:
        segments //= 2
    reach = 2 if sequences * itemsize >= 512 else 4 if sequences * itemsize >= 128 else 8
    chunks = -(-length // (segments * block_t))
    return Tiling(block_t, segments, 32, chunks, min(reach, max(1, chunks - 1)), 128 if inputs <= 2 else 168)


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
