"""Mixers against their papers' equations, written out in numpy and float64 with nothing shared."""

import math

import numpy as np
import pytest
import torch

from lra_mru.mixers.bmru import BMRU
from lra_mru.mixers.cmru import CMRU
from lra_mru.mixers.fq_bmru import FQBMRU
from lra_mru.mixers.lru import LRU
from lra_mru.mixers.mamba import Mamba

B, L, D = 2, 7, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lru(p, x):
    lam = np.exp(-np.exp(p["log_nu"]) + 1j * np.exp(p["log_theta"]))
    B_matrix = p["to_drive.weight"][0::2] + 1j * p["to_drive.weight"][1::2]
    C = p["to_readout.weight"][:, 0::2] - 1j * p["to_readout.weight"][:, 1::2]
    y = np.zeros_like(x)
    for row in range(len(x)):
        h = np.zeros(len(lam), dtype=complex)
        for t, u in enumerate(x[row]):
            h = lam * h + np.exp(p["log_gamma"]) * (B_matrix @ u)
            r = (C @ h).real + p["skip"] * u
            r = r * 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in r]))  # gelu
            w = p["to_output.weight"] @ r + p["to_output.bias"]
            y[row, t] = w[: len(u)] * sigmoid(w[len(u) :])
    return y


def mamba(p, x):
    d_inner, num_states = p["A_log"].shape
    kernel, rank = p["conv1d.weight"][:, 0], p["dt_proj.weight"].shape[1]
    y = np.zeros_like(x)
    for row in range(len(x)):
        h, window = np.zeros((d_inner, num_states)), np.zeros((d_inner, kernel.shape[1]))
        for t, x_t in enumerate(x[row]):
            both = p["in_proj.weight"] @ x_t
            u, gate = both[:d_inner], both[d_inner:]
            window = np.concatenate((window[:, 1:], u[:, None]), axis=1)
            v = (kernel * window).sum(1) + p["conv1d.bias"]
            v = v * sigmoid(v)
            dt, B_t, C_t = np.split(p["x_proj.weight"] @ v, [rank, rank + num_states])
            delta = np.log1p(np.exp(p["dt_proj.weight"] @ dt + p["dt_proj.bias"]))[:, None]
            h = np.exp(delta * -np.exp(p["A_log"])) * h + delta * B_t * v[:, None]
            y[row, t] = p["out_proj.weight"] @ ((h @ C_t + p["D"] * v) * gate * sigmoid(gate))
    return y


def differences(function, p, x, weight, step=1e-6):
    """Central differences of sum(weight * function(p, x)) for every parameter and x."""
    inputs = {**p, "x": x}
    gradients = {name: np.zeros_like(value) for name, value in inputs.items()}
    for name, value in inputs.items():
        for index in np.ndindex(value.shape):
            sides = []
            for sign in (1, -1):
                moved = {key: v.copy() for key, v in inputs.items()}
                moved[name][index] += sign * step
                point = moved.pop("x")
                sides.append((weight * function(moved, point)).sum())
            gradients[name][index] = (sides[0] - sides[1]) / (2 * step)
    return gradients


def slope(u):
    return 1 / (1 + (np.pi * u) ** 2)


def bmru_with_gradients(p, x, weight, carry_grad):
    """Output, and gradients of sum(weight * y): the surrogates' slopes stand for those of H and sgn."""
    c = x @ p["to_candidate.weight"].T + p["to_candidate.bias"]
    s = x @ p["to_threshold.weight"].T + p["to_threshold.bias"]
    beta, alpha, W_o = np.abs(s), p["alpha"], p["to_output.weight"]
    z = (np.abs(c) > beta).astype(float)
    h = np.zeros((B, L + 1, len(alpha)))  # h[:, t + 1] follows step t
    for t in range(L):
        h[:, t + 1] = z[:, t] * np.sign(c[:, t]) * alpha + (1 - z[:, t]) * h[:, t]
    dc, ds, dalpha, carry = np.zeros_like(c), np.zeros_like(s), np.zeros_like(alpha), 0
    for t in reversed(range(L)):
        dh = weight[:, t] @ W_o + carry
        du = dh * (np.sign(c[:, t]) * alpha - h[:, t]) * slope(np.abs(c[:, t]) - beta[:, t])
        dc[:, t] = du * np.sign(c[:, t]) + dh * z[:, t] * alpha * 2 * slope(c[:, t])
        ds[:, t] = -du * np.sign(s[:, t])
        dalpha += (dh * z[:, t] * np.sign(c[:, t])).sum(0)
        carry = dh * (1 - z[:, t] * (1 - carry_grad))
    gradients = {
        "to_candidate.weight": np.einsum("btn,btd->nd", dc, x),
        "to_candidate.bias": dc.sum((0, 1)),
        "to_threshold.weight": np.einsum("btn,btd->nd", ds, x),
        "to_threshold.bias": ds.sum((0, 1)),
        "alpha": dalpha,
        "to_output.weight": np.einsum("btd,btn->dn", weight, h[:, 1:]),
        "x": dc @ p["to_candidate.weight"] + ds @ p["to_threshold.weight"],
    }
    return h[:, 1:] @ W_o.T, gradients


def cmru_with_gradients(p, x, weight):
    """Output, and gradients of sum(weight * y): an open gate adds, and hands the whole gradient on."""
    c = x @ p["to_candidate.weight"].T + p["to_candidate.bias"]
    s = x @ p["to_threshold.weight"].T + p["to_threshold.bias"]
    u, alpha, W_o = np.abs(c) - np.abs(s), p["alpha"], p["to_output.weight"]
    z = (u > 0).astype(float)
    h = np.zeros((B, L + 1, len(alpha)))
    for t in range(L):
        h[:, t + 1] = h[:, t] + z[:, t] * np.sign(c[:, t]) * alpha
    dh, carry = np.zeros_like(c), 0
    for t in reversed(range(L)):
        carry = dh[:, t] = weight[:, t] @ W_o + carry
    du = dh * np.sign(c) * alpha * slope(u)
    dc, ds = du * np.sign(c) + dh * z * alpha * 2 * slope(c), -du * np.sign(s)
    gradients = {
        "to_candidate.weight": np.einsum("btn,btd->nd", dc, x),
        "to_candidate.bias": dc.sum((0, 1)),
        "to_threshold.weight": np.einsum("btn,btd->nd", ds, x),
        "to_threshold.bias": ds.sum((0, 1)),
        "alpha": (dh * z * np.sign(c)).sum((0, 1)),
        "to_output.weight": np.einsum("btd,btn->dn", weight, h[:, 1:]),
        "x": dc @ p["to_candidate.weight"] + ds @ p["to_threshold.weight"],
    }
    return h[:, 1:] @ W_o.T, gradients


def fq_bmru_with_gradients(p, x, weight):
    """The output by the printed equations; gradients of sum(weight * y) by the bistable unit around the midpoint."""
    c_raw = x @ p["to_candidate.weight"].T + p["to_candidate.bias"]
    c, m, w = np.maximum(c_raw, 0), p["midpoint"], np.abs(p["half_width"])
    alpha, W_o, beta_lo, beta_hi = p["alpha"], p["to_output.weight"], m - w, m + w
    z_lo, z_hi = (beta_lo > c).astype(float), (c > beta_hi).astype(float)
    h = np.zeros((B, L + 1, len(alpha)))
    for t in range(L):
        h[:, t + 1] = z_hi[:, t] * alpha + (1 - z_lo[:, t]) * (1 - z_hi[:, t]) * h[:, t]
    assert all(case.any() for case in (z_lo, z_hi, z_lo + z_hi == 0, c_raw < 0))
    d, z, half, carry = c - m, z_lo + z_hi, alpha / 2, 0
    dd, dw, dhalf = np.zeros_like(d), np.zeros_like(d), np.zeros_like(alpha)
    for t in reversed(range(L)):
        ds = weight[:, t] @ W_o + carry
        du = ds * (np.sign(d[:, t]) * half - (h[:, t] - half)) * slope(np.abs(d[:, t]) - w)
        dd[:, t] = du * np.sign(d[:, t]) + ds * z[:, t] * half * 2 * slope(d[:, t])
        dw[:, t] = -du
        dhalf += (ds * z[:, t] * np.sign(d[:, t])).sum(0)
        carry = ds * (1 - z[:, t])
    dhalf += (weight @ W_o).sum((0, 1)) - carry.sum(0)  # h = half + s, and s starts at h[-1] - half
    dc = dd * (c_raw > 0)
    gradients = {
        "to_candidate.weight": np.einsum("btn,btd->nd", dc, x),
        "to_candidate.bias": dc.sum((0, 1)),
        "midpoint": -dd.sum((0, 1)),
        "half_width": (dw * np.sign(p["half_width"])).sum((0, 1)),
        "alpha": dhalf / 2,
        "to_output.weight": np.einsum("btd,btn->dn", weight, h[:, 1:]),
        "x": dc @ p["to_candidate.weight"],
    }
    return h[:, 1:] @ W_o.T, gradients


def assert_equals_definition(mixer, dtype, definition):
    """Outputs to 1e-5 and gradients to 1e-4 of their largest value, in dtype."""
    mixer = mixer.to(dtype)
    x = torch.randn(B, L, D, dtype=dtype, requires_grad=True)
    weight = torch.randn(B, L, D, dtype=dtype)
    y, _ = mixer(x)
    (y * weight).sum().backward()
    p = {name: value.detach().double().numpy() for name, value in mixer.named_parameters()}
    expected, gradients = definition(p, x.detach().double().numpy(), weight.double().numpy())
    np.testing.assert_allclose(y.detach().double().numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    found = {**{name: value.grad for name, value in mixer.named_parameters()}, "x": x.grad}
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert np.abs(gradient).max() > 0, name
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(found[name].double().numpy(), gradient, rtol=0, atol=1e-4 * scale, err_msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_lru_equals_its_equations(dtype):
    torch.manual_seed(0)
    mixer = LRU(d_model=D, train_length=L, expand=0.5, r_min=0.9, r_max=0.999, max_phase=6.283)
    assert_equals_definition(mixer, dtype, lambda p, x, w: (lru(p, x), differences(lru, p, x, w)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_mamba_equals_its_equations(dtype):
    torch.manual_seed(0)
    mixer = Mamba(d_model=D, train_length=L, expand=1.5, d_state=2, d_conv=4, dt_min=0.1, dt_max=1.0)
    assert_equals_definition(mixer, dtype, lambda p, x, w: (mamba(p, x), differences(mamba, p, x, w)))


@pytest.mark.parametrize("carry_grad", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_bmru_equals_its_equations(dtype, carry_grad):
    torch.manual_seed(0)
    mixer = BMRU(
        d_model=D, train_length=L, expand=1.5, min_openings_per_sequence=3.0, max_openings_per_step=0.5, alpha=0.7,
        carry_grad=carry_grad, learned_start=False,
    )  # fmt: skip
    torch.nn.init.normal_(mixer.to_threshold.weight, std=0.3)
    torch.nn.init.normal_(mixer.to_candidate.bias, std=0.3)
    assert_equals_definition(mixer, dtype, lambda p, x, w: bmru_with_gradients(p, x, w, carry_grad))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_cmru_equals_its_equations(dtype):
    torch.manual_seed(0)
    mixer = CMRU(
        d_model=D, train_length=L, expand=1.5, min_openings_per_sequence=3.0, max_openings_per_step=0.5, alpha=0.7
    )
    torch.nn.init.normal_(mixer.to_threshold.weight, std=0.3)
    torch.nn.init.normal_(mixer.to_candidate.bias, std=0.3)
    assert_equals_definition(mixer, dtype, cmru_with_gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_fq_bmru_equals_its_equations(dtype):
    torch.manual_seed(0)
    mixer = FQBMRU(
        d_model=D, train_length=L, expand=1.5, min_openings_per_sequence=3.0, max_openings_per_step=0.5,
        lower_threshold=0.5, alpha=0.7,
    )  # fmt: skip
    torch.nn.init.normal_(mixer.midpoint, mean=1.0, std=0.3)
    with torch.no_grad():
        mixer.half_width[::2] *= -1  # the sign of a width means nothing
    assert_equals_definition(mixer, dtype, fq_bmru_with_gradients)


def test_lru_starts_on_its_ring(small_model):
    mixer = small_model("lru", d_model=512, block_params=12).mixers()[0]
    radius = torch.exp(-mixer.log_nu.exp())
    assert radius.min() >= 0.9 - 1e-6
    assert radius.max() <= 0.999 + 1e-6
    torch.testing.assert_close(mixer.log_gamma.exp(), (1 - radius**2).sqrt(), rtol=1e-4, atol=1e-6)


def test_attention_equals_softmax_over_rotated_pairs(small_model):
    mixer = small_model("transformer", **{"mixers.attention.num_heads": 2}).double().blocks[0].mixer
    x = torch.randn(1, 6, 16, dtype=torch.float64)
    q, k, v = (mixer.to_query_key_value.weight.detach().numpy() @ x[0].numpy().T).reshape(3, 2, 8, 6)
    frequency = 10000.0 ** (-np.arange(0, 8, 2) / 8)
    out = np.zeros((6, 2, 8))
    for head in range(2):
        turn = np.exp(1j * np.arange(6)[:, None] * frequency)  # (6, 4): a pair of channels is one complex number
        cq = (q[head].T[:, 0::2] + 1j * q[head].T[:, 1::2]) * turn
        ck = (k[head].T[:, 0::2] + 1j * k[head].T[:, 1::2]) * turn
        score = (cq @ ck.conj().T).real / np.sqrt(8)
        weight = np.exp(score) / np.exp(score).sum(1, keepdims=True)
        out[:, head] = weight @ v[head].T
    expected = out.reshape(6, 16) @ mixer.to_output.weight.detach().numpy().T
    np.testing.assert_allclose(mixer(x)[0][0].detach().numpy(), expected, rtol=1e-5, atol=1e-6)
