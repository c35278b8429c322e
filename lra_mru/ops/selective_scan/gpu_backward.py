"""The reversed pass of selective_scan on a GPU; gpu.py says how it walks."""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disable-error-code=assignment
# ruff: noqa: RUF005  (Triton knows no starred tuples)

import triton
import triton.language as tl

from lra_mru.ops.selective_scan.gpu_forward import LOG_2, decay_of, load_channels, load_states, sigmoid, time_step


@triton.jit
def sum_over_channels(x0, x1, x2, x3, x4, x5, x6, x7):
    """Column sums of eight tiles (BLOCK_D, BLOCK_N) -> (BLOCK_N, 8)."""
    even, odd = tl.join(tl.join(x0, x4), tl.join(x2, x6)), tl.join(tl.join(x1, x5), tl.join(x3, x7))
    return tl.reshape(tl.sum(tl.join(even, odd), 0), (x0.shape[1], 8))  # tile 4 a + 2 b + c is [:, :, a, b, c]


@triton.jit
def selective_scan_bwd_kernel(
    u_ptr, delta_ptr, A_ptr, B_ptr, C_ptr, skip_ptr, z_ptr, bias_ptr, starts_ptr, dy_ptr, carry_ptr,
    du_ptr, ddelta_ptr, dA_ptr, dBC_ptr, dskip_ptr, dz_ptr, dbias_ptr, dh0_ptr, L, span,
    D: tl.constexpr, N: tl.constexpr, SOFTPLUS: tl.constexpr, SIGNED: tl.constexpr, GATED: tl.constexpr,
    ACC: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """carry (B, spans, D, N), the gradient that reaches each span's last state -> du, ddelta, dz (B, L, D);
    dA and dh0 (B, spans, D, N); dskip, dbias (B, spans, D); dB and dC as dBC (2, blocks of D, B, L, N). CHUNK is 8.
    """
    batch, block, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    d, n = block * BLOCK_D + tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_N)
    dn, mask_dn = d[:, None] * N + n[None, :], (d < D)[:, None] & (n < N)[None, :]
    A = tl.load(A_ptr + dn, mask=mask_dn, other=0.0)
    skip, bias = tl.load(skip_ptr + d, mask=d < D, other=0.0), tl.load(bias_ptr + d, mask=d < D, other=0.0)
    at_span = batch * tl.num_programs(2) + part
    carry = tl.load(carry_ptr + at_span * D * N + dn, mask=mask_dn, other=0.0)
    dA, dskip, dbias = tl.zeros((BLOCK_D, BLOCK_N), ACC), tl.zeros((BLOCK_D,), ACC), tl.zeros((BLOCK_D,), ACC)
    dB_or_dC, step = tl.arange(0, CHUNK) // (CHUNK // 2), tl.arange(0, CHUNK) % (CHUNK // 2)
    summed_row = ((dB_or_dC.to(tl.int64) * tl.num_programs(1) + block) * tl.num_programs(0) + batch) * L + step
    num_chunks = tl.cdiv(tl.minimum(L, (part + 1) * span) - part * span, CHUNK)
    for i in range(0, num_chunks):
        start = part * span + (num_chunks - 1 - i) * CHUNK
        first = batch * L + start
        h = tl.load(starts_ptr + (batch * tl.cdiv(L, CHUNK) + start // CHUNK) * D * N + dn, mask=mask_dn, other=0.0)
        hs, us, dts, slopes, Bs = (h,), (), (), (), ()  # latest first
        for k in tl.static_range(CHUNK):
            t = start + k
            u, B_t = load_channels(u_ptr, first, k, d, t, L, D, ACC), load_states(B_ptr, first, k, n, t, L, N, ACC)
            dt, slope = time_step(load_channels(delta_ptr, first, k, d, t, L, D, ACC), bias, t, L, SOFTPLUS)
            h = decay_of(dt, A, SIGNED) * h + (dt * u)[:, None] * B_t[None, :]
            hs, us, dts, slopes, Bs = (h,) + hs, (u,) + us, (dt,) + dts, (slope,) + slopes, (B_t,) + Bs
        dBs, dCs = (), ()
        for m in tl.static_range(CHUNK):
            k, t = CHUNK - 1 - m, start + (CHUNK - 1 - m)
            h, h_prev, u, dt, inside = hs[m], hs[m + 1], us[m], dts[m], (d < D) & (t < L)
            g, C_t = load_channels(dy_ptr, first, k, d, t, L, D, ACC), load_states(C_ptr, first, k, n, t, L, N, ACC)
            if GATED:
                z = load_channels(z_ptr, first, k, d, t, L, D, ACC)
                s = sigmoid(z)
                dz = g * (tl.sum(h * C_t[None, :], 1) + skip * u) * s * (1.0 + z * (1.0 - s))
                tl.store(dz_ptr + first * D + (k * D + d), dz, mask=inside)
                g = g * z * s
            dh = carry + g[:, None] * C_t[None, :]
            carry = dh * decay_of(dt, A, SIGNED)
            through_decay = (carry + dh if SIGNED else carry) * h_prev  # 2 exp(dt A) = decay + 1
            by_input = tl.sum(dh * Bs[m][None, :], 1)
            ddelta = (by_input * u + tl.sum(through_decay * A, 1) * tl.full(u.shape, LOG_2, ACC)) * slopes[m]
            tl.store(du_ptr + first * D + (k * D + d), by_input * dt + g * skip, mask=inside)
            tl.store(ddelta_ptr + first * D + (k * D + d), ddelta, mask=inside)
            dA += through_decay * dt[:, None]
            dskip += g * u
            dbias += ddelta
            dBs, dCs = (dh * (dt * u)[:, None],) + dBs, (g[:, None] * h,) + dCs
            if m % (CHUNK // 2) == CHUNK // 2 - 1:  # half a chunk at once, for the warps have to meet
                dBC = sum_over_channels(*(dBs + dCs))
                at = (summed_row + t)[None, :] * N + n[:, None]
                tl.store(dBC_ptr + at, dBC, mask=(n < N)[:, None] & (t + step < L)[None, :])
                dBs, dCs = (), ()
    tl.store(dA_ptr + at_span * D * N + dn, dA, mask=mask_dn)
    tl.store(dh0_ptr + at_span * D * N + dn, carry, mask=mask_dn)
    tl.store(dskip_ptr + at_span * D + d, dskip, mask=d < D)
    tl.store(dbias_ptr + at_span * D + d, dbias, mask=d < D)
