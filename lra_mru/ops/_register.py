"""How an op becomes known to torch: its two schemas, and one table of the functions that run them on each device.

`cpu.py` and `gpu.py` of an op's folder each have `forward` and `backward`, which take exactly the arguments of the
schemas, in their order and under their names. They are imported at the first call: numba takes a second, and Triton may
be missing.
"""

import importlib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch._ops import OpOverload

MODULES = {"cpu": "cpu", "cuda": "gpu"}  # by torch's name of the device
PASSES = {"forward": "", "backward": "_backward"}  # what is added to the op's name


def define(op: str, *, forward: str, backward: str) -> tuple[OpOverload, OpOverload]:
    """Define lra_mru::<op> and lra_mru::<op>_backward with these schemas, and register both on every device.

    Returns: the two as functions
    """
    for name, schema in (("forward", forward), ("backward", backward)):
        torch.library.define(f"lra_mru::{op}{PASSES[name]}", schema)
        for device in MODULES:
            torch.library.impl(f"lra_mru::{op}{PASSES[name]}", device)(_runner(op, name, device))
    return overload(op, "forward"), overload(op, "backward")


def overload(op: str, name: str) -> OpOverload:
    """The forward or backward pass of an op, as torch holds it."""
    found: OpOverload = getattr(torch.ops.lra_mru, op + PASSES[name]).default
    return found


@cache
def implementation(op: str, name: str, device: str) -> Callable[..., Any]:
    """The function that runs this pass on this device.

    Raises:  TypeError if its arguments are not those of the schema
    """
    module = importlib.import_module(f"lra_mru.ops.{op}.{MODULES[device]}")
    function: Callable[..., Any] = getattr(module, name)
    takes = list(inspect.signature(function).parameters)
    gets = [argument.name for argument in overload(op, name)._schema.arguments]
    if takes != gets:
        raise TypeError(f"{module.__name__}.{name} takes ({', '.join(takes)}), its schema passes ({', '.join(gets)})")
    return function


def _runner(op: str, name: str, device: str) -> Callable[..., Any]:
    return lambda *arguments: implementation(op, name, device)(*arguments)
