"""Kernels of other projects, where they are installed: each in its own best layout, which is not always ours.

An import that fails is a row that says so. None of them is a dependency.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Call = Callable[[], object]


def accelerated_scan(a: Tensor, b: Tensor, dh: Tensor) -> dict[str, Call]:
    """h = a h + b with time innermost, (B, N, L). Source: github.com/proger/accelerated-scan"""
    from accelerated_scan.warp import scan  # type: ignore[import-not-found]

    gates, tokens, upstream = (x.mT.contiguous() for x in (a, b, dh))
    leaves = gates.detach().requires_grad_(), tokens.detach().requires_grad_()
    return {
        "forward": lambda: scan(gates, tokens),
        "eager": lambda: torch.autograd.grad(scan(*leaves), leaves, upstream),
    }


def fla_hgrn(a: Tensor, b: Tensor) -> dict[str, Call]:
    """The recurrence of HGRN, h = exp(g) h + x, in our layout. Source: github.com/fla-org/flash-linear-attention"""
    from fla.ops.hgrn import chunk_hgrn  # type: ignore[import-not-found]

    log_gates = a.float().clamp_min(1e-6).log().to(a.dtype)
    return {"forward": lambda: chunk_hgrn(b, log_gates)}


def mamba_ssm(inputs: tuple[Tensor, ...], dy: Tensor) -> dict[str, Call]:
    """Mamba's own kernel, (B, D, L). Source: github.com/state-spaces/mamba"""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn  # type: ignore[import-not-found]

    u, delta, A, B, C, skip, z, bias = inputs
    turned = [x.mT.contiguous() for x in (u, delta, B, C, z)]
    leaves = [x.detach().requires_grad_() for x in turned]
    upstream = dy.mT.contiguous()

    def scan(u: Tensor, delta: Tensor, B: Tensor, C: Tensor, z: Tensor) -> Tensor:
        y: Tensor = selective_scan_fn(u, delta, A, B, C, skip, z=z, delta_bias=bias, delta_softplus=True)
        return y

    return {
        "forward": lambda: scan(*turned),
        "eager": lambda: torch.autograd.grad(scan(*leaves), leaves, upstream),
    }
