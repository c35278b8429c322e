"""A model as a finite machine: states as rows of small whole numbers, exact to the last bit."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lra_mru.mixers.base import Mixer
from lra_mru.model import ModelState, SequenceModel

Codes = NDArray[np.int8]


class Step(NamedTuple):
    """What F states do on one letter each.

    codes:   (F, K) the next states
    answers: (F,) class with the largest logit
    gaps:    (F,) the largest logit less the second largest
    margins: (F,) the smallest distance of any decision of any mixer from turning out otherwise
    """

    codes: Codes
    answers: NDArray[np.int64]
    gaps: NDArray[np.float64]
    margins: NDArray[np.float64]


class ModelMachine:
    """Steps of a model from states given as codes. Works in the model's dtype, on its device.

    batch:   most states that are computed at a time; None: all that are given
    Raises:  ValueError for a model with states that are real numbers
    """

    def __init__(self, model: SequenceModel, batch: int | None = None) -> None:
        if model.bidirectional:
            raise ValueError("the model reads both ways: it has no states; train it with model.bidirectional=false")
        if model.pooling == "mean":
            raise ValueError("pooling=mean keeps a mean, a real number: train the model with model.pooling=last")
        if model.spec.kind != "tokens":
            raise ValueError("inputs are vectors: the alphabet is not finite")
        self.model, self.batch = model.eval(), batch
        self.inputs: dict[Mixer, Tensor] = {}  # (F, D) of each mixer in the step that is taken
        self.widths = [mixer.encode_state(mixer.initial_state(1)).shape[1] for mixer in model.mixers()]

    def start(self) -> Codes:
        """(1, K) the state before the first letter."""
        return self._encode(self.model.initial_state(1))

    def step(self, codes: Codes, letters: NDArray[np.int64]) -> Step:
        """codes (F, K), letters (F,)."""
        size = self.batch or len(codes)
        pieces = [self._step(codes[at : at + size], letters[at : at + size]) for at in range(0, len(codes), size)]
        return Step(*map(np.concatenate, zip(*pieces, strict=True)))

    def _step(self, codes: Codes, letters: NDArray[np.int64]) -> Step:
        hooks = [mixer.register_forward_pre_hook(self._see) for mixer in self.model.mixers()]
        try:
            with torch.inference_mode():
                before = self._decode(codes)
                logits, after = self.model.step(torch.from_numpy(letters), before)
                margins = [
                    mixer.margin(self.inputs[mixer], state)
                    for mixer, state in zip(self.model.mixers(), before.mixers, strict=True)
                ]
                top = logits.topk(2, dim=-1).values  # (F, 2)
                return Step(
                    codes=self._encode(after),
                    answers=logits.argmax(dim=-1).numpy(),
                    gaps=(top[:, 0] - top[:, 1]).double().numpy(),
                    margins=torch.stack(margins).amin(dim=0).double().numpy(),
                )
        finally:
            for hook in hooks:
                hook.remove()

    def _see(self, mixer: Mixer, arguments: tuple[Tensor, ...]) -> None:
        self.inputs[mixer] = arguments[0][:, 0]

    def _encode(self, state: ModelState) -> Codes:
        rows = [mixer.encode_state(part) for mixer, part in zip(self.model.mixers(), state.mixers, strict=True)]
        return torch.cat(rows, dim=1).to(torch.int8).numpy()

    def _decode(self, codes: Codes) -> ModelState:
        parts = torch.from_numpy(codes).split(self.widths, dim=1)
        mixers = [mixer.decode_state(part) for mixer, part in zip(self.model.mixers(), parts, strict=True)]
        return self.model.initial_state(len(codes))._replace(mixers=mixers)
