"""CPU: each op against what it should be compared with, as a ratio measured in one interleaved run.

A row says "ours / theirs" where lower is better and the bar is a ceiling: the fused scan against torch additions that
move the same bytes (and, as the scan does, allocate their outputs), or "theirs / ours" where the bar is a floor.

Threads that wait sleep (OMP_WAIT_POLICY=PASSIVE, as in train.py), which costs torch.nn.GRU dearly: it waits at every
step. OMP_WAIT_POLICY=ACTIVE in the environment gives the GRU its best case, and the scans their worst.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from lra_mru.bench.timing import allocate, interleaved
from lra_mru.mixers.bmru import BMRU
from lra_mru.mixers.nfsm import NFSM
from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan
from lra_mru.ops.selective_scan import selective_scan
from lra_mru.ops.selective_scan.reference import selective_scan as selective_scan_loop
from lra_mru.ops.table_scan import table_scan

ROUNDS = 31


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One line of the report. ratio is ours / theirs for at_most, theirs / ours for at_least."""

    name: str
    shape: tuple[int, ...]
    ours_ms: float
    theirs: str
    theirs_ms: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours_ms / self.theirs_ms if self.at_most is not None else self.theirs_ms / self.ours_ms

    @property
    def holds(self) -> bool:
        return self.ratio <= self.at_most if self.at_most is not None else self.ratio >= (self.at_least or 0.0)

    def line(self) -> str:
        bar = f"<= {self.at_most}" if self.at_most is not None else f">= {self.at_least}"
        return (
            f"{self.name:<42} {self.shape!s:<18} {self.ours_ms:9.2f} ms   {self.theirs:<34} {self.theirs_ms:9.2f} ms"
            f"   ratio {self.ratio:6.2f}  bar {bar:<8} {'holds' if self.holds else 'MISSED'}"
        )


def compare(
    name: str,
    shape: tuple[int, ...],
    ours: Callable[[], object],
    theirs_name: str,
    theirs: Callable[[], object],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    rounds: int = ROUNDS,
) -> Comparison:
    seconds = interleaved({"ours": ours, "theirs": theirs}, rounds=rounds)
    ours_ms, theirs_ms = 1e3 * seconds["ours"], 1e3 * seconds["theirs"]
    return Comparison(
        name=name, shape=shape, ours_ms=ours_ms, theirs=theirs_name, theirs_ms=theirs_ms,
        at_most=at_most, at_least=at_least,
    )  # fmt: skip


def linear_forward(shape: tuple[int, int, int]) -> Comparison:
    a, b = torch.rand(shape), torch.randn(shape)
    return compare("linear_scan forward", shape, lambda: linear_scan(a, b), "torch.add", lambda: a + b, at_most=1.15)


def linear_both(shape: tuple[int, int, int]) -> Comparison:
    """Forward reads 2 and writes 1, backward reads a, h, dh and writes da, db: 8 times the bytes of one tensor."""
    a, b, dh = torch.rand(shape).requires_grad_(), torch.randn(shape).requires_grad_(), torch.randn(shape)
    x, y = a.detach(), b.detach()
    return compare(
        "linear_scan forward + backward", shape,
        lambda: torch.autograd.grad(linear_scan(a, b), (a, b), dh),
        "additions, 8 tensors moved", lambda: (x + y, x + y, x + 1.0), at_most=1.5,
    )  # fmt: skip


def bmru_both(shape: tuple[int, int, int]) -> Comparison:
    """Forward reads 2 and writes 1, backward reads c, beta, h, dh and writes dc, dbeta: 9 times one tensor."""
    c, beta, alpha, dh = bmru_inputs(shape)
    x, y = c.detach(), beta.detach()
    return compare(
        "bmru_scan forward + backward", shape,
        lambda: torch.autograd.grad(bmru_scan(c, beta, alpha), (c, beta, alpha), dh),
        "additions, 9 tensors moved", lambda: (x + y, x + y, x + y), at_most=2.5,
    )  # fmt: skip


def bmru_inputs(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    c, beta = torch.randn(shape).requires_grad_(), (3 * torch.rand(shape)).requires_grad_()
    return c, beta, torch.ones(shape[2]).requires_grad_(), torch.randn(shape)


def composed_bmru(c: Tensor, beta: Tensor, alpha: Tensor) -> Tensor:
    """The same cell from torch ops and linear_scan, its step and sign softened to the surrogates' own functions."""
    z_soft, sign_soft = (
        0.5 + torch.atan(torch.pi * (c.abs() - beta)) / torch.pi,
        2 * torch.atan(torch.pi * c) / torch.pi,
    )
    z = z_soft + ((c.abs() > beta).to(c.dtype) - z_soft).detach()
    sign = sign_soft + (c.sign() - sign_soft).detach()
    return linear_scan(1 - z, z * sign * alpha)


def bmru_against_composed(shape: tuple[int, int, int]) -> Comparison:
    c, beta, alpha, dh = bmru_inputs(shape)
    return compare(
        "bmru_scan forward + backward", shape,
        lambda: torch.autograd.grad(bmru_scan(c, beta, alpha), (c, beta, alpha), dh),
        "composed of torch ops, linear_scan",
        lambda: torch.autograd.grad(composed_bmru(c, beta, alpha), (c, beta, alpha), dh), at_least=2.0, rounds=5,
    )  # fmt: skip


def selective_against_loop(backward: bool) -> Comparison:
    shape, states = (8, 1024, 256), 16
    u, delta = torch.randn(shape), 0.1 * torch.rand(shape)
    A, B, C = -torch.rand(shape[2], states) - 0.5, torch.randn(8, 1024, states), torch.randn(8, 1024, states)
    inputs = [x.requires_grad_(backward) for x in (u, delta, A, B, C)]

    def run(op: Callable[..., tuple[Tensor, Tensor]]) -> None:
        y, _ = op(*inputs)
        if backward:
            torch.autograd.grad(y.sum(), inputs)

    name = "selective_scan forward" + (" + backward" if backward else "")
    loop = selective_scan_loop
    return compare(name, shape, lambda: run(selective_scan), "loop in torch", lambda: run(loop), at_least=4.0, rounds=1)


def bmru_mixer(width: int, length: int) -> BMRU:
    return BMRU(
        d_model=width, train_length=length, expand=1.0, min_openings_per_sequence=0.02, max_openings_per_step=0.5,
        share_slowest=0.5, alpha=1.0, carry_grad=0.0, learned_start=False,
    )  # fmt: skip


def mixer_against_gru(shape: tuple[int, int, int], at_least: float) -> Comparison:
    _, length, width = shape
    mixer = bmru_mixer(width, length)
    gru = nn.GRU(width, width, batch_first=True)
    x, dy = torch.randn(shape).requires_grad_(), torch.randn(shape)

    def both(module: nn.Module) -> None:
        module.zero_grad()
        module(x)[0].backward(dy)

    return compare(
        "BMRU mixer forward + backward", shape, lambda: both(mixer), "torch.nn.GRU", lambda: both(gru),
        at_least=at_least, rounds=3,
    )  # fmt: skip


def table_forward(shape: tuple[int, int, int], num_states: int) -> Comparison:
    logits = torch.randn(shape)
    return compare(
        "table_scan forward", shape, lambda: table_scan(logits, num_states, 0.5),
        "reading the logits once", logits.sum, at_most=1.5,
    )  # fmt: skip


def nfsm_against_bmru(shape: tuple[int, int, int]) -> Comparison:
    """In training: an nfsm draws noise for every entry of its tables."""
    _, length, width = shape
    nfsm = NFSM(
        d_model=width, train_length=length, expand=1.0, num_states=4, temperature=0.5, table_std=1.0, spread_cost=0.03
    )
    bmru, x, dy = bmru_mixer(width, length), torch.randn(shape).requires_grad_(), torch.randn(shape)

    def both(mixer: nn.Module) -> None:
        mixer.zero_grad()
        mixer(x)[0].backward(dy)

    return compare(
        "NFSM mixer forward + backward", shape, lambda: both(nfsm), "BMRU mixer", lambda: both(bmru), at_least=0.5
    )


def run() -> list[Comparison]:
    """Every comparison, printed as it comes. What moves memory is measured on fresh and on reused memory."""
    torch.manual_seed(0)
    comparisons = []

    def show(comparison: Comparison) -> None:
        print(comparison.line(), flush=True)
        comparisons.append(comparison)

    memories: tuple[Literal["reused", "fresh"], ...] = (
        "fresh",
        "reused",
    )  # in this order: a heap that has grown is reused
    for memory in memories:
        allocate(memory)
        print(f"outputs in {memory} memory")
        for shape in ((32, 1024, 128), (8, 16384, 128)):
            show(linear_forward(shape))
            show(linear_both(shape))
            show(bmru_both(shape))
    show(bmru_against_composed((32, 1024, 128)))
    show(selective_against_loop(backward=False))
    show(selective_against_loop(backward=True))
    show(mixer_against_gru((32, 1024, 128), at_least=2.5))
    show(mixer_against_gru((8, 4096, 128), at_least=5.0))
    show(table_forward((32, 1024, 256), num_states=4))
    show(nfsm_against_bmru((32, 1024, 64)))
    return comparisons
