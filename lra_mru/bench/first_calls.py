"""`python -m lra_mru.bench.first_calls`: seconds of the first calls of every scan in this process, float32."""

import time

import torch

from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan
from lra_mru.ops.selective_scan import selective_scan

SHAPE = (2, 9, 4)


def calls() -> None:
    """Forward and backward: linear_scan with a per step, constant, and complex as an LRU has it, and the others."""
    x, y, a, states = torch.rand(SHAPE), torch.rand(SHAPE), torch.rand(4), torch.rand(2, 9, 3)
    h = [linear_scan(x.requires_grad_(), y.requires_grad_()), linear_scan(a.requires_grad_(), y)]
    h.append(linear_scan(a.to(torch.complex64), y.to(torch.complex64)).abs())
    h.append(bmru_scan(x, y, a))
    h.append(selective_scan(x, y, -torch.rand(4, 3), states, states)[0])
    torch.stack(h).sum().backward()


if __name__ == "__main__":
    start = time.perf_counter()
    calls()
    print(time.perf_counter() - start)
