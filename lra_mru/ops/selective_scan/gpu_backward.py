"""The reversed pass of selective_scan on a GPU; gpu.py says how it walks."""
# ruff: noqa: RUF005  (Triton knows no starred tuples)

import triton
import triton.language as tl

from lra_mru.ops.selective_scan.gpu_forward import LOG_2, load_channels, load_states, sigmoid, time_step


@triton.jit
def selective_scan_bwd_kernel(
    u_ptr, delta_ptr, A_ptr, B_ptr, C_ptr, skip_ptr, z_ptr, bias_ptr, starts_ptr, dy_ptr, carry_ptr, scratch_ptr,
    du_ptr, ddelta_ptr, dA_ptr, dB_ptr, dC_ptr, dskip_ptr, dz_ptr, dbias_ptr, dh0_ptr, L, span,
    D: tl.constexpr, N: tl.constexpr, SOFTPLUS: tl.constexpr, GATED: tl.constexpr, ACC: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr, CHUNK: tl.constexpr, ROWS: tl.constexpr,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """carry (B, spans, N, D), the gradient that reaches each span's last state -> du, ddelta, dz (B, L, D);
    dA and dh0 (B, spans, N, D); dskip, dbias (B, spans, D); dB, dC (blocks of D, B, L, N).
    scratch (B, spans, CHUNK / ROWS, N, D).
    """
    batch, block, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    d, n = block * BLOCK_D + tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_N)
    nd, mask_nd = n[:, None] * D + d[None, :], (n < N)[:, None] & (d < D)[None, :]
    A = tl.load(A_ptr + nd, mask=mask_nd, other=0.0)
    skip, bias = tl.load(skip_ptr + d, mask=d < D, other=0.0), tl.load(bias_ptr + d, mask=d < D, other=0.0)
    at_span = batch * tl.num_programs(2) + part
    carry = tl.load(carry_ptr + at_span * N * D + nd, mask=mask_nd, other=0.0)
    dA, dskip, dbias = tl.zeros((BLOCK_N, BLOCK_D), ACC), tl.zeros((BLOCK_D,), ACC), tl.zeros((BLOCK_D,), ACC)
    scratch = scratch_ptr + at_span * (CHUNK // ROWS) * N * D + nd
    at_block = (block * tl.num_programs(0) + batch) * L * N + n
    first, stop = part * span, tl.minimum(L, (part + 1) * span)
    for i in range(0, tl.cdiv(stop - first, CHUNK)):
        start = first + (tl.cdiv(stop - first, CHUNK) - 1 - i) * CHUNK
        h = tl.load(starts_ptr + (batch * tl.cdiv(L, CHUNK) + start // CHUNK) * N * D + nd, mask=mask_nd, other=0.0)
        for j in range(0, CHUNK // ROWS):
            tl.store(scratch + j * N * D, h, mask=mask_nd)
            for k in tl.static_range(ROWS):
                t = start + j * ROWS + k
                u = load_channels(u_ptr, batch, t, d, L, D, ACC)
                dt, _ = time_step(load_channels(delta_ptr, batch, t, d, L, D, ACC), bias, t, L, SOFTPLUS)
                B_t = load_states(B_ptr, batch, t, n, L, N, ACC)
                h = tl.exp2(dt[None, :] * A) * h + (dt * u)[None, :] * B_t
        tl.debug_barrier()
        for j in range(0, CHUNK // ROWS):
            at = start + (CHUNK // ROWS - 1 - j) * ROWS
            h = tl.load(scratch + (CHUNK // ROWS - 1 - j) * N * D, mask=mask_nd, other=0.0)
            hs = (h,)
            for k in tl.static_range(ROWS):
                u = load_channels(u_ptr, batch, at + k, d, L, D, ACC)
                dt, _ = time_step(load_channels(delta_ptr, batch, at + k, d, L, D, ACC), bias, at + k, L, SOFTPLUS)
                B_t = load_states(B_ptr, batch, at + k, n, L, N, ACC)
                h = tl.exp2(dt[None, :] * A) * h + (dt * u)[None, :] * B_t
                hs = hs + (h,)
            for m in tl.static_range(ROWS):
                k: tl.constexpr = ROWS - 1 - m
                t = at + k
                td, inside = (batch * L + t) * D + d, (d < D) & (t < L)
                u, delta = (
                    load_channels(u_ptr, batch, t, d, L, D, ACC),
                    load_channels(delta_ptr, batch, t, d, L, D, ACC),
                )
                B_t, C_t = load_states(B_ptr, batch, t, n, L, N, ACC), load_states(C_ptr, batch, t, n, L, N, ACC)
                dt, slope = time_step(delta, bias, t, L, SOFTPLUS)
                g = load_channels(dy_ptr, batch, t, d, L, D, ACC)
                if GATED:
                    z = load_channels(z_ptr, batch, t, d, L, D, ACC)
                    s = sigmoid(z)
                    y = tl.sum(hs[k + 1] * C_t, 0) + skip * u
                    tl.store(dz_ptr + td, g * y * s * (1.0 + z * (1.0 - s)), mask=inside)
                    g = g * z * s
                dh = carry + g[None, :] * C_t
                carry = dh * tl.exp2(dt[None, :] * A)
                through_decay = carry * hs[k]
                inside_n = (n < N) & (t < L)
                tl.store(dC_ptr + at_block + t * N, tl.sum(g[None, :] * hs[k + 1], 1), mask=inside_n)
                tl.store(dB_ptr + at_block + t * N, tl.sum(dh * (dt * u)[None, :], 1), mask=inside_n)
                by_input = tl.sum(dh * B_t, 0)
                ddelta = (by_input * u + tl.sum(through_decay * A, 0) * LOG_2) * slope
                tl.store(du_ptr + td, by_input * dt + g * skip, mask=inside)
                tl.store(ddelta_ptr + td, ddelta, mask=inside)
                dA += through_decay * dt[None, :]
                dskip += g * u
                dbias += tl.where(t < L, ddelta, 0.0)
        tl.debug_barrier()
    tl.store(dA_ptr + at_span * N * D + nd, dA, mask=mask_nd)
    tl.store(dh0_ptr + at_span * N * D + nd, carry, mask=mask_nd)
    tl.store(dskip_ptr + at_span * D + d, dskip, mask=d < D)
    tl.store(dbias_ptr + at_span * D + d, dbias, mask=d < D)
