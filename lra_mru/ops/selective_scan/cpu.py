"""selective_scan on the CPU. The state of WIDTH channels stays in the first-level cache; lanes run along channels.

Forward leaves the state at the start of every chunk of CHUNK steps. Backward takes the chunks from last to first: it
recomputes the states inside one, then runs through it in reverse, by the steps of cpu_back.py. States lie as (N, D)
here, channels innermost. Arrays are flat: a helper gets one with the place where it begins, such as (u, at) for the
channels of one step. Kernels take

    u, delta, z, y, dy    (B * L * D,) in their own dtype, 16-bit floats as raw bits; B, C (B * L * N,) as well
    A, dA                 (N * D,) in units of log 2; (B * N * D,) in double precision
    skip, bias            (D,) in accumulation dtype; dskip, dbias (B * D,) in double precision
    h0, h_last, dh0       (B * N * D,) in accumulation dtype; starts (B * chunks * N * D,), the states at chunks' starts
    dB, dC                (blocks of channels * B * L * N,) in accumulation dtype
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lra_mru.ops._checks import check_like
from lra_mru.ops._cpu.arrays import fill, flat, flat_output, helper, kernel, narrow, widen
from lra_mru.ops._cpu.maths import LOG2_E, exp2, sigmoid, softplus
from lra_mru.ops._cpu.memory import empty_like, start_of_reversed
from lra_mru.ops._cpu.threads import claim, share
from lra_mru.ops.selective_scan import CHUNK
from lra_mru.ops.selective_scan.cpu_back import WIDTH, gate_back, inputs_back, step_back


@helper
def _copy_states(to: Any, at_to: Any, stride_to: Any, rows: Any, at: Any, stride: Any, N: Any, width: Any) -> None:
    """N rows of `width` channels; strides from row to row."""
    for n in range(N):
        start_to, start = np.uint64(at_to + n * stride_to), np.uint64(at + n * stride)
        for d in range(np.uint64(width)):
            to[start_to + d] = rows[start + d]


@helper
def _add(total: Any, at: Any, part: Any, at_part: Any, width: Any) -> None:
    for d in range(width):
        total[at + d] += part[at_part + d]


@helper
def _time_steps(
    softened: bool, delta: Any, bias: Any, d0: Any, u: Any, at: Any, width: Any, dt: Any, dtu: Any, k: Any
) -> None:  # fmt: skip
    """dt and dt u of one step, which begin at k."""
    for d in range(np.uint64(width)):
        x = widen(delta[at + d]) + bias[d0 + d]
        dt[k + d] = softplus(x) if softened else x
        dtu[k + d] = dt[k + d] * widen(u[at + d])


@helper
def _advance(
    signed: bool, dt: Any, dtu: Any, k: Any, A: Any, B: Any, at_B: Any, N: Any, width: Any, h: Any, before: Any,
    after: Any, decay: Any, at_decay: Any,
) -> None:  # fmt: skip
    """h = decay h_prev + dt u B, and decay = exp(dt A) itself, or 2 exp(dt A) - 1; A in units of log 2."""
    for n in range(N):
        B_n, A_n = widen(B[at_B + n]), np.uint64(n * WIDTH)
        prev_n, h_n, decay_n = np.uint64(before) + A_n, np.uint64(after) + A_n, np.uint64(at_decay) + A_n
        scale, shift = type(B_n)(2 if signed else 1), type(B_n)(1 if signed else 0)
        for d in range(np.uint64(width)):
            decay[decay_n + d] = scale * exp2(dt[k + d] * A[A_n + d]) - shift
            h[h_n + d] = decay[decay_n + d] * h[prev_n + d] + dtu[k + d] * B_n


@helper
def _read_out(
    C: Any, at_C: Any, N: Any, h: Any, at_h: Any, skip: Any, d0: Any, u: Any, at: Any, width: Any, y: Any, k: Any
) -> None:  # fmt: skip
    """y = C . h + D u, before the gate."""
    for d in range(np.uint64(width)):
        y[k + d] = skip[d0 + d] * widen(u[at + d])
    for n in range(N):
        C_n, h_n = widen(C[at_C + n]), np.uint64(at_h + n * WIDTH)
        for d in range(np.uint64(width)):
            y[k + d] += C_n * h[h_n + d]


@kernel
def _forward(
    todo: Any, L: int, D: int, N: int, softened: bool, signed: bool, gated: bool, u: Any, delta: Any, A: Any, B: Any,
    C: Any, skip: Any, z: Any, bias: Any, h0: Any, y: Any, h_last: Any, starts: Any,
) -> None:  # fmt: skip
    num_blocks, num_chunks, none = -(-D // WIDTH), -(-L // CHUNK), np.uint64(0)
    h, decay = np.empty(2 * N * WIDTH, h0.dtype), np.empty(N * WIDTH, h0.dtype)  # in place would not vectorise
    A_block = np.empty(N * WIDTH, h0.dtype)
    dt, dtu, y_t = np.empty(WIDTH, h0.dtype), np.empty(WIDTH, h0.dtype), np.empty(WIDTH, h0.dtype)
    unit = claim(todo)
    while unit >= 0:
        i, start = unit // num_blocks, unit % num_blocks * WIDTH
        d0, width = np.uint64(start), min(WIDTH, D - start)
        _copy_states(h, 0, WIDTH, h0, i * N * D + start, D, N, width)
        _copy_states(A_block, 0, WIDTH, A, start, D, N, width)
        for t in range(L):
            row = i * L + t
            at, before, after = np.uint64(row * D + start), t % 2 * N * WIDTH, (t + 1) % 2 * N * WIDTH
            if t % CHUNK == 0:
                chunk = i * num_chunks + t // CHUNK
                _copy_states(starts, chunk * N * D + start, D, h, before, WIDTH, N, width)
            _time_steps(softened, delta, bias, d0, u, at, width, dt, dtu, none)
            _advance(signed, dt, dtu, none, A_block, B, row * N, N, width, h, before, after, decay, 0)
            _read_out(C, row * N, N, h, after, skip, d0, u, at, width, y_t, none)
            for d in range(np.uint64(width)):
                gate = widen(z[at + d])
                y[at + d] = narrow(y_t[d] * gate * sigmoid(gate) if gated else y_t[d], y)
        _copy_states(h_last, i * N * D + start, D, h, L % 2 * N * WIDTH, WIDTH, N, width)
        unit = claim(todo)


@kernel
def _backward(
    todo: Any, batch: int, L: int, D: int, N: int, softened: bool, signed: bool, gated: bool, u: Any, delta: Any,
    A: Any, B: Any, C: Any, skip: Any, z: Any, bias: Any, starts: Any, dy: Any, dh_last: Any, du: Any, ddelta: Any,
    dA: Any, dB: Any, dC: Any, dskip: Any, dz: Any, dbias: Any, dh0: Any,
) -> None:  # fmt: skip
    """dA, dskip and dbias hold a total for every batch row, dB and dC one for every block of channels."""
    num_blocks, num_chunks, size, dtype = -(-D // WIDTH), -(-L // CHUNK), N * WIDTH, dh0.dtype
    h, decay = np.empty((CHUNK + 1) * size, dtype), np.empty(CHUNK * size, dtype)
    A_block, carry, dA_part = np.empty(size, dtype), np.empty(size, dtype), np.empty(size, dtype)
    dt, dtu, y = np.empty(CHUNK * WIDTH, dtype), np.empty(CHUNK * WIDTH, dtype), np.empty(CHUNK * WIDTH, dtype)
    g, by_input, by_decay = np.empty(WIDTH, dtype), np.empty(WIDTH, dtype), np.empty(WIDTH, dtype)
    dskip_part, dbias_part = np.empty(WIDTH, dtype), np.empty(WIDTH, dtype)
    unit = claim(todo)
    while unit >= 0:
        i, block = unit // num_blocks, unit % num_blocks
        start = block * WIDTH
        d0, width = np.uint64(start), min(WIDTH, D - start)
        _copy_states(A_block, 0, WIDTH, A, start, D, N, width)
        _copy_states(carry, 0, WIDTH, dh_last, i * N * D + start, D, N, width)
        for chunk in range(num_chunks - 1, -1, -1):
            first, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, L)
            _copy_states(h, 0, WIDTH, starts, (i * num_chunks + chunk) * N * D + start, D, N, width)
            fill(dA_part, 0)
            fill(dskip_part, 0)
            fill(dbias_part, 0)
            for t in range(first, stop):
                row, before = i * L + t, (t - first) * size
                at, k = np.uint64(row * D + start), np.uint64((t - first) * WIDTH)
                _time_steps(softened, delta, bias, d0, u, at, width, dt, dtu, k)
                _advance(signed, dt, dtu, k, A_block, B, row * N, N, width, h, before, before + size, decay, before)
                if gated:
                    _read_out(C, row * N, N, h, before + size, skip, d0, u, at, width, y, k)
            for t in range(stop - 1, first - 1, -1):
                row, before = i * L + t, (t - first) * size
                at, k = start_of_reversed(row, D) + d0, start_of_reversed(t - first, WIDTH)
                gate_back(gated, dy, z, at, width, y, k, g, dz)
                step_back(
                    signed, dt, dtu, k, A_block, B, C, row * N, N, width, g, decay, h, before, before + size,
                    carry, dA_part, dB, dC, ((block * batch + i) * L + t) * N, by_input, by_decay,
                )  # fmt: skip
                inputs_back(
                    softened, delta, bias, skip, d0, u, at, width, g, dt, k,
                    by_input, by_decay, du, ddelta, dskip_part, dbias_part,
                )  # fmt: skip
            for n in range(N):
                _add(dA, (i * N + n) * D + start, dA_part, n * WIDTH, width)
            _add(dskip, i * D + start, dskip_part, 0, width)
            _add(dbias, i * D + start, dbias_part, 0, width)
        _copy_states(dh0, i * N * D + start, D, carry, 0, WIDTH, N, width)
        unit = claim(todo)


def _rows(x: Tensor) -> Tensor:
    """(..., D, N) as the kernels hold states: (..., N, D), contiguous."""
    return x.mT.contiguous()


def forward(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor, h0: Tensor,
    softened: bool, signed: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    batch, length, channels = u.shape
    y = empty_like(u)
    h_last = torch.empty(batch, A.shape[1], channels, dtype=h0.dtype)
    starts = torch.empty(batch, -(-length // CHUNK), A.shape[1], channels, dtype=h0.dtype)
    inputs = [flat(x) for x in (u, delta, _rows(A) * LOG2_E, B, C, skip, u if z is None else z, bias, _rows(h0))]
    results = [flat_output(x) for x in (y, h_last, starts)]
    num_states, num_blocks = A.shape[1], -(-channels // WIDTH)
    share(
        _forward, batch * num_blocks, u.numel() * num_states, length, channels, num_states, softened, signed,
        z is not None, *inputs, *results,
    )  # fmt: skip
    return y, h_last.mT.contiguous(), starts


def backward(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor,
    starts: Tensor, dy: Tensor, dh_last: Tensor, softened: bool, signed: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    batch, length, channels = u.shape
    num_states, num_blocks = A.shape[1], -(-channels // WIDTH)
    check_like("starts", starts, "u", u, (batch, -(-length // CHUNK), num_states, channels), starts.dtype)
    du, ddelta = (empty_like(u) for _ in range(2))
    dz = empty_like(u if z is not None else u[:0])
    dA = torch.zeros(batch, num_states, channels, dtype=torch.float64)
    dskip, dbias = (torch.zeros(batch, channels, dtype=torch.float64) for _ in range(2))
    dB, dC = (torch.zeros(num_blocks, batch, length, num_states, dtype=starts.dtype) for _ in range(2))
    dh0 = torch.empty(batch, num_states, channels, dtype=starts.dtype)
    gate, dgate = (u, du) if z is None else (z, dz)
    inputs = (flat(x) for x in (u, delta, _rows(A) * LOG2_E, B, C, skip, gate, bias, starts, dy, _rows(dh_last)))
    results = [flat_output(x) for x in (du, ddelta, dA, dB, dC, dskip, dgate, dbias, dh0)]
    share(
        _backward, batch * num_blocks, u.numel() * num_states, batch, length, channels, num_states, softened,
        signed, z is not None, *inputs, *results,
    )  # fmt: skip
    parameters = (dA.sum(0).mT.to(A.dtype).contiguous(), dskip.sum(0).to(A.dtype), dbias.sum(0).to(A.dtype))
    return (
        du,
        ddelta,
        parameters[0],
        dB.sum(0).to(B.dtype),
        dC.sum(0).to(C.dtype),
        parameters[1],
        dz,
        parameters[2],
        (dh0.mT.contiguous()),
    )
