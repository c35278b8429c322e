"""LRU and attention against their papers' equations, written out in numpy with nothing shared."""

import numpy as np
import torch


def test_lru_equals_its_equations(small_model):
    mixer = small_model("lru").double().blocks[0].mixer
    x = torch.randn(2, 17, 16, dtype=torch.float64)
    p = {name: value.detach().numpy() for name, value in mixer.named_parameters()}
    lam = np.exp(-np.exp(p["log_nu"]) + 1j * np.exp(p["log_theta"]))
    B = p["to_drive.weight"][0::2] + 1j * p["to_drive.weight"][1::2]
    C = p["to_output.weight"][:, 0::2] - 1j * p["to_output.weight"][:, 1::2]
    y = np.zeros((2, 17, 16))
    for row in range(2):
        h = np.zeros(len(lam), dtype=complex)
        for t in range(17):
            u = x[row, t].numpy()
            h = lam * h + np.exp(p["log_gamma"]) * (B @ u)
            y[row, t] = (C @ h).real + p["skip"] * u
    np.testing.assert_allclose(mixer(x)[0].detach().numpy(), y, rtol=1e-5, atol=1e-6)  # its drive is float32


def test_lru_starts_on_its_ring(small_model):
    mixer = small_model("lru", d_model=512).blocks[0].mixer
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
