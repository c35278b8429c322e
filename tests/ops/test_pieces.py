"""A sequence in pieces that hand on their state is the sequence in one call: outputs and gradients."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.op_cases import TOLERANCE, OpCase, assert_close, op_cases, outputs_and_gradients
from torch import Tensor

DOUBLES = op_cases({torch.float64, torch.complex128})


def in_pieces(op_case: OpCase, bounds: list[int], **arguments: object) -> tuple[Tensor, ...]:
    """What op_case.fused returns, from one call per piece between consecutive bounds."""
    state, outputs, last = arguments.pop("h0", None), [], ()
    for start, stop in itertools.pairwise(bounds):
        piece = {k: x[:, start:stop] if isinstance(x, Tensor) and x.dim() == 3 else x for k, x in arguments.items()}
        output = op_case.fused(**piece, h0=state)
        y, state = output if isinstance(output, tuple) else (output, output[:, -1])
        outputs.append(y)
        last = (state,) if isinstance(output, tuple) else ()
    return torch.cat(outputs, dim=1), *last


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    op_case=st.sampled_from(DOUBLES),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 40), st.integers(1, 20)),
    cuts=st.sets(st.integers(1, 39), max_size=4),
    seed=st.integers(0, 99),
)
def test_any_split_gives_the_same(op_case: OpCase, shape: tuple[int, int, int], cuts: set[int], seed: int) -> None:
    length = shape[1]
    bounds = [0, *sorted(cut for cut in cuts if cut < length), length]
    arguments = op_case.inputs(*shape, seed=seed)
    whole = outputs_and_gradients(op_case.fused, arguments)
    pieces = outputs_and_gradients(lambda **x: in_pieces(op_case, bounds, **x), arguments)
    assert_close(pieces, whole, TOLERANCE[op_case.dtype])
