"""The forward pass of selective_scan on a GPU; gpu.py says how it walks."""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disable-error-code=assignment
# ruff: noqa: RUF005  (Triton knows no starred tuples)

import math

import triton
import triton.language as tl

LOG_2 = tl.constexpr(math.log(2))


@triton.jit
def softplus(x):
    """log(1 + exp(x)), its small values in full precision."""
    e = tl.exp(-tl.abs(x))
    small = 0.001 if x.dtype == tl.float64 else 0.02  # below it four terms of the series beat rounding 1 + e
    return tl.maximum(x, 0.0) + tl.where(e < small, e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - 0.25 * e))), tl.log(1.0 + e))


@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def load_channels(ptr, first, k, d, t, L, D: tl.constexpr, ACC: tl.constexpr):
    """Row first + k of a (B L, D) tensor, which holds step t; zeros beyond the sequence."""
    return tl.load(ptr + first * D + (k * D + d), mask=(d < D) & (t < L), other=0.0).to(ACC)


@triton.jit
def load_states(ptr, first, k, n, t, L, N: tl.constexpr, ACC: tl.constexpr):
    """Row first + k of a (B L, N) tensor, which holds step t; zeros beyond the sequence."""
    return tl.load(ptr + first * N + (k * N + n), mask=(n < N) & (t < L), other=0.0).to(ACC)


@triton.jit
def time_step(delta, bias, t, L, SOFTPLUS: tl.constexpr):
    """dt of one step, and its derivative by delta; both zero beyond the sequence, where the state then stays."""
    x = delta + bias
    dt = softplus(x) if SOFTPLUS else x
    slope = sigmoid(x) if SOFTPLUS else tl.full(x.shape, 1.0, x.dtype)
    return tl.where(t < L, dt, 0.0), tl.where(t < L, slope, 0.0)


@triton.jit
def decay_of(dt, A, SIGNED: tl.constexpr):
    """What a step of dt (BLOCK_D,) leaves of the states: (BLOCK_N, BLOCK_D). A in units of log 2."""
    decay = tl.exp2(dt[None, :] * A)
    return 2.0 * decay - 1.0 if SIGNED else decay


@triton.jit
def selective_scan_fwd_kernel(
    u_ptr, delta_ptr, A_ptr, B_ptr, C_ptr, skip_ptr, z_ptr, bias_ptr, h0_ptr, y_ptr, last_ptr, starts_ptr, L, span,
    D: tl.constexpr, N: tl.constexpr, SOFTPLUS: tl.constexpr, SIGNED: tl.constexpr, GATED: tl.constexpr,
    ACC: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """A (N, D) in units of log 2, h0 (B, spans, N, D) -> y, last (B, spans, N, D), starts (B, chunks, N, D)."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    d, n = tl.program_id(1) * BLOCK_D + tl.max_contiguous(tl.arange(0, BLOCK_D), [1]), tl.arange(0, BLOCK_N)
    nd, mask_nd = n[:, None] * D + d[None, :], (n < N)[:, None] & (d < D)[None, :]
    A = tl.load(A_ptr + nd, mask=mask_nd, other=0.0)
    skip, bias = tl.load(skip_ptr + d, mask=d < D, other=0.0), tl.load(bias_ptr + d, mask=d < D, other=0.0)
    at_span = (batch * tl.num_programs(2) + part) * D * N + nd
    h = tl.load(h0_ptr + at_span, mask=mask_nd, other=0.0)
    stop = tl.minimum(L, (part + 1) * span)
    for start in tl.range(part * span, stop, CHUNK, num_stages=2):
        tl.store(starts_ptr + (batch * tl.cdiv(L, CHUNK) + start // CHUNK) * D * N + nd, h, mask=mask_nd)
        first = batch * L + start
        us, dts, zs, Bs, Cs = (), (), (), (), ()
        for k in tl.static_range(CHUNK):
            us = us + (load_channels(u_ptr, first, k, d, start + k, L, D, ACC),)
            dts = dts + (load_channels(delta_ptr, first, k, d, start + k, L, D, ACC),)
            Bs = Bs + (load_states(B_ptr, first, k, n, start + k, L, N, ACC),)
            Cs = Cs + (load_states(C_ptr, first, k, n, start + k, L, N, ACC),)
            if GATED:
                zs = zs + (load_channels(z_ptr, first, k, d, start + k, L, D, ACC),)
        for k in tl.static_range(CHUNK):
            t = start + k
            dt, _ = time_step(dts[k], bias, t, L, SOFTPLUS)
            h = decay_of(dt, A, SIGNED) * h + (dt * us[k])[None, :] * Bs[k][:, None]
            y = tl.sum(h * Cs[k][:, None], 0) + skip * us[k]
            if GATED:
                y = y * zs[k] * sigmoid(zs[k])
            tl.store(y_ptr + first * D + (k * D + d), y, mask=(d < D) & (t < L))
    tl.store(last_ptr + at_span, h, mask=mask_nd)


@triton.jit
def selective_scan_ends_kernel(
    u_ptr, delta_ptr, A_ptr, B_ptr, C_ptr, z_ptr, bias_ptr, dy_ptr, decay_ptr, end_ptr, L, span, D: tl.constexpr,
    N: tl.constexpr, SOFTPLUS: tl.constexpr, SIGNED: tl.constexpr, GATED: tl.constexpr, REVERSED: tl.constexpr,
    ACC: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """decay, end (B, spans, N, D): a span takes state h to decay h + end; reversed, the gradient of the state."""
    batch, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    d, n = tl.program_id(1) * BLOCK_D + tl.max_contiguous(tl.arange(0, BLOCK_D), [1]), tl.arange(0, BLOCK_N)
    nd, mask_nd = n[:, None] * D + d[None, :], (n < N)[:, None] & (d < D)[None, :]
    A = tl.load(A_ptr + nd, mask=mask_nd, other=0.0)
    bias = tl.load(bias_ptr + d, mask=d < D, other=0.0)
    end, whole = tl.zeros((BLOCK_N, BLOCK_D), ACC), tl.full((BLOCK_N, BLOCK_D), 1.0, ACC)
    total = tl.zeros((BLOCK_D,), ACC)
    first, stop = part * span, tl.minimum(L, (part + 1) * span)
    for i in range(0, stop - first):
        t = stop - 1 - i if REVERSED else first + i
        dt, _ = time_step(load_channels(delta_ptr, batch * L + t, 0, d, t, L, D, ACC), bias, t, L, SOFTPLUS)
        decay = decay_of(dt, A, SIGNED)
        if REVERSED:
            g = load_channels(dy_ptr, batch * L + t, 0, d, t, L, D, ACC)
            if GATED:
                z = load_channels(z_ptr, batch * L + t, 0, d, t, L, D, ACC)
                g = g * z * sigmoid(z)
            end = decay * (end + g[None, :] * load_states(C_ptr, batch * L + t, 0, n, t, L, N, ACC)[:, None])
        else:
            u = load_channels(u_ptr, batch * L + t, 0, d, t, L, D, ACC)
            end = decay * end + (dt * u)[None, :] * load_states(B_ptr, batch * L + t, 0, n, t, L, N, ACC)[:, None]
        if SIGNED:
            whole *= decay
        else:
            total += dt
    if not SIGNED:
        whole = tl.exp2(total[None, :] * A)
    at_span = (batch * tl.num_programs(2) + part) * D * N + nd
    tl.store(decay_ptr + at_span, whole, mask=mask_nd)
    tl.store(end_ptr + at_span, end, mask=mask_nd)
