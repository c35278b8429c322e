"""The norms of a step's gradients: clipped by them, and told when a loss is no number. The host reads none of them
before a run is saved."""

import math
from collections import deque

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer

from lra_mru.engine.training.late import MOST_BEHIND


class Gradients:
    """The gradient norms of the last few steps, per parameter, as tensors that stay on their device."""

    def __init__(self) -> None:
        self._norms: deque[tuple[int, list[str], Tensor]] = deque(maxlen=MOST_BEHIND + 2)  # step, groups, norms

    def clip(self, optimizer: Optimizer, *, step: int, max_norm: float | None) -> None:
        """Scales all gradients so that their joint norm is at most max_norm; None leaves them as they are.

        The numbers of torch.nn.utils.clip_grad_norm_, which computes the same norms and forgets them.
        """
        found = [(group["name"], p) for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not found:
            return
        parameters = [p for _, p in found]
        norms = torch.stack(torch._foreach_norm([p.grad for p in parameters if p.grad is not None]))
        self.put(step, [name for name, _ in found], norms)
        if max_norm is not None and max_norm > 0:
            clip_grads_with_norm_(parameters, max_norm, torch.linalg.vector_norm(norms))

    def put(self, step: int, names: list[str], norms: Tensor) -> None:
        """Keeps the norms of a step's gradients: of each the group's name, and norms (len(names),)."""
        self._norms.append((step, names, norms))

    def newest_bad(self) -> int | None:
        """The newest step, if one of its norms is not finite; else None. Waits for the device."""
        if not self._norms or bool(self._norms[-1][2].isfinite().all()):
            return None
        return self._norms[-1][0]

    def largest_before(self, step: int) -> str:
        """The parameter group with the largest norm in the last step before this one; no number is the largest."""
        before = [(names, norms) for past, names, norms in self._norms if past < step]
        if not before:
            return "none yet"
        names, norms = before[-1]
        squares: dict[str, float] = {}
        for name, norm in zip(names, norms.tolist(), strict=True):
            squares[name] = squares.get(name, 0.0) + norm * norm
        largest = max(squares, key=lambda name: math.inf if math.isnan(squares[name]) else squares[name])
        return f"group {largest} with norm {math.sqrt(squares[largest]):.3g}"
