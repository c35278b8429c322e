"""The only thing that models and tasks share: what a task asks for, and what a batch holds.

Shape legend, used in every file:
    B  batch            L  length in steps      D  model width (d_model)
    N  recurrent states V  vocabulary size      C  number of classes
"""

import copy
import math
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

NO_TARGET = -100  # the target of a step that has none


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What a model must know of a task, and all it may know.

    kind:        "tokens" (inputs are (B, L) integer ids) or "vectors" (inputs are (B, L, d_input) floats)
    vocab_size:  number of token ids; None for vectors
    d_input:     width of an input vector; None for tokens
    num_classes: size of the output
    max_length:  longest training sequence, in steps
    per_step:    True if every step has a target of its own, False if the sequence has one
    error_decay: with per_step: how fast, per step, a training row's steps lose weight after the model's first error in
                 it, since what follows builds on it; 0: all steps count alike
    pairs:       True if two sequences share one target: rows 2i and 2i + 1 of a batch's inputs belong to target i
    tolerance:   None where targets are classes; else they are numbers, num_classes is 1, and an output within this
                 distance of its target counts as correct
    chance:      accuracy of a uniform random guess, in [0, 1]; of the best constant one where targets are numbers
    """

    kind: Literal["tokens", "vectors"]
    vocab_size: int | None = None
    d_input: int | None = None
    num_classes: int
    max_length: int
    per_step: bool = False
    error_decay: float = 0.0
    pairs: bool = False
    tolerance: float | None = None
    chance: float

    def __post_init__(self) -> None:
        if (self.kind == "tokens") != (self.vocab_size is not None) or (self.kind == "vectors") != (
            self.d_input is not None
        ):
            raise ValueError(
                f"kind={self.kind!r} with vocab_size={self.vocab_size} and d_input={self.d_input}: "
                "tokens need vocab_size alone, vectors need d_input alone"
            )
        for name in ("vocab_size", "d_input", "num_classes", "max_length"):
            value = getattr(self, name)
            optional = name in ("vocab_size", "d_input")
            if not (optional and value is None) and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"{name}={value!r} must be a whole number")
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        for name in ("per_step", "pairs"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}={getattr(self, name)!r} must be True or False")
        if not 0 <= self.error_decay < math.inf or (self.error_decay and (not self.per_step or self.tolerance)):
            raise ValueError(
                f"error_decay={self.error_decay} must be at least 0, and 0 where steps have no classes of their own"
            )
        if self.per_step and self.pairs:
            raise ValueError("per_step=True is for the steps of one sequence: not with pairs")
        if self.tolerance is not None and (self.num_classes != 1 or not 0 < self.tolerance < math.inf):
            raise ValueError(
                f"tolerance={self.tolerance} with num_classes={self.num_classes}: numbers need a tolerance above 0 and "
                "num_classes=1"
            )
        if not 0 <= self.chance <= 1:
            raise ValueError(f"chance={self.chance} must lie in [0, 1]: it is a share of correct answers")


@dataclass(kw_only=True)
class Batch:
    """One padded batch. Steps at or beyond a row's length are padding: their content must never matter.

    inputs:     (B, L) int64 token ids or (B, L, d_input) float32 vectors; pairs: (2B, L), rows 2i and 2i + 1 together
    lengths:    (B,) int64, each between 1 and L; pairs: (2B,)
    targets:    (B,) int64 class ids, or float32 numbers; per step: (B, L) with NO_TARGET where a step has none
    groups:     (B,) int64 index into the data module's `group_names`, or None: accuracy is also reported per group
    first:      whether the batch holds its rows from their first step on
    last:       whether the batch holds its rows to their last step. A batch of whole rows is first and last; a long
                row may come in pieces, one batch each, and the model carries its state from one to the next

    Lengths stay on the CPU when a batch moves: there they are checked and counted, and no GPU has to be waited for.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor
    groups: Tensor | None = None
    first: bool = True
    last: bool = True

    def to(self, device: torch.device) -> Self:
        """The batch with its inputs, targets and groups on the device. A copy from pinned memory is not waited for."""
        moved = copy.copy(self)
        for name in ("inputs", "targets", "groups"):
            tensor = getattr(self, name)
            setattr(moved, name, None if tensor is None else tensor.to(device, non_blocking=True))
        return moved

    def pin_memory(self) -> Self:
        """The batch in page-locked memory, from where a GPU fetches it by itself."""
        pinned = copy.copy(self)
        for name in ("inputs", "lengths", "targets", "groups"):
            tensor = getattr(self, name)
            setattr(pinned, name, None if tensor is None else tensor.pin_memory())
        return pinned

    @property
    def num_tokens(self) -> int:
        """Number of steps without padding."""
        return int((self.lengths.numpy() if self.lengths.device.type == "cpu" else self.lengths).sum())

    @property
    def num_padded_tokens(self) -> int:
        """Number of steps with padding."""
        return self.inputs.shape[0] * self.inputs.shape[1]
