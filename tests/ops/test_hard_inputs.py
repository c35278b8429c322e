"""Long sequences, values at the edge, and whatever a caller may hand in by mistake."""

import pytest
import torch

from lra_mru.ops.bmru_scan import bmru_scan
from lra_mru.ops.linear_scan import linear_scan
from lra_mru.ops.selective_scan import selective_scan


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)], ids=str
)
@pytest.mark.parametrize("constant", [False, True])
def test_hardly_any_decay_over_100_000_steps(dtype: torch.dtype, tolerance: float, constant: bool) -> None:
    """|a| = 1 - 1e-6, against float64 fed with the same numbers; 16 bits cannot hold such an a per step."""
    torch.manual_seed(0)
    length, a = 100_000, torch.tensor(1 - 1e-6)
    decay = a.repeat(3) if constant else a.to(dtype).repeat(1, length, 3)
    b = torch.randn(1, length, 3).to(dtype)
    h = linear_scan(decay, b)
    expected = linear_scan(decay.double(), b.double())
    error = (h.double() - expected).norm() / expected.norm()
    assert error < tolerance


def test_bmru_holds_for_a_million_steps() -> None:
    length, alpha = 1_000_000, torch.tensor([1 / 3, 0.7])
    c, beta = torch.full((1, length, 2), 0.999), torch.ones(1, length, 2)
    c[0, 0] = torch.tensor([1.5, -1.5])
    h = bmru_scan(c, beta, alpha)
    assert torch.equal(h[0], (alpha * torch.tensor([1.0, -1.0])).expand(length, 2))


@pytest.mark.parametrize("where", ["c", "beta"])
def test_nan_spreads_until_the_next_gate_opens(where: str) -> None:
    c, beta = torch.zeros(1, 6, 1), torch.ones(1, 6, 1)
    c[0, 0], c[0, 4] = 2.0, -2.0
    {"c": c, "beta": beta}[where][0, 2] = float("nan")
    h = bmru_scan(c, beta, torch.ones(1)).flatten()
    assert h[:2].tolist() == [1, 1]
    assert h[2:4].isnan().all()
    assert h[4:].tolist() == [-1, -1]


def test_nan_reaches_the_gradients() -> None:
    c, beta, alpha = torch.randn(1, 9, 2), torch.rand(1, 9, 2), torch.ones(2)
    beta[0, 5, 0] = float("nan")
    gradients = torch.autograd.grad(bmru_scan(c.requires_grad_(), beta, alpha.requires_grad_()).sum(), (c, alpha))
    assert gradients[0][0, 5, 0].isnan()
    assert gradients[1].isnan().tolist() == [True, False]
    a, b = torch.rand(1, 9, 2), torch.randn(1, 9, 2)
    b[0, 3, 1] = float("nan")
    assert linear_scan(a, b)[0].isnan().sum(0).tolist() == [0, 6]


def test_nan_in_delta_stays_in_its_channel_of_selective_scan() -> None:
    arguments = {"u": torch.ones(1, 6, 2), "delta": torch.ones(1, 6, 2), "A": -torch.ones(2, 3)}
    arguments |= {"B": torch.ones(1, 6, 3), "C": torch.ones(1, 6, 3)}
    arguments["delta"][0, 2, 1] = float("nan")
    y, h = selective_scan(**arguments)
    assert y[0].isnan().sum(0).tolist() == [0, 4]
    assert h[0].isnan().all(-1).tolist() == [False, True]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sixteen_bits_round_as_torch_does(dtype: torch.dtype) -> None:
    """From float32: subnormal numbers, those halfway between two others, and those beyond the largest."""
    edges = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 3.39e38, 65504.0, 65519.996, 65520.0, 2.0**-24]
    halfway = [2.0**-25, 1.001 * 2.0**-25, 3 * 2.0**-25, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8]
    sizes = torch.randn(8192) * 10 ** torch.linspace(-9, 5, 8192)
    values = torch.cat([torch.randn(4096), sizes, torch.tensor(edges + halfway), -torch.tensor(halfway)])
    ones, start = torch.ones(1, 1, len(values), dtype=dtype), values[None]
    h = linear_scan(ones, -torch.zeros_like(ones), start)
    assert torch.equal(h[0, 0].nan_to_num(7.0), values.to(dtype).nan_to_num(7.0))


def test_every_float16_is_read_as_torch_reads_it() -> None:
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.float16)
    h = linear_scan(every[None, None], torch.zeros(1, 1, 2**16).half(), torch.ones(1, 2**16))
    assert torch.equal(h[0, 0].nan_to_num(7.0), every.nan_to_num(7.0))


SEQUENCE, LONGER, ROW = torch.zeros(1, 4, 3), torch.zeros(1, 5, 3), torch.zeros(3)
LINEAR, BMRU = {"a": ROW, "b": SEQUENCE}, {"c": SEQUENCE, "beta": SEQUENCE, "alpha": ROW}
STATES = torch.zeros(1, 4, 2)
SELECTIVE = {"u": SEQUENCE, "delta": SEQUENCE, "A": torch.zeros(3, 2), "B": STATES, "C": STATES}
BAD = [
    (linear_scan, LINEAR | {"a": LONGER}, ValueError, r"a has shape \(1, 5, 3\), expected \(1, 4, 3\)"),
    (linear_scan, LINEAR | {"a": ROW[:2]}, ValueError, r"a has shape \(2,\), expected \(3,\)"),
    (linear_scan, LINEAR | {"b": SEQUENCE[:, :0]}, ValueError, "b has length 0"),
    (linear_scan, LINEAR | {"b": SEQUENCE[0]}, ValueError, "b has shape .* expected 3 dimensions"),
    (linear_scan, LINEAR | {"b": SEQUENCE.long()}, TypeError, "b has dtype torch.int64"),
    (linear_scan, LINEAR | {"a": ROW.double()}, TypeError, "a has dtype torch.float64, expected torch.float32"),
    (linear_scan, LINEAR | {"a": SEQUENCE.cfloat()}, TypeError, "a has dtype torch.complex64, expected torch.float32"),
    (linear_scan, LINEAR | {"a": ROW.to("meta")}, ValueError, "a is on meta, expected cpu"),
    (linear_scan, LINEAR | {"h0": ROW}, ValueError, "h0 has shape"),
    (bmru_scan, BMRU | {"beta": LONGER}, ValueError, "beta has shape"),
    (
        bmru_scan,
        BMRU | {"beta": SEQUENCE.bfloat16()},
        TypeError,
        "beta has dtype torch.bfloat16, expected torch.float32",
    ),
    (bmru_scan, BMRU | {"alpha": ROW[:2]}, ValueError, r"alpha has shape \(2,\), expected \(3,\)"),
    (bmru_scan, BMRU | {"c": SEQUENCE[:, :0]}, ValueError, "c has length 0"),
    (bmru_scan, BMRU | {"c": SEQUENCE.cfloat()}, TypeError, "c has dtype torch.complex64, expected one of float16"),
    (bmru_scan, BMRU | {"h0": ROW}, ValueError, "h0 has shape"),
    (bmru_scan, BMRU | {"carry_grad": 1.5}, ValueError, r"carry_grad=1.5 must lie in \[0, 1\]"),
    (bmru_scan, BMRU | {"carry_grad": "all"}, TypeError, "carry_grad='all' must be a number"),
    (selective_scan, SELECTIVE | {"delta": LONGER}, ValueError, r"delta has shape \(1, 5, 3\), expected \(1, 4, 3\)"),
    (selective_scan, SELECTIVE | {"u": SEQUENCE[:, :0]}, ValueError, "u has length 0"),
    (selective_scan, SELECTIVE | {"u": SEQUENCE.int()}, TypeError, "u has dtype torch.int32"),
    (selective_scan, SELECTIVE | {"A": torch.zeros(2, 2)}, ValueError, r"A has shape \(2, 2\)"),
    (selective_scan, SELECTIVE | {"A": ROW}, ValueError, "A has shape"),
    (selective_scan, SELECTIVE | {"B": STATES[..., :1]}, ValueError, r"B has shape \(1, 4, 1\), expected \(1, 4, 2\)"),
    (selective_scan, SELECTIVE | {"z": SEQUENCE.bfloat16()}, TypeError, "z has dtype torch.bfloat16"),
    (selective_scan, SELECTIVE | {"C": STATES.to("meta")}, ValueError, "C is on meta, expected cpu"),
    (selective_scan, SELECTIVE | {"h0": ROW}, ValueError, "h0 has shape"),
    *((linear_scan, LINEAR | {k: SEQUENCE.numpy()}, TypeError, f"{k} is a numpy.ndarray") for k in ("a", "b", "h0")),
    *((bmru_scan, BMRU | {k: SEQUENCE.numpy()}, TypeError, f"{k} is a numpy.ndarray") for k in (*BMRU, "h0")),
    *((selective_scan, SELECTIVE | {k: 1.0}, TypeError, f"{k} is a builtins.float") for k in (*SELECTIVE, "D", "h0")),
    *((linear_scan, LINEAR | {k: None}, TypeError, f"{k} is None, expected a torch.Tensor") for k in LINEAR),
    *((bmru_scan, BMRU | {k: None}, TypeError, f"{k} is None, expected a torch.Tensor") for k in BMRU),
    *((selective_scan, SELECTIVE | {k: None}, TypeError, f"{k} is None, expected a torch.Tensor") for k in SELECTIVE),
]


@pytest.mark.parametrize(("op", "arguments", "error", "message"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_bad_input_gets_one_line(op, arguments, error, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message) as caught:
        op(**arguments)
    assert "\n" not in str(caught.value)
