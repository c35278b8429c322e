"""How torch differentiates an op: reverse and forward mode, also nested, under torch.func and in compiled graphs.

torch.library.register_autograd knows no forward mode: it drops the tangents, and the derivative is silently zero. So we
register what it registers, an autograd function under the dispatch key "Autograd", with a formula for the tangents. It
is a single-level function: where torch.func has nested several levels, torch calls it once for each.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch._functorch.utils import enable_single_level_autograd_function
from torch._ops import OpOverload
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

from lra_mru.ops._register import LIBRARY

Formula = Callable[..., Any]


def register(function: OpOverload, *, save: Formula, backward: Formula, jvp: Formula) -> None:
    """Register the derivatives of an op.

    save:      save(ctx, inputs, output) keeps in ctx what the other two need, the tensors by keep(ctx, ...)
    backward:  backward(ctx, *gradients of the outputs) -> gradients of the inputs
    jvp:       jvp(ctx, *tangents of the inputs, None where there is none) -> tangents of the outputs
    """

    def forward(ctx: Any, *inputs: Any) -> Any:
        output = _without_derivative(function, inputs)
        save(ctx, inputs, output)
        return output

    def tangents(ctx: Any, *inputs: Any) -> Any:
        if not torch._C._are_functorch_transforms_active():
            return jvp(ctx, *inputs)
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return jvp(ctx, *inputs)

    members = {"forward": forward, "backward": backward, "jvp": tangents}
    name = "".join(word.capitalize() for word in function._opname.split("_"))
    node: Any = type(name, (_SingleLevelFunction,), {key: staticmethod(member) for key, member in members.items()})

    def run(*inputs: Any) -> Any:
        if torch._C._are_functorch_transforms_active():
            with enable_single_level_autograd_function():
                return node.apply(*inputs)
        if torch.is_grad_enabled() or forward_ad._current_level >= 0:
            return node.apply(*inputs)
        return _without_derivative(function, inputs)

    LIBRARY.impl(function, run, "Autograd")


def keep(ctx: Any, *tensors: torch.Tensor | None) -> None:
    """Keep tensors for ctx.saved_tensors, in backward and in jvp."""
    ctx.save_for_backward(*tensors)
    if forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active():
        ctx.save_for_forward(*tensors)


def kept(ctx: Any) -> tuple[torch.Tensor, ...]:
    """In jvp: what was kept, without the tangents of this level."""
    return tuple(forward_ad.unpack_dual(x, level=0).primal for x in ctx.saved_tensors)


def refuse(message: str) -> Formula:
    """A formula for a derivative that does not exist: it raises, where torch would go on with zeros."""

    def raise_it(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(message)

    return raise_it


def _without_derivative(function: OpOverload, inputs: tuple[Any, ...]) -> Any:
    """Call the op beyond this level of differentiation. Levels below it differentiate for themselves."""
    with torch._C._AutoDispatchBelowAutograd():
        if not torch._C._are_functorch_transforms_active():
            return function(*inputs)
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return function(*inputs)
