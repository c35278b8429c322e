"""Looking back on any device: more programs than a GPU holds, lengths around the edges of tiles, odd numbers.

python look_back.py DEVICE      the first check alone, as tests/gpu/conftest.py calls it
"""

import sys
from typing import Any

import torch
from gpu.on_device import same_bits
from ops.op_cases import TOLERANCE, OpCase, assert_close, in_double, on, outputs_and_gradients
from torch import Tensor

from lra_mru.ops._gpu.tiling import pick_tiling
from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan

LONG, SHORT = (1, 2**20, 32), (1, 3000, 8)  # 4,096 programs in one row, of which an H100 holds 264; for a CPU
ODD = torch.tensor([-1, -2, 0x7FC00001, 0x7FC00000], dtype=torch.int32).view(torch.float32)  # NaN, two as in slots


def check_one_long_row(shape: tuple[int, int, int], device: str) -> None:
    """Every chunk needs all before it. With a = 1 and whole numbers h counts steps; a bmru holds its first state."""
    ones = torch.ones(shape, device=device)
    steps = torch.arange(1, shape[1] + 1, device=device, dtype=torch.float32)[None, :, None].expand(shape)
    assert torch.equal(linear_scan(ones, ones), steps)
    c, alpha = torch.zeros_like(ones), torch.full_like(ones[0, 0], 0.7)
    c[:, 0] = 2.0
    assert (bmru_scan(c, ones, alpha) == 0.7).all()
    leaves = [x.clone().requires_grad_() for x in (c, ones, alpha)]
    dh = torch.zeros(shape, device=device)
    dh[:, -1] = 1.0
    _, _, dalpha = torch.autograd.grad(bmru_scan(*leaves), leaves, dh)
    assert (dalpha == 1.0).all()  # from the last step through every chunk to the first
    a, b = (ones.clone().requires_grad_() for _ in range(2))
    _, db = torch.autograd.grad(linear_scan(a, b), (a, b), dh)
    assert (db == 1.0).all()


def edges(case: OpCase, batch: int, channels: int) -> list[int]:
    """Lengths one off and on each edge: of a segment, of a chunk, of as many chunks as a program looks back over."""
    found = set()
    for inputs in (2, 3, 4):
        tiling = pick_tiling(batch, 4096, channels, case.dtype.itemsize, inputs)
        sizes = [tiling.block_t, *(times * tiling.chunk for times in (1, 2, tiling.reach, tiling.reach + 1))]
        found |= {size + off for size in sizes for off in (-1, 0, 1)}
    return sorted(found - {0})


def check_lengths(case: OpCase, lengths: list[int], device: str) -> None:
    """As on the CPU in double precision, and the same bits twice."""
    for length in lengths:
        arguments = case.inputs(2, length, 33)
        found, again = (outputs_and_gradients(case.fused, on(device, arguments)) for _ in range(2))
        for name, value in found.items():
            assert same_bits(value, again[name]), f"{name} at length {length}: two calls differ"
        expected = outputs_and_gradients(case.fused, in_double(arguments))
        assert_close({name: value.cpu() for name, value in found.items()}, expected, TOLERANCE[case.dtype])


def check_odd_numbers(length: int, device: str) -> None:
    """NaN of any kind, those of empty slots among them, in the input and as first state: a look back ends, and they
    stay until a gate opens.
    """
    a, b = torch.full((1, length, 4), 0.5), torch.ones(1, length, 4)
    b[:, 3] = ODD
    assert linear_scan(a.to(device), b.to(device))[:, 3:].isnan().all()
    assert linear_scan(a.to(device), torch.ones_like(b).to(device), ODD[None].to(device)).isnan().all()
    c, beta, alpha = torch.zeros(1, length, 4), torch.ones(1, length, 4), torch.ones(4)
    c[:, 3], c[:, length - 2] = ODD, 2.0
    h = bmru_scan(c.to(device), beta.to(device), alpha.to(device))
    assert (h[:, :3] == 0).all()
    assert h[:, 3 : length - 2].isnan().all()
    assert (h[:, length - 2 :] == 1).all()


def both_passes(case: OpCase, arguments: dict[str, Any], weights: list[Tensor] | None = None) -> list[Tensor]:
    """Outputs and gradients, all on the device: no copy from the host, which a capture would not allow."""
    outputs = case.fused(**arguments)
    leaves = [x for x in arguments.values() if isinstance(x, Tensor)]
    weights = [torch.ones_like(outputs)] if weights is None else weights
    return [outputs.detach(), *torch.autograd.grad([outputs], leaves, weights)]


if __name__ == "__main__":
    check_one_long_row(LONG if sys.argv[1] == "cuda" else SHORT, sys.argv[1])
