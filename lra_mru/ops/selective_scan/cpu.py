"""selective_scan on the CPU. The state of WIDTH channels stays in the first-level cache; lanes run along channels.

Forward leaves the state at the start of every chunk of CHUNK steps. Backward takes the chunks from last to first: it
recomputes the states inside one, then runs through it in reverse. States lie as (N, D) here, channels innermost.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lra_mru.ops._cpu import array, copy, fill, helper, kernel, narrow, output, widen
from lra_mru.ops._cpu_math import LOG2_E, exp2, sigmoid, softplus
from lra_mru.ops._cpu_memory import empty_like
from lra_mru.ops._cpu_threads import claim, share
from lra_mru.ops.selective_scan import CHUNK

WIDTH = 64  # channels: with N = 16 states 4 KB, of which backward needs five
LOG_2 = math.log(2)


@helper
def _copy_rows(to: Any, rows: Any) -> None:
    """(N, channels), of which `to` may have more."""
    for n in range(len(rows)):
        copy(to[n], rows[n])


@helper
def _add(total: Any, part: Any) -> None:
    for d in range(len(total)):
        total[d] += part[d]


@helper
def _time_steps(softened: bool, delta_t: Any, bias: Any, u_t: Any, dt: Any, dtu: Any) -> None:
    """dt and dt u of one step."""
    for d in range(len(delta_t)):
        x = widen(delta_t[d]) + bias[d]
        dt[d] = softplus(x) if softened else x
        dtu[d] = dt[d] * widen(u_t[d])


@helper
def _advance(dt: Any, dtu: Any, A: Any, B_t: Any, h_prev: Any, decay: Any, h: Any) -> None:
    """h = exp(dt A) h_prev + dt u B, and the decay itself; A in units of log 2."""
    for n in range(len(B_t)):
        B_tn, A_n, h_prev_n, decay_n, h_n = widen(B_t[n]), A[n], h_prev[n], decay[n], h[n]
        for d in range(len(dt)):
            decay_n[d] = exp2(dt[d] * A_n[d])
            h_n[d] = decay_n[d] * h_prev_n[d] + dtu[d] * B_tn


@helper
def _read_out(C_t: Any, h: Any, skip: Any, u_t: Any, y: Any) -> None:
    """y = C . h + D u, before the gate."""
    for d in range(len(u_t)):
        y[d] = skip[d] * widen(u_t[d])
    for n in range(len(C_t)):
        C_tn, h_n = widen(C_t[n]), h[n]
        for d in range(len(u_t)):
            y[d] += C_tn * h_n[d]


@kernel
def _forward(
    todo: Any, softened: bool, gated: bool, u: Any, delta: Any, A: Any, B: Any, C: Any, skip: Any, z: Any,
    bias: Any, h0: Any, y: Any, h_last: Any, starts: Any,
) -> None:  # fmt: skip
    _, L, channels = u.shape
    N = B.shape[2]
    num_blocks = -(-channels // WIDTH)
    h, decay = np.empty((2, N, WIDTH), h0.dtype), np.empty((N, WIDTH), h0.dtype)  # in place would not vectorise
    A_block = np.empty((N, WIDTH), h0.dtype)
    dt_all, dtu_all, y_all = np.empty(WIDTH, h0.dtype), np.empty(WIDTH, h0.dtype), np.empty(WIDTH, h0.dtype)
    unit = claim(todo)
    while unit >= 0:
        i, d0 = unit // num_blocks, unit % num_blocks * WIDTH
        d1 = min(d0 + WIDTH, channels)
        width = d1 - d0
        dt, dtu, y_row = dt_all[:width], dtu_all[:width], y_all[:width]
        _copy_rows(h[0], h0[i, :, d0:d1])
        _copy_rows(A_block, A[:, d0:d1])
        for t in range(L):
            before, after = h[t % 2], h[(t + 1) % 2]
            if t % CHUNK == 0:
                _copy_rows(starts[i, t // CHUNK, :, d0:d1], before[:, :width])
            u_t, y_t, z_t = u[i, t, d0:d1], y[i, t, d0:d1], z[i, t, d0:d1]
            _time_steps(softened, delta[i, t, d0:d1], bias[d0:d1], u_t, dt, dtu)
            _advance(dt, dtu, A_block, B[i, t], before, decay, after)
            _read_out(C[i, t], after, skip[d0:d1], u_t, y_row)
            for d in range(width):
                gate = widen(z_t[d])
                y_t[d] = narrow(y_row[d] * gate * sigmoid(gate) if gated else y_row[d], y)
        _copy_rows(h_last[i, :, d0:d1], h[L % 2, :, :width])
        unit = claim(todo)


@helper
def _step_back(
    dt: Any, dtu: Any, A: Any, B_t: Any, C_t: Any, g: Any, decay: Any, h_prev: Any, h: Any,
    carry: Any, dA: Any, dB_t: Any, dC_t: Any, by_input: Any, by_decay: Any,
) -> None:  # fmt: skip
    """One step of the reversed pass, g the gradient of C . h. carry is what reaches h[t], then h[t-1], from later.

    by_input collects the gradient of dt u, by_decay that of dt by way of exp(dt A), in units of log 2.
    """
    for d in range(len(dt)):
        by_input[d] = 0
        by_decay[d] = 0
    for n in range(len(B_t)):
        B_tn, C_tn, A_n, decay_n = widen(B_t[n]), widen(C_t[n]), A[n], decay[n]
        h_prev_n, h_n, carry_n, dA_n = h_prev[n], h[n], carry[n], dA[n]
        dB_tn = dC_tn = type(B_tn)(0)
        for d in range(len(dt)):
            dh = carry_n[d] + g[d] * C_tn
            dC_tn += g[d] * h_n[d]
            dB_tn += dh * dtu[d]
            by_input[d] += dh * B_tn
            carry_n[d] = dh * decay_n[d]
            through_decay = carry_n[d] * h_prev_n[d]
            by_decay[d] += through_decay * A_n[d]
            dA_n[d] += through_decay * dt[d]
        dB_t[n] += dB_tn
        dC_t[n] += dC_tn


@helper
def _gate_back(gated: bool, dy_t: Any, z_t: Any, y: Any, g: Any, dz_t: Any) -> None:
    """g = gradient of the ungated output y; dz."""
    for d in range(len(dy_t)):
        g[d] = widen(dy_t[d])
        if gated:
            gate = widen(z_t[d])
            s = sigmoid(gate)
            dz_t[d] = narrow(g[d] * y[d] * s * (1 + gate * (1 - s)), dz_t)
            g[d] = g[d] * gate * s


@helper
def _inputs_back(
    softened: bool, delta_t: Any, bias: Any, u_t: Any, skip: Any, g: Any, dt: Any, by_input: Any, by_decay: Any,
    du_t: Any, ddelta_t: Any, dskip: Any, dbias: Any,
) -> None:  # fmt: skip
    """From the gradients of dt u and of the decay to those of u, delta, D and the bias."""
    for d in range(len(dt)):
        u_td = widen(u_t[d])
        du_t[d] = narrow(by_input[d] * dt[d] + g[d] * skip[d], du_t)
        ddt = by_input[d] * u_td + by_decay[d] * type(u_td)(LOG_2)
        if softened:
            ddt *= sigmoid(widen(delta_t[d]) + bias[d])
        ddelta_t[d] = narrow(ddt, ddelta_t)
        dskip[d] += g[d] * u_td
        dbias[d] += ddt


@kernel
def _backward(
    todo: Any, softened: bool, gated: bool, u: Any, delta: Any, A: Any, B: Any, C: Any, skip: Any, z: Any,
    bias: Any, starts: Any, dy: Any, dh_last: Any, du: Any, ddelta: Any, dA: Any, dB: Any, dC: Any, dskip: Any, dz: Any,
    dbias: Any, dh0: Any,
) -> None:  # fmt: skip
    """dA, dskip and dbias hold a total for every batch row, dB and dC one for every block of channels."""
    _, L, channels = u.shape
    N, dtype = B.shape[2], dh0.dtype
    num_blocks = -(-channels // WIDTH)
    h, decay = np.empty((CHUNK + 1, N, WIDTH), dtype), np.empty((CHUNK, N, WIDTH), dtype)
    A_block, carry, dA_part = np.empty((N, WIDTH), dtype), np.empty((N, WIDTH), dtype), np.empty((N, WIDTH), dtype)
    rows = np.empty((CHUNK, 3, WIDTH), dtype)  # dt, dt u and the ungated y of each step
    others = np.empty((5, WIDTH), dtype)
    unit = claim(todo)
    while unit >= 0:
        i, block = unit // num_blocks, unit % num_blocks
        d0 = block * WIDTH
        d1 = min(d0 + WIDTH, channels)
        width = d1 - d0
        g, by_input, by_decay, dskip_part, dbias_part = (
            others[0, :width], others[1, :width], others[2, :width], others[3, :width], others[4, :width],
        )  # fmt: skip
        _copy_rows(A_block, A[:, d0:d1])
        _copy_rows(carry, dh_last[i, :, d0:d1])
        bias_d, skip_d = bias[d0:d1], skip[d0:d1]
        for start in range((L - 1) // CHUNK * CHUNK, -1, -CHUNK):
            stop = min(start + CHUNK, L)
            _copy_rows(h[0], starts[i, start // CHUNK, :, d0:d1])
            fill(dA_part.reshape(-1), 0)
            fill(dskip_part, 0)
            fill(dbias_part, 0)
            for t in range(start, stop):
                k = t - start
                dt, dtu, y, u_t = rows[k, 0, :width], rows[k, 1, :width], rows[k, 2, :width], u[i, t, d0:d1]
                _time_steps(softened, delta[i, t, d0:d1], bias_d, u_t, dt, dtu)
                _advance(dt, dtu, A_block, B[i, t], h[k], decay[k], h[k + 1])
                if gated:
                    _read_out(C[i, t], h[k + 1], skip_d, u_t, y)
            for t in range(stop - 1, start - 1, -1):
                k = t - start
                dt, dtu, y = rows[k, 0, :width], rows[k, 1, :width], rows[k, 2, :width]
                _gate_back(gated, dy[i, t, d0:d1], z[i, t, d0:d1], y, g, dz[i, t, d0:d1])
                _step_back(
                    dt, dtu, A_block, B[i, t], C[i, t], g, decay[k], h[k], h[k + 1],
                    carry, dA_part, dB[block, i, t], dC[block, i, t], by_input, by_decay,
                )  # fmt: skip
                _inputs_back(
                    softened, delta[i, t, d0:d1], bias_d, u[i, t, d0:d1], skip_d, g, dt, by_input, by_decay,
                    du[i, t, d0:d1], ddelta[i, t, d0:d1], dskip_part, dbias_part,
                )  # fmt: skip
            for n in range(N):
                _add(dA[i, n, d0:d1], dA_part[n])
            _add(dskip[i, d0:d1], dskip_part)
            _add(dbias[i, d0:d1], dbias_part)
        _copy_rows(dh0[i, :, d0:d1], carry[:, :width])
        unit = claim(todo)


def _rows(x: Tensor) -> Tensor:
    """(..., D, N) as the kernels hold states: (..., N, D), contiguous."""
    return x.mT.contiguous()


def forward(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor, h0: Tensor,
    softened: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    batch, length, channels = u.shape
    y = empty_like(u)
    h_last = torch.empty(batch, A.shape[1], channels, dtype=h0.dtype)
    starts = torch.empty(batch, -(-length // CHUNK), A.shape[1], channels, dtype=h0.dtype)
    inputs = [array(x) for x in (u, delta, _rows(A) * LOG2_E, B, C, skip, u if z is None else z, bias, _rows(h0))]
    results = [output(x) for x in (y, h_last, starts)]
    units = batch * -(-channels // WIDTH)
    share(_forward, units, u.numel() * A.shape[1], softened, z is not None, *inputs, *results)
    return y, h_last.mT.contiguous(), starts


def backward(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, z: Tensor | None, bias: Tensor,
    starts: Tensor, dy: Tensor, dh_last: Tensor, softened: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    batch, length, channels = u.shape
    num_states, num_blocks = A.shape[1], -(-channels // WIDTH)
    du, ddelta = (empty_like(u) for _ in range(2))
    dz = empty_like(u if z is not None else u[:0])
    dA = torch.zeros(batch, num_states, channels, dtype=torch.float64)
    dskip, dbias = (torch.zeros(batch, channels, dtype=torch.float64) for _ in range(2))
    dB, dC = (torch.zeros(num_blocks, batch, length, num_states, dtype=starts.dtype) for _ in range(2))
    dh0 = torch.empty(batch, num_states, channels, dtype=starts.dtype)
    gate, dgate = (u, du) if z is None else (z, dz)
    inputs = (array(x) for x in (u, delta, _rows(A) * LOG2_E, B, C, skip, gate, bias, starts, dy, _rows(dh_last)))
    results = [output(x) for x in (du, ddelta, dA, dB, dC, dskip, dgate, dbias, dh0)]
    share(_backward, batch * num_blocks, u.numel() * num_states, softened, z is not None, *inputs, *results)
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
