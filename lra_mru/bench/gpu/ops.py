"""The ops' kernels, by replay of CUDA graphs, beside a copy's speed; the ops as a caller waits for them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lra_mru.bench.gpu import peers
from lra_mru.ops._checks import accumulation_dtype
from lra_mru.ops._register import implementation
from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan
from lra_mru.ops.selective_scan import selective_scan

Call = Callable[[], object]
COPIED = 2**28  # numbers of float32, 1 GiB: far beyond the caches


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What is timed of one op. Bytes: every input read once and every output written once."""

    forward: Call
    backward: Call
    both: Call
    forward_bytes: int
    backward_bytes: int
    peers: dict[str, Callable[[], dict[str, Call]]]


@dataclass(frozen=True, kw_only=True)
class Op:
    """An op at a shape; make(shape, dtype, device) gives its calls."""

    op: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[tuple[int, ...], torch.dtype, str], Calls]


def ops() -> dict[str, Op]:
    """By the name of the row: busy shapes, long ones of few rows, and one long row on its own; Mamba's sizes."""
    found = []
    for shape in ((32, 1024, 256), (8, 16384, 256), (1, 65536, 128)):
        for dtype in (torch.float32, torch.bfloat16):
            found.append(Op(op="linear_scan", shape=shape, dtype=dtype, make=_linear))
            found.append(Op(op="bmru_scan", shape=shape, dtype=dtype, make=_bmru))
    found.append(Op(op="linear_scan", shape=(8, 16384, 256), dtype=torch.complex64, make=_linear_constant))
    for sizes in ((8, 2048, 1536, 16), (16, 1024, 512, 16)):
        for dtype in (torch.float32, torch.bfloat16):
            found.append(Op(op="selective_scan", shape=sizes, dtype=dtype, make=_selective))
    return {f"{op.op} {op.shape} {str(op.dtype).removeprefix('torch.')}": op for op in found}


def measured_op(op: Op, speed: float) -> dict[str, Any]:
    """Milliseconds of kernels, of the public function, both passes, and of peers; the floors at `speed` GB/s."""
    row: dict[str, Any] = {"op": op.op, "shape": list(op.shape), "dtype": str(op.dtype).removeprefix("torch.")}
    try:
        calls = op.make(op.shape, op.dtype, "cuda")
        row |= {"forward_ms": replayed_ms(calls.forward), "backward_ms": replayed_ms(calls.backward)}
        row |= {"forward_floor_ms": floor_ms(calls.forward_bytes, speed)}
        row |= {"backward_floor_ms": floor_ms(calls.backward_bytes, speed), "eager_ms": eager_ms(calls.both)}
    except RuntimeError as error:
        return row | {"status": f"failed: {str(error).splitlines()[0][:200]}"}
    row["peers"] = {name: _peer(make) for name, make in calls.peers.items()}
    return row


def floor_ms(num_bytes: int, gb_per_s: float) -> float:
    return num_bytes / gb_per_s / 1e6


def copy_gb_per_s() -> float:
    """Bytes read and written by a copy of 1 GiB on the device."""
    x, y = (torch.empty(COPIED, device="cuda") for _ in range(2))
    return 2 * x.nbytes / eager_ms(lambda: y.copy_(x)) / 1e6


def eager_ms(call: Call) -> float:
    """Median time of a call as a caller waits for it."""
    from triton.testing import do_bench

    return float(do_bench(call, warmup=8, rep=40, return_mode="median"))


def replayed_ms(call: Call) -> float:
    """Median time of a call's kernels alone: the call is captured in a CUDA graph, and the graph replayed."""
    from triton.testing import do_bench_cudagraph

    return float(do_bench_cudagraph(call, rep=15, return_mode="median"))


def _peer(make: Callable[[], dict[str, Call]]) -> dict[str, float | str]:
    try:
        return {f"{name}_ms": (eager_ms if name == "eager" else replayed_ms)(call) for name, call in make().items()}
    except ImportError as error:
        return {"status": f"not here: {error}"}
    except Exception as error:  # another project's code, which must not cost our rows
        return {"status": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"}


def _gradients(function: Callable[..., Any], inputs: tuple[Tensor, ...], upstream: Tensor) -> Call:
    leaves = tuple(x.detach().requires_grad_() for x in inputs)

    def both() -> object:
        y = function(*leaves)
        return torch.autograd.grad(y[0] if isinstance(y, tuple) else y, leaves, upstream)

    return both


def _linear(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> Calls:
    B, _, N = shape
    a = torch.rand(shape, device=device).to(dtype)
    b, dh = (torch.randn(shape, device=device).to(dtype) for _ in range(2))
    h0 = torch.zeros(B, N, device=device, dtype=accumulation_dtype(dtype))
    forward, backward = (implementation("linear_scan", name, device) for name in ("forward", "backward"))
    h = forward(a, b, h0)
    return Calls(
        forward=lambda: forward(a, b, h0), backward=lambda: backward(a, h, h0, dh),
        both=_gradients(linear_scan, (a, b), dh), forward_bytes=3 * b.nbytes, backward_bytes=5 * b.nbytes,
        peers={
            "accelerated-scan": lambda: peers.accelerated_scan(a, b, dh),
            "fla hgrn": lambda: peers.fla_hgrn(a, b),
        },
    )  # fmt: skip


def _linear_constant(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> Calls:
    B, _, N = shape
    a = torch.polar(torch.rand(N, device=device), torch.rand(N, device=device)).to(dtype)
    b, dh = (torch.randn(shape, device=device, dtype=dtype) for _ in range(2))
    h0 = torch.zeros(B, N, device=device, dtype=dtype)
    forward, backward = (implementation("linear_scan", name, device) for name in ("forward", "backward"))
    h = forward(a, b, h0)
    return Calls(
        forward=lambda: forward(a, b, h0), backward=lambda: backward(a, h, h0, dh),
        both=_gradients(linear_scan, (a, b), dh), forward_bytes=2 * b.nbytes, backward_bytes=3 * b.nbytes, peers={},
    )  # fmt: skip


def _bmru(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> Calls:
    B, _, N = shape
    c, dh = (torch.randn(shape, device=device).to(dtype) for _ in range(2))
    beta = (2 + torch.rand(shape, device=device)).to(dtype)
    alpha, h0 = torch.ones(N, device=device), torch.zeros(B, N, device=device)
    forward, backward = (implementation("bmru_scan", name, device) for name in ("forward", "backward"))
    h = forward(c, beta, alpha, h0, 0.0)
    return Calls(
        forward=lambda: forward(c, beta, alpha, h0, 0.0), backward=lambda: backward(c, beta, alpha, h, h0, dh, 0.0),
        both=_gradients(bmru_scan, (c, beta, alpha), dh), forward_bytes=3 * c.nbytes, backward_bytes=6 * c.nbytes,
        peers={},
    )  # fmt: skip


def _selective(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> Calls:
    B, L, D, N = shape
    u, z, dy = (torch.randn(B, L, D, device=device).to(dtype) for _ in range(3))
    delta = (0.5 * torch.randn(B, L, D, device=device)).to(dtype)
    in_, out = (torch.randn(B, L, N, device=device).to(dtype) for _ in range(2))
    A, skip, bias = -torch.rand(D, N, device=device) - 0.5, torch.ones(D, device=device), torch.zeros(D, device=device)
    h0 = torch.zeros(B, D, N, device=device)
    forward, backward = (implementation("selective_scan", name, device) for name in ("forward", "backward"))
    starts = forward(u, delta, A, in_, out, skip, z, bias, h0, True, False)[2]
    inputs = (u, delta, A, in_, out, skip, z, bias)
    return Calls(
        forward=lambda: forward(*inputs, h0, True, False),
        backward=lambda: backward(*inputs, starts, dy, h0, True, False),
        both=_gradients(partial(selective_scan, delta_softplus=True), inputs, dy),
        forward_bytes=4 * u.nbytes + 2 * in_.nbytes, backward_bytes=8 * u.nbytes + 4 * in_.nbytes,
        peers={"mamba-ssm": lambda: peers.mamba_ssm(inputs, dy)},
    )  # fmt: skip
