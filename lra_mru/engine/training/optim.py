"""AdamW over declared parameter groups, and the schedule that moves their rates."""

import math
from collections.abc import Mapping, Sequence

from torch import nn
from torch.nn import Parameter
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def named_groups(model: nn.Module) -> dict[str, list[tuple[str, Parameter]]]:
    """Every parameter of the model exactly once, by group.

    A module declares groups as `param_groups`: its own parameter's name -> group. What none declares falls into
    "decay" (matrices) or "no_decay" (vectors and scalars: norms, biases).
    """
    declared: dict[Parameter, str] = {}
    for module in model.modules():
        for name, group in getattr(module, "param_groups", {}).items():
            declared[module.get_parameter(name)] = group
    groups: dict[str, list[tuple[str, Parameter]]] = {}
    for name, parameter in model.named_parameters():
        group = declared.get(parameter) or ("decay" if parameter.ndim >= 2 else "no_decay")
        groups.setdefault(group, []).append((name, parameter))
    return groups


def names_of_groups(model: nn.Module) -> dict[str, list[str]]:
    return {group: [name for name, _ in members] for group, members in named_groups(model).items()}


def check_rates(lr: float, weight_decay: float) -> None:
    """Raises ValueError for a rate or decay out of range."""
    if lr <= 0 or weight_decay < 0:
        raise ValueError(f"optim.lr={lr} must be above 0 and optim.weight_decay={weight_decay} at least 0")


def make_optimizer(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    betas: Sequence[float],
    groups: Mapping[str, Mapping[str, float]],
    members: Mapping[str, Sequence[str]] | None = None,
    fused: bool = False,
) -> AdamW:
    """AdamW whose groups take their rate (lr * lr_factor) and decay from the config.

    members: names of each group's parameters, found while they had their shapes: FSDP leaves flat shards of them; None
             finds them now
    fused: one kernel for all parameters of a group, for GPUs; not under a float16 scaler, whose factor Lightning takes
           out of the gradients before they are clipped, and a fused step would take out again

    Raises: ValueError for a rate or decay out of range, or a group that a mixer declares and the config does not.
    """
    check_rates(lr, weight_decay)
    settings = {"decay": (1.0, weight_decay), "no_decay": (1.0, 0.0)}
    settings |= {name: (group["lr_factor"], group["weight_decay"]) for name, group in groups.items()}
    named = members or names_of_groups(model)
    if unknown := set(named) - set(settings):
        raise ValueError(f"parameter groups {sorted(unknown)} have no rate: add them under optim.groups")
    return AdamW(
        [
            {
                "name": group,
                "params": [model.get_parameter(name) for name in names],
                "lr": lr * settings[group][0],
                "weight_decay": settings[group][1],
            }
            for group, names in named.items()
        ],
        betas=(betas[0], betas[1]),
        fused=fused or None,  # None: torch's own choice
    )


def cosine_with_warmup(optimizer: AdamW, *, max_steps: int, warmup_fraction: float) -> LambdaLR:
    """Multiplies every group's rate: linear from 1 / warmup to 1, then half a cosine down to 0 at max_steps."""
    if not 0 <= warmup_fraction < 1:
        raise ValueError(f"optim.warmup_fraction={warmup_fraction} must be in [0, 1)")
    warmup_steps = max(1, round(warmup_fraction * max_steps))

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = (step - warmup_steps) / max(1, max_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)
