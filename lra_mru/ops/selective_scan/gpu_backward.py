"""The reversed pass of selective_scan on a GPU; gpu.py says how it walks."""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disable-error-code=assignment
# ruff: noqa: RUF005  (Triton knows no starred tuples)

import triton
import triton.language as tl

from lra_mru.ops.selective_scan.gpu_forward import LOG_2, decay_of, load_channels, load_states, sigmoid, time_step


@triton.jit
def selective_scan_bwd_kernel(
    u_ptr, delta_ptr, A_ptr, B_ptr, C_ptr, skip_ptr, z_ptr, bias_ptr, starts_ptr, dy_ptr, carry_ptr,
    du_ptr, ddelta_ptr, dA_ptr, dBC_ptr, dskip_ptr, dz_ptr, dbias_ptr, dh0_ptr, L, span,
    D: tl.constexpr, N: tl.constexpr, SOFTPLUS: tl.constexpr, SIGNED: tl.constexpr, GATED: tl.constexpr,
    ACC: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """carry (B, spans, N, D), the gradient that reaches each span's last state -> du, ddelta, dz (B, L, D);
    dA and dh0 (B, spans, N, D); dskip, dbias (B, spans, D); dB and dC as dBC (2, blocks of D, B, L, N). CHUNK is 8.
    """
    batch, block, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    d, n = block * BLOCK_D + tl.max_contiguous(tl.arange(0, BLOCK_D), [1]), tl.arange(0, BLOCK_N)
    nd, mask_nd = n[:, None] * D + d[None, :], (n < N)[:, None] & (d < D)[None, :]
    A = tl.load(A_ptr + nd, mask=mask_nd, other=0.0)
    skip, bias = tl.load(skip_ptr + d, mask=d < D, other=0.0), tl.load(bias_ptr + d, mask=d < D, other=0.0)
    at_span = batch * tl.num_programs(2) + part
    carry = tl.load(carry_ptr + at_span * D * N + nd, mask=mask_nd, other=0.0)
    dA, dskip, dbias = tl.zeros((BLOCK_N, BLOCK_D), ACC), tl.zeros((BLOCK_D,), ACC), tl.zeros((BLOCK_D,), ACC)
    HALF: tl.constexpr = CHUNK // 2
    summed_row = (block * tl.num_programs(0) + batch) * L
    to_dC = tl.num_programs(1).to(tl.int64) * tl.num_programs(0) * L * N
    num_chunks = tl.cdiv(tl.minimum(L, (part + 1) * span) - part * span, CHUNK)
    for i in tl.range(0, num_chunks, num_stages=2):
        start = part * span + (num_chunks - 1 - i) * CHUNK
        first = batch * L + start
        at_start = starts_ptr + (batch * tl.cdiv(L, CHUNK) + start // CHUNK) * D * N + nd
        us, dys, zs, dts, slopes = (), (), (), (), ()
        for k in tl.static_range(CHUNK):
            us = us + (load_channels(u_ptr, first, k, d, start + k, L, D, ACC),)
            dys = dys + (load_channels(dy_ptr, first, k, d, start + k, L, D, ACC),)
            if GATED:
                zs = zs + (load_channels(z_ptr, first, k, d, start + k, L, D, ACC),)
            delta = load_channels(delta_ptr, first, k, d, start + k, L, D, ACC)
            dt, slope = time_step(delta, bias, start + k, L, SOFTPLUS)
            dts, slopes = dts + (dt,), slopes + (slope,)
        h_start = tl.load(at_start, mask=mask_nd, other=0.0)
        middle = h_start
        for k in tl.static_range(HALF):
            B_t = load_states(B_ptr, first, k, n, start + k, L, N, ACC)
            middle = decay_of(dts[k], A, SIGNED) * middle + (dts[k] * us[k])[None, :] * B_t[:, None]
        for half in tl.static_range(2):  # the later one first: registers hold the states of one
            h = h_start if half else middle
            hs = (h,)  # latest first
            for m in tl.static_range(HALF):
                dt, u = dts[(1 - half) * HALF + m], us[(1 - half) * HALF + m]
                k = (1 - half) * HALF + m
                h = decay_of(dt, A, SIGNED) * h
                h += (dt * u)[None, :] * load_states(B_ptr, first, k, n, start + k, L, N, ACC)[:, None]
                hs = (h,) + hs
            for m in tl.static_range(HALF):
                h, h_prev, t = hs[m], hs[m + 1], start + ((2 - half) * HALF - 1 - m)
                u, dt, g = us[(2 - half) * HALF - 1 - m], dts[(2 - half) * HALF - 1 - m], dys[(2 - half) * HALF - 1 - m]
                k = (2 - half) * HALF - 1 - m
                B_t = load_states(B_ptr, first, k, n, t, L, N, ACC)[:, None]
                C_t = load_states(C_ptr, first, k, n, t, L, N, ACC)[:, None]
                inside, at = (d < D) & (t < L), first * D + (((2 - half) * HALF - 1 - m) * D + d)
                if GATED:
                    z = zs[(2 - half) * HALF - 1 - m]
                    s = sigmoid(z)
                    dz = g * (tl.sum(h * C_t, 0) + skip * u) * s * (1.0 + z * (1.0 - s))
                    tl.store(dz_ptr + at, dz, mask=inside)
                    g = g * z * s
                dh = carry + g[None, :] * C_t
                carry = dh * decay_of(dt, A, SIGNED)
                through_decay = (carry + dh if SIGNED else carry) * h_prev  # 2 exp(dt A) = decay + 1
                by_input = tl.sum(dh * B_t, 0)
                through_A = tl.sum(through_decay * A, 0) * tl.full(u.shape, LOG_2, ACC)
                ddelta = (by_input * u + through_A) * slopes[(2 - half) * HALF - 1 - m]
                tl.store(du_ptr + at, by_input * dt + g * skip, mask=inside)
                tl.store(ddelta_ptr + at, ddelta, mask=inside)
                dA += through_decay * dt[None, :]
                dskip += g * u
                dbias += ddelta
                at_sum = (summed_row + t) * N + n
                tl.store(dBC_ptr + at_sum, tl.sum(dh * (dt * u)[None, :], 1), mask=(n < N) & (t < L))
                tl.store(dBC_ptr + to_dC + at_sum, tl.sum(g[None, :] * h, 1), mask=(n < N) & (t < L))
    tl.store(dA_ptr + at_span * D * N + nd, dA, mask=mask_nd)
    tl.store(dh0_ptr + at_span * D * N + nd, carry, mask=mask_nd)
    tl.store(dskip_ptr + at_span * D + d, dskip, mask=d < D)
    tl.store(dbias_ptr + at_span * D + d, dbias, mask=d < D)
