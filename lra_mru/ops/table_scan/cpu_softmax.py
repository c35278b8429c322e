"""The straight-through slopes of table_scan inside CPU kernels: softmax and its derivative, a lane for every column."""

from typing import Any

import numpy as np

from lra_mru.ops._cpu.arrays import helper
from lra_mru.ops._cpu.maths import exp2


@helper
def softmax(column: Any, lanes: Any, n: int, scale: Any, top: Any) -> None:
    """column = softmax over its n rows, scale in units of log 2."""
    for lane in range(np.uint64(lanes)):
        top[lane] = column[lane]
    for to in range(1, n):
        start = np.uint64(to * lanes)
        for lane in range(np.uint64(lanes)):
            x = column[start + lane]
            top[lane] = x if x > top[lane] or x != x else top[lane]
    for to in range(n):
        start = np.uint64(to * lanes)
        for lane in range(np.uint64(lanes)):
            column[start + lane] = exp2((column[start + lane] - top[lane]) * scale)
    for lane in range(np.uint64(lanes)):
        top[lane] = column[lane]
    for to in range(1, n):
        start = np.uint64(to * lanes)
        for lane in range(np.uint64(lanes)):
            top[lane] += column[start + lane]
    for lane in range(np.uint64(lanes)):
        top[lane] = 1 / top[lane]
    for to in range(n):
        start = np.uint64(to * lanes)
        for lane in range(np.uint64(lanes)):
            column[start + lane] *= top[lane]


@helper
def slopes(column: Any, adjoint: Any, lanes: Any, n: int, sharpness: Any, mean: Any) -> None:
    """column = sigma (adjoint - <sigma, adjoint>) / temperature, from sigma = column."""
    for lane in range(np.uint64(lanes)):
        mean[lane] = 0
    for to in range(n):
        start = np.uint64(to * lanes)
        for lane in range(np.uint64(lanes)):
            mean[lane] += column[start + lane] * adjoint[start + lane]
    for to in range(n):
        start = np.uint64(to * lanes)
        for lane in range(np.uint64(lanes)):
            column[start + lane] *= (adjoint[start + lane] - mean[lane]) * sharpness
