"""How the C library hands memory out: on a CPU, half the time of a long sequence can go into fresh pages."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 1 << 30  # bytes; glibc's own limit for a block that is kept is 32 MiB


def keep_freed_blocks() -> bool:
    """Makes glibc keep freed blocks of up to 1 GiB for the next tensor instead of returning them to the kernel.

    A tensor of 77 MB (one sequence of 300,000 steps at D = 64) is else mapped, zeroed and unmapped for every operation:
    evaluation ran at 250k tokens/s instead of 920k on two cores. Results do not change.
    Returns: False where the C library has no such setting (macOS, musl); nothing changes there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def return_freed_blocks() -> None:
    """Gives the kernel what keep_freed_blocks has kept, so that what comes next is measured alone. glibc only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
