"""Time cut into chunks in a single pass: how a program learns the state in which its chunk starts.

A program takes a ticket, which names its sequence and its chunk, loads its chunk into registers, and publishes for
each channel what the chunk does to any state that enters it: h -> decay h + end. Then it looks back over the chunks
before it: from the nearest one whose last state is known it applies decay and end of each later chunk in turn. The
result starts its own chunk, and takes it to its own last state, which it publishes for later chunks.

Same bits every time: a chunk's last state is always decay * start + end of its own start, rounded once. Whether a
program takes a published last state or computes it from earlier ones, it computes the same sum in the same order.

Forward progress: tickets are handed out one by one, those of earlier chunks first, and a program waits for smaller
tickets alone. Who holds a smaller ticket has started, and publishes decay and end before it waits for anything; the
smallest ticket that is still at work waits for nobody. So it does not matter how many programs a GPU runs at a time.

Memory order: a slot holds one number, EMPTY until it is published. It is written once, by an atomic exchange, and read
by volatile loads, which neither a register nor a first-level cache answers. Each is one access of 4 or 8 bytes at one
address, so that a reader finds EMPTY or the whole number. No reader concludes from one slot that another is filled
(it asks each), and nothing else passes between programs: the number is its own flag. So relaxed order, at the scope of
the GPU, is enough, and there is no barrier or fence to forget. EMPTY is a NaN whose bits no result has, for `publish`
writes every NaN as the usual one.
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disable-error-code="assignment,var-annotated"
# ruff: noqa: RUF005  (Triton knows no starred tuples)

import torch
import triton
import triton.language as tl
from torch import Tensor

EMPTY = tl.constexpr(-1)  # all bits set: a NaN, and what torch.full writes into every slot
INTEGER = {torch.float32: torch.int32, torch.float64: torch.int64}


def new_slots(batch: int, chunks: int, kinds: int, channels: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Empty slots (batch, chunks, kinds, channels) for numbers of like's dtype, and the ticket counter behind them.

    chunks: with REACH of them before the first, so that a look back needs no mask
    """
    words = batch * chunks * kinds * channels
    memory = torch.full((words + 1,), EMPTY.value, dtype=INTEGER[like.dtype], device=like.device)
    return memory[:words], memory[words:]


@triton.jit
def take_ticket(counter_ptr):
    """0, 1, 2, ... in the order in which programs ask. The counter starts at EMPTY, which is -1."""
    return (tl.atomic_add(counter_ptr, 1, sem="relaxed", scope="gpu") + 1).to(tl.int32)


@triton.jit
def bits(x):
    """A float as an integer, any NaN as the same one, which is not EMPTY."""
    x = tl.where(x == x, x, float("nan"))
    return x.to(tl.int64, bitcast=True) if x.dtype == tl.float64 else x.to(tl.int32, bitcast=True)


@triton.jit
def publish(slot, x, mask):
    publish_bits(slot, bits(x), mask)


@triton.jit
def publish_bits(slot, x, mask):
    tl.atomic_xchg(slot, x, mask=mask, sem="relaxed", scope="gpu")


@triton.jit
def read(slot):
    """What a slot holds. No mask, which would make a branch of it: many are under way at once.

    Both words are needed: NVIDIA's compiler obeys the second, AMD's the first, and took a load out of a waiting loop.
    """
    return tl.load(slot, cache_modifier=".cv", volatile=True)


@triton.jit
def first_state(slot, first, chunk, N: tl.constexpr, REACH: tl.constexpr, ACC: tl.constexpr):
    """State (BLOCK_N,) in which a chunk starts: `first` for chunk 0, else from what earlier chunks published.

    slot: a chunk's decay; its end is N later, its last state 2 N, and the next chunk's decay 3 N
    """
    state, missing = first, tl.minimum(chunk, 1)
    while missing > 0:
        decays, ends, lasts = (), (), ()
        for i in tl.static_range(REACH):
            past = slot - (REACH - i) * 3 * N
            decays, ends, lasts = decays + (read(past),), ends + (read(past + N),), lasts + (read(past + 2 * N),)
        state, known = first, tl.full(first.shape, 0, tl.int32) + (chunk <= REACH).to(tl.int32)
        for i in tl.static_range(REACH):
            passed = tl.fma(decays[i].to(ACC, bitcast=True), state, ends[i].to(ACC, bitcast=True))
            found = tl.where(lasts[i] == EMPTY, passed, lasts[i].to(ACC, bitcast=True))
            there = chunk >= REACH - i
            state = tl.where(there, found, state)
            known = tl.where(there & ((decays[i] == EMPTY) | (ends[i] == EMPTY)), 0, known)
            known = tl.where(there & (lasts[i] != EMPTY), 1, known)
        missing = 1 - tl.min(known)
        if (missing > 0) & (chunk >= REACH):
            wait_for(slot - (3 * REACH - 2) * N, EMPTY)
    return state


@triton.jit
def first_complex_state(slot, first_re, first_im, chunk, N: tl.constexpr, REACH: tl.constexpr, ACC: tl.constexpr):
    """first_state in complex numbers; N apart lie decay, end and last state, each as real and imaginary part."""
    re, im, missing = first_re, first_im, tl.minimum(chunk, 1)
    while missing > 0:
        decays, ends, lasts = (), (), ()
        for i in tl.static_range(REACH):
            past = slot - (REACH - i) * 6 * N
            decays, ends = decays + (read(past), read(past + N)), ends + (read(past + 2 * N), read(past + 3 * N))
            lasts = lasts + (read(past + 4 * N), read(past + 5 * N))
        re, im, known = first_re, first_im, tl.full(first_re.shape, 0, tl.int32) + (chunk <= REACH).to(tl.int32)
        for i in tl.static_range(REACH):
            ar, ai = decays[2 * i].to(ACC, bitcast=True), decays[2 * i + 1].to(ACC, bitcast=True)
            passed_re = tl.fma(ar, re, tl.fma(-ai, im, ends[2 * i].to(ACC, bitcast=True)))
            passed_im = tl.fma(ar, im, tl.fma(ai, re, ends[2 * i + 1].to(ACC, bitcast=True)))
            ended, there = (lasts[2 * i] != EMPTY) & (lasts[2 * i + 1] != EMPTY), chunk >= REACH - i
            re = tl.where(there, tl.where(ended, lasts[2 * i].to(ACC, bitcast=True), passed_re), re)
            im = tl.where(there, tl.where(ended, lasts[2 * i + 1].to(ACC, bitcast=True), passed_im), im)
            passed = (decays[2 * i] != EMPTY) & (decays[2 * i + 1] != EMPTY)
            passed = passed & (ends[2 * i] != EMPTY) & (ends[2 * i + 1] != EMPTY)
            known = tl.where(there, tl.where(ended, 1, tl.where(passed, known, 0)), known)
        missing = 1 - tl.min(known)
        if (missing > 0) & (chunk >= REACH):
            wait_for(slot - (6 * REACH - 5) * N, EMPTY)
    return re, im


@triton.jit
def wait_for(slot, nothing):
    """Until all slots hold more than `nothing` or EMPTY: one row is asked, not all in reach, while others work."""
    waiting = 1
    while waiting > 0:
        found = read(slot)
        waiting = tl.max(((found == EMPTY) | (found == nothing)).to(tl.int32))
