"""Any causal mixer, read in both directions."""

from collections.abc import Callable
from typing import NoReturn

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_mru.mixers.base import Mixer


class Bidirectional(Mixer):
    """The sum of one mixer reading left to right and another, of the same kind, reading right to left.

    Shapes:  x (B, L, D) -> y (B, L, D). Each row is reversed within its own length, so padding stays behind.
    It has no step: a sequence read from its end cannot be continued.
    """

    causal = False

    def __init__(self, make_mixer: Callable[[], Mixer]) -> None:
        super().__init__()
        self.rightward, self.leftward = make_mixer(), make_mixer()
        self.max_length, self.float16 = self.rightward.max_length, self.rightward.float16

    def forward(
        self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None, state: None = None
    ) -> tuple[Float[Tensor, "B L D"], None]:
        if lengths is None:
            return self.rightward(x)[0] + self.leftward(x.flip(1))[0].flip(1), None
        length = x.shape[1]
        step = torch.arange(length, device=x.device).expand(len(x), -1)  # (B, L)
        end = lengths[:, None]
        mirror = torch.where(step < end, end - 1 - step, step)[..., None].expand_as(x)  # its own inverse
        forth, _ = self.rightward(x, lengths)
        back, _ = self.leftward(x.gather(1, mirror), lengths)
        return forth + back.gather(1, mirror), None

    def initial_state(self, batch_size: int) -> NoReturn:
        raise ValueError("a bidirectional mixer has no state to go on from: set bidirectional=false")

    def state_bytes(self, num_steps: int) -> NoReturn:
        raise ValueError("a bidirectional mixer has no state to go on from: set bidirectional=false")
