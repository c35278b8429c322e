"""The parts of a model around its mixers: blocks of mixer and MLP, their costs, and the head for pairs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import relu, silu

from lra_mru.mixers.base import Mixer


class MLP(nn.Module):
    """Position-wise SwiGLU, W_down (silu(W_gate x) * W_up x); Shazeer, arXiv 2002.05202. (B, L, D) -> (B, L, D)"""

    def __init__(self, d_model: int, d_hidden: int) -> None:
        super().__init__()
        self.to_gate_up = nn.Linear(d_model, 2 * d_hidden, bias=False)
        self.to_output = nn.Linear(d_hidden, d_model, bias=False)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        gate, up = self.to_gate_up(x).chunk(2, dim=-1)
        return self.to_output(silu(gate) * up)


class Block(nn.Module):
    """Pre-norm residual block: mix over time, then over channels; mlp=None leaves the second part out."""

    def __init__(self, *, mixer: Mixer, mlp: MLP | None, make_norm: Callable[[], nn.Module], dropout: float) -> None:
        super().__init__()
        self.mixer_norm, self.mixer = make_norm(), mixer
        self.mlp_norm, self.mlp = (None if mlp is None else make_norm()), mlp
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None, state: Any = None
    ) -> tuple[Float[Tensor, "B L D"], Any]:
        """(B, L, D) -> (B, L, D), and the mixer's state after each row's last real step."""
        mixed, state = self.mixer(self.mixer_norm(x), lengths, state)
        x = x + self.dropout(mixed)
        if self.mlp is not None and self.mlp_norm is not None:
            x = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return x, state


def taken_costs(module: nn.Module) -> list[Tensor]:
    """What mixers in it, also those inside others, ask to be added to the loss; they forget it."""
    return [cost for m in module.modules() if isinstance(m, Mixer) and (cost := m.auxiliary_loss()) is not None]


def checkpoint_contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For a block's forward pass, and for computing it again: what it then asks for was added to the loss before."""

    @contextmanager
    def again() -> Iterator[None]:
        try:
            yield
        finally:  # left by an exception of torch's once nothing more is needed
            taken_costs(block)

    return nullcontext(), again()


class PairHead(nn.Module):
    """Two towers that share all weights meet here: W_2 relu(W_1 [u, v, u - v, u * v]). (2B, D) -> (B, C)

    u and v are rows 2i and 2i + 1. Source: the retrieval ("nli") head of S4 and Nystromformer.
    """

    def __init__(self, d_model: int, num_classes: int) -> None:
        super().__init__()
        self.to_hidden = nn.Linear(4 * d_model, d_model)
        self.to_output = nn.Linear(d_model, num_classes)

    def forward(self, x: Float[Tensor, "two_B D"]) -> Float[Tensor, "B C"]:
        u, v = x[0::2], x[1::2]
        return self.to_output(relu(self.to_hidden(torch.cat((u, v, u - v, u * v), dim=-1))))


def make_mlp(mixer: Mixer, d_model: int, block_params: float | None) -> MLP | None:
    """The MLP that brings a block of this mixer to block_params * d_model^2 parameters, norms left out; None for None.

    Raises: ValueError if the mixer alone has as many
    """
    if block_params is None:
        return None
    num_mixer = sum(p.numel() for p in mixer.parameters())
    d_hidden = round((block_params * d_model**2 - num_mixer) / (3 * d_model))
    if d_hidden < 1:
        raise ValueError(
            f"block_params={block_params} leaves no MLP: the mixer alone has {num_mixer / d_model**2:.1f} d_model^2 "
            f"parameters at d_model={d_model}; raise it for every model you compare, or say null for mixers alone"
        )
    return MLP(d_model, d_hidden)
