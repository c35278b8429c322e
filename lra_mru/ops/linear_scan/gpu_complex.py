"""The kernels of gpu.py in complex numbers. A tile is read as reals (BLOCK_T, SEGMENTS, 2 BLOCK_N), neighbours re and
im, and split in each lane. Gradients follow torch: the conjugate of a takes them back in time, da = dh conj(h[t-1]).
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

import triton
import triton.language as tl

from lra_mru.ops._gpu.lookback import first_complex_state, publish, take_ticket
from lra_mru.ops._gpu.tiles import at_step, compose_complex, last_segment, last_step, part, segment_before, tile_at


@triton.jit
def load_pairs(pointers, mask, BLOCK_N: tl.constexpr):
    """Real and imaginary parts (BLOCK_T, SEGMENTS, BLOCK_N); zeros where masked."""
    pairs = tl.load(pointers, mask=mask, other=0.0)
    return tl.split(tl.reshape(pairs, (pairs.shape[0], pairs.shape[1], BLOCK_N, 2)))


@triton.jit
def store_pairs(pointers, mask, re, im, BLOCK_N: tl.constexpr):
    tl.store(pointers, tl.reshape(tl.join(re, im), (re.shape[0], re.shape[1], 2 * BLOCK_N)), mask=mask)


@triton.jit
def load_pair(ptr, mask):
    """Real and imaginary parts of one row (BLOCK_N,)."""
    return tl.load(ptr, mask=mask, other=0.0), tl.load(ptr + 1, mask=mask, other=0.0)


@triton.jit
def load_decay(ptr, at, n, inside, N: tl.constexpr, CONSTANT: tl.constexpr, BLOCK_N: tl.constexpr):
    """a of every step of a tile; a constant one is one row."""
    if CONSTANT:
        re, im = load_pair(ptr + 2 * n, n < N)
        shape: tl.constexpr = (inside.shape[0], inside.shape[1], BLOCK_N)
        return tl.broadcast_to(re[None, None, :], shape), tl.broadcast_to(im[None, None, :], shape)
    return load_pairs(ptr + at, inside, BLOCK_N)


@triton.jit
def times(ar, ai, hr, hi):
    return ar * hr - ai * hi, ar * hi + ai * hr


@triton.jit
def scan_complex(ar, ai, br, bi, hr, hi, step):
    """All states of a tile whose segments start in h (SEGMENTS, BLOCK_N)."""
    re, im = times(ar, ai, hr[None, :, :], hi[None, :, :])
    br, bi = tl.where(step == 0, re + br, br), tl.where(step == 0, im + bi, bi)
    _, _, re, im = tl.associative_scan((ar, ai, br, bi), 0, compose_complex)
    return re, im


@triton.jit
def segment_states_complex(
    ar, ai, br, bi, slots_ptr, first_re, first_im, chunk, chunks, batch, n,
    N: tl.constexpr, REACH: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr, BLOCK_N: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """segment_states of gpu.py."""
    ar, ai, br, bi = tl.associative_scan((ar, ai, br, bi), 0, compose_complex)
    ar, ai, br, bi = tl.associative_scan(
        (last_step(ar, BLOCK_T), last_step(ai, BLOCK_T), last_step(br, BLOCK_T), last_step(bi, BLOCK_T)),
        0,
        compose_complex,
    )
    decay_re, decay_im = last_segment(ar, SEGMENTS), last_segment(ai, SEGMENTS)
    end_re, end_im = last_segment(br, SEGMENTS), last_segment(bi, SEGMENTS)
    wanted = (n < N) & (chunk + 1 < chunks)  # nobody looks back at the last one
    slot = slots_ptr + (batch * (REACH + chunks) + REACH + chunk) * (6 * N) + tl.minimum(n, N - 1)
    publish(slot, decay_re, wanted)
    publish(slot + N, decay_im, wanted)
    publish(slot + 2 * N, end_re, wanted)
    publish(slot + 3 * N, end_im, wanted)
    re, im = first_complex_state(slot, first_re, first_im, chunk, N, REACH, ACC)
    publish(slot + 4 * N, tl.fma(decay_re, re, tl.fma(-decay_im, im, end_re)), wanted)
    publish(slot + 5 * N, tl.fma(decay_re, im, tl.fma(decay_im, re, end_im)), wanted)
    hr, hi = times(ar, ai, re[None, :], im[None, :])
    return segment_before(hr + br, re, SEGMENTS), segment_before(hi + bi, im, SEGMENTS)


@triton.jit
def linear_scan_complex_fwd_kernel(
    a_ptr, b_ptr, h0_ptr, h_ptr, slots_ptr, counter_ptr, batches, L, chunks, N: tl.constexpr, CONSTANT: tl.constexpr,
    ACC: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr, BLOCK_N: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    ticket = take_ticket(counter_ptr)
    chunk, batch, n, starts = part(ticket, batches, L, N, BLOCK_T, SEGMENTS, BLOCK_N)
    _, _, columns, _ = part(ticket, batches, L, 2 * N, BLOCK_T, SEGMENTS, 2 * BLOCK_N)
    at, rows = tile_at(batch, starts, columns, L, 2 * N, BLOCK_T, False)
    step = tl.arange(0, BLOCK_T)[:, None, None]
    inside = (step < (L - starts)[None, :, None]) & (columns < 2 * N)[None, None, :]
    ar, ai = load_decay(a_ptr, at + rows, n, inside, N, CONSTANT, BLOCK_N)
    br, bi = load_pairs(b_ptr + at + rows, inside, BLOCK_N)
    row = batch * N + n
    first_re, first_im = load_pair(h0_ptr + 2 * row, n < N)
    hr, hi = segment_states_complex(
        ar, ai, br, bi, slots_ptr, first_re, first_im, chunk, chunks, batch, n, N, REACH, BLOCK_T,
        SEGMENTS, BLOCK_N, ACC,
    )  # fmt: skip
    hr, hi = scan_complex(ar, ai, br, bi, hr, hi, step)
    store_pairs(h_ptr + at + rows, inside, hr, hi, BLOCK_N)


@triton.jit
def linear_scan_complex_bwd_kernel(
    a_ptr, h_ptr, h0_ptr, dh_ptr, da_ptr, db_ptr, dh0_ptr, slots_ptr, counter_ptr, batches, L, chunks,
    N: tl.constexpr, CONSTANT: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr, SEGMENTS: tl.constexpr,
    BLOCK_N: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    ticket = take_ticket(counter_ptr)
    chunk, batch, n, starts = part(ticket, batches, L, N, BLOCK_T, SEGMENTS, BLOCK_N)
    _, _, columns, _ = part(ticket, batches, L, 2 * N, BLOCK_T, SEGMENTS, 2 * BLOCK_N)
    at, rows = tile_at(batch, starts, columns, L, 2 * N, BLOCK_T, True)
    step, left = tl.arange(0, BLOCK_T)[:, None, None], (L - starts)[None, :, None]
    begins, row = (step == 0) & (starts == 0)[None, :, None], batch * N + n
    inside, past = (step < left) & (columns < 2 * N)[None, None, :], step < left - 1
    later = inside & (begins == 0)
    ar, ai = load_decay(a_ptr + (0 if CONSTANT else 2 * N), at + rows, n, later, N, CONSTANT, BLOCK_N)
    ar, ai = tl.where(begins, 0.0, ar), tl.where(begins, 0.0, -ai)
    gr, gi = load_pairs(dh_ptr + at + rows, inside, BLOCK_N)
    hr, hi = load_pairs(h_ptr - 2 * N + at + rows, past & (columns < 2 * N)[None, None, :], BLOCK_N)
    first_re, first_im = load_pair(h0_ptr + 2 * row, n < N)
    hr, hi = tl.where(past, hr, first_re[None, None, :]), tl.where(past, hi, first_im[None, None, :])
    nothing = tl.zeros_like(first_re)
    re, im = segment_states_complex(
        ar, ai, gr, gi, slots_ptr, nothing, nothing, chunk, chunks, batch, n, N, REACH, BLOCK_T,
        SEGMENTS, BLOCK_N, ACC,
    )  # fmt: skip
    gr, gi = scan_complex(ar, ai, gr, gi, re, im, step)
    store_pairs(db_ptr + at + rows, inside, gr, gi, BLOCK_N)
    da_re, da_im = times(gr, gi, hr, -hi)
    if CONSTANT:
        here, at_part = step < left, da_ptr + 2 * ((batch * chunks + chunk) * N + n)
        tl.store(at_part, tl.sum(tl.sum(tl.where(here, da_re, 0.0), 0), 0), mask=n < N)
        tl.store(at_part + 1, tl.sum(tl.sum(tl.where(here, da_im, 0.0), 0), 0), mask=n < N)
    else:
        store_pairs(da_ptr + at + rows, inside, da_re, da_im, BLOCK_N)
    if chunk + 1 == chunks:
        a0_re, a0_im = load_pair(a_ptr + 2 * (n if CONSTANT else batch * L * N + n), n < N)
        dh0_re, dh0_im = times(a0_re, -a0_im, at_step(gr, step, left - 1), at_step(gi, step, left - 1))
        tl.store(dh0_ptr + 2 * row, dh0_re, mask=n < N)
        tl.store(dh0_ptr + 2 * row + 1, dh0_im, mask=n < N)
