"""table_scan: its gradients from the printed equations, heads of every size, noise, states that are lost, bad input."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lra_mru.ops._cpu import threads as _cpu_threads
from lra_mru.ops.table_scan import table_scan
from lra_mru.ops.table_scan.reference import gumbel_noise
from lra_mru.ops.table_scan.reference import table_scan as loop

B, L, K = 2, 9, 3


def by_the_equations(logits: Any, n: int, nu: float, weight: Any) -> tuple[Any, Any, Any]:
    """States and gradients of sum(weight * h), as published, one head and one row at a time; theta (B, L, n, K, n)."""
    theta = logits.reshape(B, L, n, K, n)
    states, dtheta, dh0 = np.zeros((B, L + 1, K), int), np.zeros_like(theta), np.zeros((B, K, n))
    gbar = weight.reshape(B, L, K, n)
    for b in range(B):
        for k in range(K):
            tau = theta[b, :, :, k].argmax(1)  # (L, n): tau[t, j]
            for t in range(L):
                states[b, t + 1, k] = tau[t, states[b, t, k]]
            adjoint = np.zeros(n)
            for t in reversed(range(L)):
                adjoint = gbar[b, t, k] + adjoint
                j = states[b, t, k]
                sigma = np.exp(theta[b, t, :, k, j] / nu)
                sigma /= sigma.sum()
                dtheta[b, t, :, k, j] = sigma * (adjoint - sigma @ adjoint) / nu
                adjoint = adjoint[tau[t]]
            dh0[b, k] = adjoint
    return states[:, 1:], dtheta.reshape(logits.shape), dh0.reshape(B, -1)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 64])
@pytest.mark.parametrize("op", [table_scan, loop], ids=["fused", "reference"])
def test_states_and_gradients_are_those_of_the_equations(op: Any, n: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(B, L, n * K * n, dtype=torch.float64, requires_grad=True)
    h0 = torch.eye(n, dtype=torch.float64)[0].repeat(B, K).requires_grad_()
    weight = torch.randn(B, L, K * n, dtype=torch.float64)
    h = op(logits, n, 0.5, h0)
    found = torch.autograd.grad(h, (logits, h0), weight)
    states, dlogits, dh0 = by_the_equations(logits.detach().numpy(), n, 0.5, weight.numpy())
    assert np.array_equal(h.detach().unflatten(2, (K, n)).argmax(-1).numpy(), states)
    assert torch.equal(h.unique(), torch.tensor([0.0, 1.0], dtype=h.dtype))
    np.testing.assert_allclose(found[0].numpy(), dlogits, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[1].numpy(), dh0, rtol=0, atol=1e-12)
    assert torch.equal(op(logits, n, 0.5), h)  # without h0 every head starts in state 0


def test_a_head_on_its_own_is_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However heads are shared out over threads: 40 heads of one row, in three blocks, against one at a time."""
    monkeypatch.setattr(_cpu_threads, "MIN_ELEMENTS_PER_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    logits, keys = torch.randn(1, 50, 3 * 40 * 3), torch.zeros(1, 50, 1, dtype=torch.int64)
    theta = logits + gumbel_noise(keys, 360, torch.float32)
    h = table_scan(theta, 3, 0.5)
    torch.set_num_threads(before)
    each = [table_scan(x.flatten(2), 3, 0.5) for x in theta.unflatten(2, (3, 40, 3)).unbind(3)]
    assert torch.equal(torch.cat(each, dim=2), h)


def test_noise_is_gumbel_and_follows_its_key() -> None:
    keys = torch.arange(1000)[None, :, None]
    noise = gumbel_noise(keys, 200, torch.float64)
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)  # standard error 0.003
    assert noise.std().item() == pytest.approx(1.2825, abs=0.02)
    assert abs(torch.corrcoef(torch.stack((noise[0, 1:].flatten(), noise[0, :-1].flatten())))[0, 1]) < 0.01
    assert abs(torch.corrcoef(torch.stack((noise[..., 1:].flatten(), noise[..., :-1].flatten())))[0, 1]) < 0.01
    assert torch.equal(gumbel_noise(keys[:, 7:9], 200, torch.float64), noise[:, 7:9])
    assert gumbel_noise(keys - 2**40, 200, torch.float64).isfinite().all()


def test_noise_chooses_as_a_softmax_does() -> None:
    """argmax of scores and Gumbel noise is a draw from their softmax."""
    scores = torch.tensor([0.0, 1.0, -1.0])
    logits = scores[:, None].expand(3, 3).flatten().expand(1, 20_000, 9)
    keys = torch.randint(2**62, (1, 20_000, 1), generator=torch.Generator().manual_seed(0))
    share = table_scan(logits, 3, 0.5, keys=keys)[0].mean(0)
    torch.testing.assert_close(share, scores.softmax(0), rtol=0, atol=0.02)  # standard error 0.004


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("op", [table_scan, loop], ids=["fused", "reference"])
def test_a_nan_in_the_column_in_use_loses_the_state_for_good(op: Any, dtype: torch.dtype) -> None:
    """In its own head alone, and not where the column is not in use."""
    logits = torch.zeros(1, 6, 3, 2, 3, dtype=dtype)  # every head stays in state 0 or goes there
    logits[0, 1, 2, 0, 1] = logits[0, 3, 1, 1, 0] = float("nan")
    h = op(logits.flatten(2).requires_grad_(), 3, 0.5)
    assert h.isnan().view(6, 2, 3).any(-1).tolist() == 3 * [[False, False]] + 3 * [[False, True]]
    assert h.isnan().view(6, 2, 3).all(-1).tolist() == 3 * [[False, False]] + 3 * [[False, True]]
    again = op(torch.zeros(1, 1, 18, dtype=dtype), 3, 0.5, h[:, -1].detach())
    assert again.isnan().view(2, 3).all(-1).tolist() == [False, True]


def test_a_lost_state_reaches_the_gradient() -> None:
    logits = torch.randn(1, 6, 8)
    logits[0, 2, :] = float("nan")
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(table_scan(logits, 2, 0.5).sum(), logits)
    assert gradient[0, 2].isnan().any()


LOGITS, KEYS = torch.zeros(1, 4, 18), torch.zeros(1, 4, 1, dtype=torch.int64)
GOOD = {"logits": LOGITS, "num_states": 3, "temperature": 0.5}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"num_states": 0}, ValueError, "num_states=0 must be from 2 to 64"),
        ({"num_states": 1}, ValueError, "num_states=1 must be from 2 to 64"),
        ({"num_states": 65}, ValueError, "num_states=65 must be from 2 to 64"),
        ({"num_states": 4}, ValueError, "logits have 18 channels, expected heads x num_states.2 = heads x 16"),
        ({"logits": LOGITS[..., :0]}, ValueError, "logits have 0 channels"),
        ({"temperature": 0.0}, ValueError, "temperature=0.0 must be above 0"),
        ({"temperature": float("nan")}, ValueError, "temperature=nan must be above 0"),
        ({"logits": LOGITS[:, :0]}, ValueError, "logits has length 0"),
        ({"logits": LOGITS.long()}, TypeError, "logits has dtype torch.int64"),
        ({"h0": LOGITS[:, 0]}, ValueError, r"h0 has shape \(1, 18\), expected \(1, 6\)"),
        ({"keys": KEYS[:, 1:]}, ValueError, r"keys has shape \(1, 3, 1\), expected \(1, 4, 1\)"),
        ({"keys": KEYS.float()}, TypeError, "keys have dtype torch.float32, expected integers"),
    ],
)
def test_bad_input_gets_one_line(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        table_scan(**(GOOD | changes))
    assert "\n" not in str(caught.value)


def test_a_million_steps_lose_nothing() -> None:
    """A counter modulo 3: head 0 counts every step, head 1 every step whose input says so."""
    length, letters = 1_000_000, torch.randint(2, (1_000_000,), generator=torch.Generator().manual_seed(0))
    stay, turn = torch.eye(3), torch.eye(3).roll(1, 0)  # [l, j]: from j to j + 1
    tables = torch.stack([torch.stack((turn, other), dim=1) for other in (stay, turn)])  # (letters, n, K, n)
    h = table_scan(tables[letters].reshape(1, length, 18), 3, 0.5).view(length, 2, 3).argmax(-1)
    steps: Tensor = torch.arange(1, length + 1)
    assert torch.equal(h[:, 0], steps % 3)
    assert torch.equal(h[:, 1], letters.cumsum(0) % 3)
