"""One step of selective_scan's backward pass on the CPU; arrays are those of cpu.py."""

import math
from typing import Any

import numpy as np

from lra_mru.ops._cpu.arrays import fill, helper, narrow, widen
from lra_mru.ops._cpu.maths import sigmoid

WIDTH = 64  # channels: with N = 16 states 4 KB, of which backward needs five
LOG_2 = math.log(2)


@helper
def step_back(
    signed: bool, dt: Any, dtu: Any, k: Any, A: Any, B: Any, C: Any, at_B: Any, N: Any, width: Any, g: Any, decay: Any,
    h: Any, before: Any, after: Any, carry: Any, dA: Any, dB: Any, dC: Any, at_dB: Any, by_input: Any, by_decay: Any,
) -> None:  # fmt: skip
    """One step of the reversed pass, g the gradient of C . h. carry is what reaches h[t], then h[t-1], from later.

    by_input collects the gradient of dt u, by_decay that of dt by way of the decay, in units of log 2: the decay's
    derivative by dt A is itself, or itself + 1 if signed.
    """
    fill(by_input, 0)
    fill(by_decay, 0)
    for n in range(N):
        B_n, C_n, at_n = widen(B[at_B + n]), widen(C[at_B + n]), np.uint64(n * WIDTH)
        prev_n, h_n = np.uint64(before) + at_n, np.uint64(after) + at_n
        dB_n = dC_n = type(B_n)(0)
        shift = type(B_n)(1 if signed else 0)
        for d in range(np.uint64(width)):
            dh = carry[at_n + d] + g[d] * C_n
            dC_n += g[d] * h[h_n + d]
            dB_n += dh * dtu[k + d]
            by_input[d] += dh * B_n
            carry[at_n + d] = dh * decay[prev_n + d]
            through_decay = (carry[at_n + d] + shift * dh) * h[prev_n + d]
            by_decay[d] += through_decay * A[at_n + d]
            dA[at_n + d] += through_decay * dt[k + d]
        dB[at_dB + n] += dB_n
        dC[at_dB + n] += dC_n


@helper
def gate_back(gated: bool, dy: Any, z: Any, at: Any, width: Any, y: Any, k: Any, g: Any, dz: Any) -> None:
    """g = gradient of the ungated output y; dz."""
    for d in range(np.uint64(width)):
        g[d] = widen(dy[at + d])
        if gated:
            gate = widen(z[at + d])
            s = sigmoid(gate)
            dz[at + d] = narrow(g[d] * y[k + d] * s * (1 + gate * (1 - s)), dz)
            g[d] = g[d] * gate * s


@helper
def inputs_back(
    softened: bool, delta: Any, bias: Any, skip: Any, d0: Any, u: Any, at: Any, width: Any, g: Any, dt: Any, k: Any,
    by_input: Any, by_decay: Any, du: Any, ddelta: Any, dskip: Any, dbias: Any,
) -> None:  # fmt: skip
    """From the gradients of dt u and of the decay to those of u, delta, D and the bias."""
    for d in range(np.uint64(width)):
        u_d = widen(u[at + d])
        du[at + d] = narrow(by_input[d] * dt[k + d] + g[d] * skip[d0 + d], du)
        ddt = by_input[d] * u_d + by_decay[d] * type(u_d)(LOG_2)
        if softened:
            ddt *= sigmoid(widen(delta[at + d]) + bias[d0 + d])
        ddelta[at + d] = narrow(ddt, ddelta)
        dskip[d] += g[d] * u_d
        dbias[d] += ddt
