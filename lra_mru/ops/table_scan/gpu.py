"""table_scan on a GPU: what needs no state runs for all steps at once, what follows the state reads a byte a column.

Forward: tables from logits, in parallel over all steps; then a program follows some heads through time, CHUNK steps
loaded at once. Backward: the adjoints of all states, reversed in time; then the slopes of all steps at once. Sequential
kernels never touch logits, of which there are n times as many as of anything else, so few heads do not idle a GPU for
long. Every output comes from one program and no order of additions is left open: results are the same in every run.
The adjoints are written and read once more than they must be: 8 bytes an entry of h, beside 8 n of the logits.
"""
# Triton reads no type but tl.constexpr.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disable-error-code="assignment,misc"
# ruff: noqa: RUF005  (Triton knows no starred tuples)

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lra_mru.ops._gpu.tiles import ACCUMULATE, launch
from lra_mru.ops.table_scan import reference
from lra_mru.ops.table_scan.states import states_of

CHUNK = 8  # steps whose loads are issued together
LANES = 32
LOG2_E = tl.constexpr(math.log2(math.e))
GOLDEN, FIRST_FACTOR, SECOND_FACTOR = (
    tl.constexpr(x) for x in (reference.GOLDEN, reference.FIRST_FACTOR, reference.SECOND_FACTOR)
)


@triton.jit
def gumbel(key, entry, ACC: tl.constexpr):
    """See reference.gumbel_noise."""
    x = key.to(tl.uint32) + entry.to(tl.uint32) * GOLDEN
    x = (x ^ (x >> 16)) * FIRST_FACTOR
    x = (x ^ (x >> 15)) * SECOND_FACTOR
    x = x ^ (x >> 16)
    u = ((x >> 9).to(tl.int32).to(ACC) + 0.5) * 0.00000011920928955078125  # 2^-23
    return -tl.log(-tl.log(u))


@triton.jit
def scores(
    logits_ptr, key, row, to, c, inside, N: tl.constexpr, C: tl.constexpr, NOISY: tl.constexpr, ACC: tl.constexpr
):
    """theta of going to state `to`, for columns c of the steps in row, whose keys are key."""
    x = tl.load(logits_ptr + (row * N + to) * C + c, mask=inside, other=0.0).to(ACC)
    if NOISY:
        x += gumbel(key, to * C + c, ACC)
    return x


@triton.jit
def table_scan_tables_kernel(
    logits_ptr, keys_ptr, tau_ptr, rows, N: tl.constexpr, C: tl.constexpr, NOISY: tl.constexpr, ACC: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """logits (rows, N, C) -> tau (rows, C), N where a column has a NaN."""
    row = (tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)).to(tl.int64)[:, None]
    c = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    inside = (row < rows) & (c < C)
    key = tl.load(keys_ptr + row, mask=row < rows, other=0) if NOISY else row
    top = scores(logits_ptr, key, row, 0, c, inside, N, C, NOISY, ACC)
    tau, missing = tl.zeros((BLOCK_R, BLOCK_C), tl.int32), top != top
    for to in tl.static_range(1, N):
        x = scores(logits_ptr, key, row, to, c, inside, N, C, NOISY, ACC)
        tau = tl.where(x > top, to, tau)
        top = tl.where(x > top, x, top)
        missing = missing | (x != x)
    tl.store(tau_ptr + row * C + c, tl.where(missing, N, tau).to(tl.uint8), mask=inside)


@triton.jit
def columns(block, K: tl.constexpr, N: tl.constexpr, N2: tl.constexpr, BLOCK_K: tl.constexpr):
    """Places of (BLOCK_K, N2) states in a row of K N, flat, and which of them are there."""
    i = tl.arange(0, BLOCK_K * N2)
    if N2 == N:
        c = block * BLOCK_K * N + i  # seen to be contiguous
        inside = c < K * N
    else:
        k = block * BLOCK_K + i // N2
        c = k * N + i % N2
        inside = (k < K) & (i % N2 < N)
    return c, inside


@triton.jit
def table_scan_follow_kernel(
    tau_ptr, start_ptr, h_ptr, states_ptr, L, K: tl.constexpr, N: tl.constexpr, N2: tl.constexpr, ACC: tl.constexpr,
    BLOCK_K: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """tau (B, L, K N), start (B, K) -> h (B, L, K N), states (B, L + 1, K)."""
    batch, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    k, j = block * BLOCK_K + tl.arange(0, BLOCK_K), tl.arange(0, N2)
    c, inside = columns(block, K, N, N2, BLOCK_K)
    state = tl.load(start_ptr + batch * K + k, mask=k < K, other=0).to(tl.int32)
    tl.store(states_ptr + batch * (L + 1) * K + k, state.to(tl.uint8), mask=k < K)
    for first in range(0, L, CHUNK):
        taus = ()
        for step in tl.static_range(CHUNK):
            there = inside & (c * 0 + first + step < L)
            taus = taus + (tl.load(tau_ptr + (batch * L + first + step) * K * N + c, mask=there, other=0),)
        for step in tl.static_range(CHUNK):
            t = first + step
            tau = tl.reshape(taus[step].to(tl.int32), (BLOCK_K, N2))
            arrival = tl.sum(tl.where(j[None, :] == state[:, None], tau, 0), 1)
            state = tl.where(state < N, arrival, state)
            h = tl.where(j[None, :] == state[:, None], 1.0, 0.0)
            h = tl.where(state[:, None] < N, h, float("nan")).to(ACC)
            tl.store(h_ptr + (batch * L + t) * K * N + c, tl.reshape(h, (BLOCK_K * N2,)), mask=inside & (c * 0 + t < L))
            tl.store(states_ptr + (batch * (L + 1) + t + 1) * K + k, state.to(tl.uint8), mask=(k < K) & (k * 0 + t < L))


@triton.jit
def table_scan_adjoint_kernel(
    tau_ptr, dh_ptr, adjoint_ptr, dh0_ptr, L, K: tl.constexpr, N: tl.constexpr, N2: tl.constexpr, ACC: tl.constexpr,
    BLOCK_K: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """tau, dh (B, L, K N) -> adjoints of all states (B, L, K N), dh0 (B, K N)."""
    batch, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    c, inside = columns(block, K, N, N2, BLOCK_K)
    carry = tl.zeros((BLOCK_K, N2), ACC)
    for first in range(0, L, CHUNK):
        taus, dhs = (), ()
        for step in tl.static_range(CHUNK):
            t = L - 1 - first - step
            there = inside & (c * 0 + t >= 0)
            at = (batch * L + t) * K * N + c
            taus = taus + (tl.load(tau_ptr + at, mask=there, other=0),)
            dhs = dhs + (tl.load(dh_ptr + at, mask=there, other=0.0),)
        for step in tl.static_range(CHUNK):
            t = L - 1 - first - step
            adjoint = carry + tl.reshape(dhs[step].to(ACC), (BLOCK_K, N2))
            at = (batch * L + t) * K * N + c
            tl.store(adjoint_ptr + at, tl.reshape(adjoint, (BLOCK_K * N2,)), mask=inside & (c * 0 + t >= 0))
            tau = tl.reshape(taus[step].to(tl.int32), (BLOCK_K, N2))
            arrived = tl.gather(adjoint, tl.minimum(tau, N - 1), 1)
            arrived = tl.where(tau < N, arrived, float("nan"))
            carry = tl.where(tl.zeros((BLOCK_K, N2), tl.int32) + t >= 0, arrived, carry)
    tl.store(dh0_ptr + batch * K * N + c, tl.reshape(carry, (BLOCK_K * N2,)), mask=inside)


@triton.jit
def table_scan_slopes_kernel(
    logits_ptr, keys_ptr, states_ptr, adjoint_ptr, dlogits_ptr, sharpness, rows, L, N: tl.constexpr, C: tl.constexpr,
    NOISY: tl.constexpr, ACC: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """sigma (adjoint - <sigma, adjoint>) sharpness in the columns in use, else zero; sharpness: 1 / temperature."""
    row = (tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)).to(tl.int64)[:, None]
    c = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    inside = (row < rows) & (c < C)
    k = c // N
    before = tl.load(states_ptr + (row + row // L) * (C // N) + k, mask=inside, other=N).to(tl.int32)
    used = inside & (before == c - k * N)
    key = tl.load(keys_ptr + row, mask=row < rows, other=0) if NOISY else row
    xs, adjoints = (), ()
    for to in tl.static_range(N):
        xs = xs + (scores(logits_ptr, key, row, to, c, inside, N, C, NOISY, ACC),)
        adjoints = adjoints + (tl.load(adjoint_ptr + row * C + k * N + to, mask=used, other=0.0),)
    top = xs[0]
    for to in tl.static_range(1, N):
        top = tl.maximum(top, xs[to])
    total, mean, sigmas = tl.zeros_like(top), tl.zeros_like(top), ()
    for to in tl.static_range(N):
        sigma = tl.exp2((xs[to] - top) * (sharpness * LOG2_E))
        total += sigma
        mean += sigma * adjoints[to]
        sigmas = sigmas + (sigma,)
    mean = mean / total
    for to in tl.static_range(N):
        slope = sigmas[to] / total * (adjoints[to] - mean) * sharpness
        tl.store(dlogits_ptr + (row * N + to) * C + c, tl.where(used, slope, 0.0), mask=inside)


def _start_everywhere(
    kernel: Any, logits: Tensor, num_states: int, registers: int, *arguments: Any, **flags: Any
) -> None:
    """Start a kernel on all steps at once. Lanes hold 16 bytes each of a row of logits, or less: `registers` in all."""
    rows, channels = logits.shape[0] * logits.shape[1], logits.shape[2] // num_states
    each = max(1, min(16 // logits.element_size(), 1 << (registers // num_states).bit_length() - 1))
    warps = 4
    block = warps * LANES * each
    block_c = min(block, triton.next_power_of_2(channels))
    grid = (triton.cdiv(rows, block // block_c), triton.cdiv(channels, block_c))
    launch(
        kernel, grid, logits, *arguments, num_warps=warps, N=num_states, C=channels, ACC=ACCUMULATE[logits.dtype],
        BLOCK_R=block // block_c, BLOCK_C=block_c, **flags,
    )  # fmt: skip


def _start_following(kernel: Any, like: Tensor, num_states: int, each: int, *arguments: Any) -> None:
    """Start a kernel that walks in time: one warp, each of whose lanes holds `each` columns, or less."""
    batch, length, channels = like.shape
    heads, padded = channels // num_states, triton.next_power_of_2(num_states)
    block_k = max(1, min(LANES * each // padded, triton.next_power_of_2(heads)))
    launch(
        kernel, (batch, triton.cdiv(heads, block_k)), like, *arguments, length, K=heads, N=num_states, N2=padded,
        ACC=ACCUMULATE[like.dtype], BLOCK_K=block_k, CHUNK=CHUNK,
    )  # fmt: skip


def forward(
    logits: Tensor, h0: Tensor, keys: Tensor | None, num_states: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, _ = logits.shape
    heads, channels = h0.shape[1] // num_states, h0.shape[1]
    logits, noise = logits.contiguous(), logits if keys is None else keys.contiguous()
    h = logits.new_empty(batch, length, channels)
    tau = logits.new_empty(h.shape, dtype=torch.uint8)
    states = logits.new_empty(batch, length + 1, heads, dtype=torch.uint8)
    start = states_of(h0.unflatten(1, (heads, num_states))).to(torch.uint8)
    tables = (logits, noise, tau, batch * length)
    _start_everywhere(table_scan_tables_kernel, logits, num_states, 1 << 10, *tables, NOISY=keys is not None)
    _start_following(table_scan_follow_kernel, h, num_states, 16, tau, start, h, states)
    return h, tau, states


def backward(
    logits: Tensor, tau: Tensor, states: Tensor, keys: Tensor | None, dh: Tensor, num_states: int, temperature: float
) -> tuple[Tensor, Tensor]:
    batch, length, _ = logits.shape
    logits, dh, noise = logits.contiguous(), dh.contiguous(), logits if keys is None else keys.contiguous()
    dtype = torch.promote_types(logits.dtype, torch.float32)
    adjoint, dh0 = dh.new_empty(dh.shape, dtype=dtype), dh.new_empty(batch, dh.shape[2], dtype=dtype)
    dlogits = torch.empty_like(logits)
    _start_following(table_scan_adjoint_kernel, dh, num_states, 16 // dh.element_size(), tau, dh, adjoint, dh0)
    slopes = (logits, noise, states, adjoint, dlogits, 1 / temperature, batch * length, length)
    _start_everywhere(table_scan_slopes_kernel, logits, num_states, 64, *slopes, NOISY=keys is not None)
    return dlogits, dh0
