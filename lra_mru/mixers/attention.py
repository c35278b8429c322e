"""Softmax attention with rotary positions: re-reads the whole sequence at every step."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from lra_mru.mixers.base import Mixer, check_batch, wide


class KVCache(NamedTuple):
    """What attention keeps of the S steps so far.

    keys, values: (B, num_heads, S, d_head)
    real:         (B, S), False where a step was padding; None where none was
    """

    keys: Tensor
    values: Tensor
    real: Bool[Tensor, "B S"] | None


class Attention(Mixer):
    """Multi-head attention; positions enter by rotating queries and keys.

        q, k, v = W_q x, W_k x, W_v x          per head
        y[t]    = W_o sum_s softmax_s(R_t q[t] . R_s k[s] / sqrt(d_head)) v[s]

    Shapes:  x (B, L, D) -> y (B, L, D); state: a key-value cache that grows with every step
    Raises:  ValueError if d_model does not split into heads of even width, or a sequence exceeds max_length
    Cost:    O(L^2 D) work, O(L D) memory: the L x L matrix is never written. Without padding no mask is made, which
             leaves sdpa its fastest kernels
    Source:  Vaswani et al., arXiv 1706.03762; rotary: Su et al., arXiv 2104.09864
    """

    float16 = True

    def __init__(
        self, *, d_model: int, train_length: int, num_heads: int, causal: bool, rotary_base: float, max_length: int
    ) -> None:
        super().__init__()
        if num_heads < 1 or d_model % (2 * num_heads):
            raise ValueError(f"num_heads={num_heads} must split d_model={d_model} into heads of even width")
        if train_length > max_length:
            raise ValueError(
                f"sequences of {train_length} steps exceed attention's declared maximum of {max_length}: "
                "shorten the task or raise max_length (its cost grows with the square)"
            )
        self.to_query_key_value = nn.Linear(d_model, 3 * d_model, bias=False)
        self.to_output = nn.Linear(d_model, d_model, bias=False)
        self.num_heads, self.causal, self.rotary_base, self.max_length = num_heads, causal, rotary_base, max_length

    def initial_state(self, batch_size: int) -> KVCache:
        weight = self.to_output.weight
        empty = weight.new_zeros(batch_size, self.num_heads, 0, weight.shape[0] // self.num_heads)
        return KVCache(empty, empty, None)

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of keys and values for one sequence of num_steps."""
        weight = self.to_output.weight
        return 2 * num_steps * weight.shape[0] * weight.element_size()

    def forward(
        self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None, state: KVCache | None = None
    ) -> tuple[Float[Tensor, "B L D"], KVCache]:
        """Whole sequences, or the next steps of a causal one from its cache."""
        batch, num_steps, _ = x.shape
        past = self.initial_state(batch) if state is None else state
        check_batch(x, past.keys)
        num_past = past.keys.shape[2]
        assert self.max_length is not None  # of this mixer; others may have none
        if num_past + num_steps > self.max_length:
            raise ValueError(f"{num_past + num_steps} steps exceed attention's declared maximum of {self.max_length}")
        if num_past and not self.causal:
            raise ValueError("only causal attention can go on from a state: set causal=true")
        real = self._real(past, x, lengths)
        position = torch.arange(num_past, num_past + num_steps, device=x.device)  # (L,)
        if past.real is not None:  # a row's steps are counted without its padding
            position = past.real.sum(dim=1)[:, None, None] + position - num_past  # (B, 1, L)
        q, k, v = self.to_query_key_value(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self._rotate(q, position), self._rotate(k, position)  # (B, num_heads, L, d_head)
        if num_past:
            k, v = torch.cat((past.keys.to(k.dtype), k), dim=2), torch.cat((past.values.to(v.dtype), v), dim=2)
        mask = self._mask(num_past, num_steps, real, x.device)
        only_causal = self.causal and mask is None and num_steps > 1
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=only_causal)
        return self.to_output(y.transpose(1, 2).flatten(-2)), KVCache(k, v, real)

    def _real(self, past: KVCache, x: Tensor, lengths: Tensor | None) -> Tensor | None:
        """Which of all steps are no padding, (B, S + L); None if all."""
        if lengths is None and past.real is None:
            return None
        batch, num_steps, _ = x.shape
        ones = torch.ones(batch, past.keys.shape[2], dtype=torch.bool, device=x.device)
        step = torch.arange(num_steps, device=x.device).expand(batch, -1)
        new = step >= 0 if lengths is None else step < lengths[:, None]
        return torch.cat((ones if past.real is None else past.real, new), dim=1)

    def _mask(self, num_past: int, num_steps: int, real: Tensor | None, device: torch.device) -> Tensor | None:
        """Keys each query may see, broadcastable to (B, num_heads, L, S + L); None where no mask is needed."""
        if self.causal and num_past == 0:
            return None  # new padding lies behind every real step, so causality hides it
        mask = None if real is None else real[:, None, None]  # (B, 1, 1, S + L)
        if self.causal and num_steps > 1:
            lower = torch.ones(num_steps, num_past + num_steps, dtype=torch.bool, device=device).tril(num_past)
            mask = lower if mask is None else mask & lower
        return mask

    def _rotate(self, x: Tensor, position: Tensor) -> Tensor:
        """Turns the i-th pair of channels of x (B, num_heads, L, d_head) by base^(-2i / d_head) a step; position (L,)
        or (B, 1, L)."""
        pair = torch.arange(0, x.shape[-1], 2, dtype=wide(x.dtype), device=x.device)
        angle = position[..., None] * self.rotary_base ** (-pair / x.shape[-1])  # (..., L, d_head / 2)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
