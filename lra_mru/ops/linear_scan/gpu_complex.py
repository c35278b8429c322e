"""The kernels of gpu.py in complex numbers. A tile is read as reals (BLOCK_T, 2 BLOCK_N), neighbours re and im, and
split in registers. Gradients follow torch: the conjugate of a takes them back in time, and da = g conj(h_prev).
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

import triton
import triton.language as tl

from lra_mru.ops._gpu.tiles import compose_complex, row, tile_at


@triton.jit
def load_pairs(ptr, at, columns, mask, other_re, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, ACC: tl.constexpr):
    """Real and imaginary tiles (BLOCK_T, BLOCK_N); masked elements are other_re + 0i."""
    other = tl.where(columns % 2 == 0, other_re, 0.0)[None, :]
    pairs = tl.load(ptr + at, mask=mask, other=0.0)
    return tl.split(tl.reshape(tl.where(mask, pairs, other).to(ACC), (BLOCK_T, BLOCK_N, 2)))


@triton.jit
def store_pairs(ptr, at, mask, re, im, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr):
    pairs = tl.reshape(tl.join(re, im), (BLOCK_T, 2 * BLOCK_N))
    tl.store(ptr + at, pairs, mask=mask)


@triton.jit
def load_step(
    a_ptr, b_ptr, batch, start, steps, columns, L, N: tl.constexpr, REVERSED: tl.constexpr, CONSTANT: tl.constexpr,
    ACC: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Decay and drive of the tile at start, as four tiles; reversed as in gpu.py, and the decay conjugated."""
    s = start + steps
    base, at = tile_at(batch, start, steps, columns, L, 2 * N, REVERSED)
    inside_b = (s < L)[:, None] & (columns < 2 * N)[None, :]
    inside_a = ((s > 0) & (s <= L))[:, None] & (columns < 2 * N)[None, :] if REVERSED else inside_b
    br, bi = load_pairs(b_ptr + base, at, columns, inside_b, 0.0, BLOCK_T, BLOCK_N, ACC)
    if CONSTANT:
        decay = tl.load(a_ptr + columns, mask=columns < 2 * N, other=0.0).to(ACC)
        re, im = tl.split(tl.reshape(decay, (BLOCK_N, 2)))
        inside = ((s > 0) & (s <= L) if REVERSED else s < L)[:, None]
        ar, ai = tl.where(inside, re[None, :], 1.0), tl.where(inside, im[None, :], 0.0)
    else:
        a_base = base + 2 * N if REVERSED else base
        ar, ai = load_pairs(a_ptr + a_base, at, columns, inside_a, 1.0, BLOCK_T, BLOCK_N, ACC)
    return ar, -ai if REVERSED else ai, br, bi


@triton.jit
def enter(ar, ai, br, bi, hr, hi, steps):
    """The drive of a tile with the state h taken into its first step."""
    first = (steps == 0)[:, None]
    hr, hi = hr[None, :], hi[None, :]
    return tl.where(first, ar * hr - ai * hi + br, br), tl.where(first, ar * hi + ai * hr + bi, bi)


@triton.jit
def linear_scan_complex_fwd_kernel(
    a_ptr, b_ptr, h0_ptr, h_ptr, L, chunk, N: tl.constexpr, CONSTANT: tl.constexpr, ACC: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    columns = tl.program_id(1) * 2 * BLOCK_N + tl.arange(0, 2 * BLOCK_N)
    at_start = h0_ptr + ((batch * tl.num_programs(2) + part) * N + n) * 2
    hr, hi = tl.load(at_start, mask=n < N, other=0.0).to(ACC), tl.load(at_start + 1, mask=n < N, other=0.0).to(ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        ar, ai, br, bi = load_step(
            a_ptr, b_ptr, batch, start, steps, columns, L, N, False, CONSTANT, ACC, BLOCK_T, BLOCK_N
        )
        br, bi = enter(ar, ai, br, bi, hr, hi, steps)
        _, _, re, im = tl.associative_scan((ar, ai, br, bi), 0, compose_complex)
        base, at = tile_at(batch, start, steps, columns, L, 2 * N, False)
        inside = (start + steps < L)[:, None] & (columns < 2 * N)[None, :]
        store_pairs(h_ptr + base, at, inside, re, im, BLOCK_T, BLOCK_N)
        hr, hi = row(re, steps, BLOCK_T - 1), row(im, steps, BLOCK_T - 1)


@triton.jit
def linear_scan_complex_bwd_kernel(
    a_ptr, h_ptr, h0_ptr, dh_ptr, carry_ptr, da_ptr, db_ptr, dh0_ptr, L, chunk, N: tl.constexpr,
    CONSTANT: tl.constexpr, ACC: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    columns = tl.program_id(1) * 2 * BLOCK_N + tl.arange(0, 2 * BLOCK_N)
    per_part, per_row = ((batch * tl.num_programs(2) + part) * N + n) * 2, (batch * N + n) * 2
    gr = tl.load(carry_ptr + per_part, mask=n < N, other=0.0).to(ACC)
    gi = tl.load(carry_ptr + per_part + 1, mask=n < N, other=0.0).to(ACC)
    h0r = tl.load(h0_ptr + per_row, mask=n < N, other=0.0).to(ACC)[None, :]
    h0i = tl.load(h0_ptr + per_row + 1, mask=n < N, other=0.0).to(ACC)[None, :]
    da_re, da_im = tl.zeros((BLOCK_N,), ACC), tl.zeros((BLOCK_N,), ACC)
    stop = tl.where(part + 1 == tl.num_programs(2), L + 1, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        t = L - 1 - start - steps
        first = (t == 0)[:, None]
        base, at = tile_at(batch, start, steps, columns, L, 2 * N, True)
        inside, past = (t >= 0)[:, None] & (columns < 2 * N)[None, :], (t > 0)[:, None] & (columns < 2 * N)[None, :]
        hr, hi = load_pairs(h_ptr + base - 2 * N, at, columns, past, 0.0, BLOCK_T, BLOCK_N, ACC)
        hr, hi = tl.where(first, h0r, hr), tl.where(first, h0i, hi)
        ar, ai, br, bi = load_step(
            a_ptr, dh_ptr, batch, start, steps, columns, L, N, True, CONSTANT, ACC, BLOCK_T, BLOCK_N
        )
        br, bi = enter(ar, ai, br, bi, gr, gi, steps)
        _, _, re, im = tl.associative_scan((ar, ai, br, bi), 0, compose_complex)
        store_pairs(db_ptr + base, at, inside, re, im, BLOCK_T, BLOCK_N)
        if CONSTANT:
            here = (t >= 0)[:, None]
            da_re += tl.sum(tl.where(here, re * hr + im * hi, 0.0), 0)
            da_im += tl.sum(tl.where(here, im * hr - re * hi, 0.0), 0)
        else:
            store_pairs(da_ptr + base, at, inside, re * hr + im * hi, im * hr - re * hi, BLOCK_T, BLOCK_N)
        gr, gi = row(re, steps, BLOCK_T - 1), row(im, steps, BLOCK_T - 1)
    if CONSTANT:
        tl.store(da_ptr + per_part, da_re, mask=n < N)
        tl.store(da_ptr + per_part + 1, da_im, mask=n < N)
    if part + 1 == tl.num_programs(2):
        tl.store(dh0_ptr + per_row, gr, mask=n < N)
        tl.store(dh0_ptr + per_row + 1, gi, mask=n < N)


@triton.jit
def linear_scan_complex_ends_kernel(
    a_ptr, b_ptr, decay_ptr, end_ptr, L, chunk, N: tl.constexpr, REVERSED: tl.constexpr, CONSTANT: tl.constexpr,
    ACC: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    n, steps = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    columns = tl.program_id(1) * 2 * BLOCK_N + tl.arange(0, 2 * BLOCK_N)
    pr, pi = tl.full((BLOCK_N,), 1.0, ACC), tl.zeros((BLOCK_N,), ACC)
    er, ei = tl.zeros((BLOCK_N,), ACC), tl.zeros((BLOCK_N,), ACC)
    stop = tl.minimum(L, (part + 1) * chunk)
    for start in tl.range(part * chunk, stop, BLOCK_T, num_stages=STAGES):
        ar, ai, br, bi = load_step(
            a_ptr, b_ptr, batch, start, steps, columns, L, N, REVERSED, CONSTANT, ACC, BLOCK_T, BLOCK_N
        )
        ar, ai, br, bi = tl.associative_scan((ar, ai, br, bi), 0, compose_complex)
        last = BLOCK_T - 1
        ar, ai, br, bi = row(ar, steps, last), row(ai, steps, last), row(br, steps, last), row(bi, steps, last)
        pr, pi, er, ei = compose_complex(pr, pi, er, ei, ar, ai, br, bi)
    at = ((batch * tl.num_programs(2) + part) * N + n) * 2
    tl.store(decay_ptr + at, pr, mask=n < N)
    tl.store(decay_ptr + at + 1, pi, mask=n < N)
    tl.store(end_ptr + at, er, mask=n < N)
    tl.store(end_ptr + at + 1, ei, mask=n < N)
