"""Softmax attention with rotary positions: re-reads the whole sequence at every step."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from lra_mru.mixers.base import Mixer

KVCache = tuple[Tensor, Tensor]  # keys and values, each (B, num_heads, steps so far, d_head)


class Attention(Mixer):
    """Multi-head attention; positions enter by rotating queries and keys.

        q, k, v = W_q x, W_k x, W_v x          per head
        y[t]    = W_o sum_s softmax_s(R_t q[t] . R_s k[s] / sqrt(d_head)) v[s]

    Shapes:  x (B, L, D) -> y (B, L, D); state: a key-value cache that grows with every step
    Raises:  ValueError if d_model does not split into heads of even width, or a sequence exceeds max_length
    Cost:    O(L^2 D) work, O(L D) memory: the L x L matrix is never written
    Source:  Vaswani et al., arXiv 1706.03762; rotary: Su et al., arXiv 2104.09864
    """

    frequency: Tensor

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
        self.num_heads, self.causal, self.max_length = num_heads, causal, max_length
        d_head = d_model // num_heads
        frequency = rotary_base ** (-torch.arange(0, d_head, 2) / d_head)
        self.register_buffer("frequency", frequency, persistent=False)  # (d_head / 2,) radians per step

    def initial_state(self, batch_size: int) -> KVCache:
        weight = self.to_output.weight
        empty = weight.new_zeros(batch_size, self.num_heads, 0, weight.shape[0] // self.num_heads)
        return empty, empty

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of keys and values for one sequence of num_steps."""
        weight = self.to_output.weight
        return 2 * num_steps * weight.shape[0] * weight.element_size()

    def forward(
        self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None, state: KVCache | None = None
    ) -> tuple[Float[Tensor, "B L D"], KVCache]:
        """Whole sequences, or the next steps of a causal one from its cache (then without lengths)."""
        start = 0 if state is None else state[0].shape[2]
        end = start + x.shape[1]
        if self.max_length is not None and end > self.max_length:
            raise ValueError(f"{end} steps exceed attention's declared maximum of {self.max_length}")
        if start and not self.causal:
            raise ValueError("only causal attention can go on from a state: set causal=true")
        q, k, v = self.to_query_key_value(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        position = torch.arange(start, end, device=x.device)
        q, k = self._rotate(q, position), self._rotate(k, position)  # (B, num_heads, L, d_head)
        if state is not None:
            k, v = torch.cat((state[0], k), dim=2), torch.cat((state[1], v), dim=2)
        mask = self._mask(position, end, lengths)
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal and mask is None)
        return self.to_output(y.transpose(1, 2).flatten(-2)), (k, v)

    def _mask(self, position: Tensor, end: int, lengths: Tensor | None) -> Tensor | None:
        """Keys each query may see, broadcastable to (B, num_heads, L, steps); None where no mask is needed."""
        if self.causal:  # padding lies behind every real step, so causality hides it
            return None if len(position) == end else position[:, None] >= torch.arange(end, device=position.device)
        if lengths is None:
            return None
        return (position < lengths[:, None])[:, None, None, :]

    def _rotate(self, x: Tensor, position: Tensor) -> Tensor:
        """Rotates pairs of channels of x (B, num_heads, L, d_head) by position times frequency."""
        angle = position[:, None] * self.frequency  # (L, d_head / 2), float32 for exact positions
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
