"""The ops as torch holds them, below the public functions: whatever they are handed, no kernel reads foreign memory."""

from collections.abc import Iterator

import pytest
import torch
from ops.op_cases import OPS, op_cases, outputs_and_gradients
from torch import Tensor

from lra_mru.ops import _register
from lra_mru.ops._register import PASSES, overload

CUDA = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
RawCall = tuple[torch._ops.OpOverload, list[object]]


def raw_calls(op: str, monkeypatch: pytest.MonkeyPatch) -> list[RawCall]:
    """What the public function hands to both passes, in each of the op's cases."""
    found: list[RawCall] = []
    for case in op_cases({torch.float32}):
        if case.op != op:
            continue
        case.fused  # noqa: B018  imports the op
        for name in PASSES:
            function = overload(op, name)
            check = _register._checks[function._opname]

            def noted(*arguments: object, function=function, check=check) -> None:  # type: ignore[no-untyped-def]
                found.append((function, [x.detach() if isinstance(x, Tensor) else x for x in arguments]))
                check(*arguments)

            monkeypatch.setitem(_register._checks, function._opname, noted)
        outputs_and_gradients(case.fused, case.inputs(2, 3, 4))
        monkeypatch.undo()
    assert {function for function, _ in found} == {overload(op, name) for name in PASSES}
    return found


def changed(calls: list[RawCall]) -> Iterator[tuple[str, RawCall]]:
    """Each call with one of its tensors too small, of another dtype, or elsewhere."""
    for function, arguments in calls:
        for i, x in enumerate(arguments):
            if not isinstance(x, Tensor):
                continue
            name = function._schema.arguments[i].name
            wrong = {"shape": x[..., :-1], "dims": x[None], "dtype": x.double(), "device": x.to("meta")}
            for what, replaced in (wrong | ({"rows": x[:-1]} if x.dim() > 1 else {})).items():
                yield (
                    f"{function._opname}: {what} of {name}",
                    (function, [*arguments[:i], replaced, *arguments[i + 1 :]]),
                )


@pytest.mark.parametrize("op", OPS)
def test_arguments_that_do_not_fit_are_refused_in_one_line(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = []
    for what, (function, arguments) in changed(raw_calls(op, monkeypatch)):
        on_cpu = all(x.device.type == "cpu" for x in arguments if isinstance(x, Tensor))
        for call in (function, lambda *x, f=function: f.redispatch(CUDA, *x)) if on_cpu else (function,):
            try:
                call(*arguments)
                accepted.append(what)
            except (ValueError, TypeError) as error:
                assert "\n" not in str(error)  # noqa: PT017
    assert accepted == []


def test_what_once_read_foreign_memory() -> None:
    with pytest.raises(ValueError, match=r"h0 has shape \(1, 3\), expected \(6, 3\)"):
        torch.ops.lra_mru.linear_scan(torch.ones(6, 2, 3), torch.zeros(6, 2, 3), torch.full((1, 3), 7.0))
