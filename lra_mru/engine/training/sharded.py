"""Under FSDP a process holds shards of a module. What needs a whole one gets a copy that was made before."""

import copy
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import FSDPStrategy

from lra_mru.engine.training.module import SequenceClassifier


def copies(module: SequenceClassifier, trainer: pl.Trainer) -> tuple[SequenceClassifier, SequenceClassifier]:
    """A module to test and one to measure, to be called before training: the module itself where it stays whole.

    Lightning shards what it tests anew, and cannot shard what was sharded for training.
    """
    if not isinstance(trainer.strategy, FSDPStrategy):
        return module, module
    return copy.deepcopy(module), copy.deepcopy(module)


def with_weights(measured: SequenceClassifier, trainer: pl.Trainer, best: Mapping[str, Any]) -> SequenceClassifier:
    """The module to measure with the best weights, and what was scored with them, on the device that trained.

    Lightning takes what it has tested to the CPU.
    """
    module = trainer.lightning_module
    if module is measured:
        return measured.to(trainer.strategy.root_device)
    assert isinstance(module, SequenceClassifier)
    whole = copy.deepcopy(measured)  # which stays on the CPU: a GPU holds a whole module only as long as it is measured
    whole.load_state_dict(best["state_dict"])
    whole.results, whole.model.recompute = module.results, module.model.recompute
    return whole.to(trainer.strategy.root_device)
