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

MODULES = {"cpu": "cpu", "cuda": "gpu"}  # of an op's folder, by torch's name of the device
PASSES = {"forward": "", "backward": "_backward"}  # what is added to the op's name
LIBRARY = torch.library.Library("lra_mru", "FRAGMENT")
_checks: dict[str, Callable[..., None]] = {}  # by the name of op and pass


def define(op: str, *, forward: str, backward: str) -> tuple[OpOverload, OpOverload]:
    """Define lra_mru::<op> and lra_mru::<op>_backward with these schemas, and register both on every device.

    Returns: the two as functions. Each still needs checks, fake results and derivatives:
             register_check and register_fake below, _derivatives.register
    """
    for name, schema in (("forward", forward), ("backward", backward)):
        LIBRARY.define(op + PASSES[name] + schema)
        for device in MODULES:
            LIBRARY.impl(op + PASSES[name], _runner(op, name, device), torch._C._dispatch_key_for_device(device))
    return overload(op, "forward"), overload(op, "backward")


def overload(op: str, name: str) -> OpOverload:
    """The forward or backward pass of an op, as torch holds it."""
    found: OpOverload = getattr(torch.ops.lra_mru, op + PASSES[name]).default
    return found


def register_check(function: OpOverload) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: a function that raises if the arguments would make a kernel read or write where it must not.

    It runs before every kernel on every device, and before the fake results.
    """

    def register(check: Callable[..., None]) -> Callable[..., None]:
        _checks[function._opname] = check
        return check

    return register


def register_fake(function: OpOverload) -> Callable[[Callable[..., Any]], None]:
    """Decorator: a function that gives results without data, of the shapes, dtypes and strides of real ones."""

    def register(fake: Callable[..., Any]) -> None:
        def checked(*arguments: Any) -> Any:
            _checks[function._opname](*arguments)
            return fake(*arguments)

        torch.library.register_fake(function, checked, lib=LIBRARY)

    return register


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
    """What torch calls for this pass on this device."""

    def run(*arguments: Any) -> Any:
        function = implementation(op, name, device)
        _checks[op + PASSES[name]](*arguments)
        return function(*arguments)

    return run
