"""One model for every task: encoder -> stack of blocks by pattern -> pooling -> head; saving and loading."""

from lra_mru.model.sequence_model import ModelState, SequenceModel

__all__ = ["ModelState", "SequenceModel"]
