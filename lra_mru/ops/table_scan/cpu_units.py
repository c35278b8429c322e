"""What a thread of the CPU kernels takes at a time: a block of the heads of one row."""

from typing import Any

from lra_mru.ops._cpu.arrays import helper


@helper
def heads_of(unit: int, num_blocks: int, block: int, K: int, n: int) -> Any:
    """Row, first head, number of heads and first column of a unit of work."""
    first = unit % num_blocks * block
    return unit // num_blocks, first, min(block, K - first), first * n
