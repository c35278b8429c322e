"""Vectors of token ids, whose gradient is added up in a fixed order on a GPU too."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding

MOST_IDS = 512  # a matrix product of B L x V x D: beyond this, torch's own sum over sorted ids costs less


class Embedding(nn.Embedding):
    """torch.nn.Embedding, whose weights' gradient on a GPU is one matrix product.

        y[t]  = W[x[t]]
        dW[v] = sum over t of [x[t] = v] dy[t]

    Shapes:  x (B, L) int64 -> y (B, L, D); W (V, D)
    Cost:    backward B L V D products on a GPU where V <= MOST_IDS, else as torch.nn.Embedding: the tasks here have
             3 to 256 ids, of which each stands in hundreds of places, and torch's own kernel adds those one by one
    """

    def forward(self, x: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        if x.device.type == "cuda" and self.num_embeddings <= MOST_IDS:
            return _Lookup.apply(self.weight, x)
        return embedding(x, self.weight)


class _Lookup(torch.autograd.Function):
    """W[x], with a matrix product as its backward, made of operations that can be differentiated again."""

    @staticmethod
    def forward(weight: Tensor, x: Tensor) -> Tensor:
        return embedding(x, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        weight, x = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        ctx.num_ids = weight.shape[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        (dy,) = gradients
        ids = torch.arange(ctx.num_ids, device=x.device)
        with torch.autocast(dy.device.type, enabled=False):  # in the precision of the weights
            return (x.flatten() == ids[:, None]).to(dy.dtype) @ dy.flatten(0, -2), None  # (V, B L) (B L, D)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        (x,) = ctx.saved_tensors
        return None if tangents[0] is None else embedding(x, tangents[0])
