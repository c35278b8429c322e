"""The random numbers of a training step: a pure function of (seed, micro-batch, rank)."""

import torch

WORD = (1 << 64) - 1


def mix(x: int) -> int:
    """One round of SplitMix64 on a 64-bit number: a bijection that changes half of the bits for one that changed.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16 (mix64
            with the constants of Stafford's Mix13), after adding the golden gamma
    """
    x = (x + 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def draw_seed(seed: int, micro_batch: int, rank: int) -> int:
    """mix(mix(mix(seed) + micro_batch) + rank), in [0, 2^64).

    micro_batch: number of the batch since the start of training. A step of accumulate_grad_batches=k has k of them,
                 each with draws of its own
    """
    return mix((mix((mix(seed & WORD) + micro_batch) & WORD) + rank) & WORD)


def seed_draws(seed: int, device: torch.device) -> None:
    """Seeds the CPU's generator and that of the device; torch.manual_seed would seed every GPU of the machine."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
