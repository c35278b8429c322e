"""CUDA graphs: forward and backward of the model recorded once, and replayed with one call each."""

import pytorch_lightning as pl
import torch

from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.model import SequenceModel
from lra_mru.spec import Batch

OFF = "set trainer.cuda_graphs=false"


def check_replay(trainer: pl.Trainer, *, compiled: bool, recompute: bool) -> None:
    """Raises ConfigError where a run cannot be replayed."""
    if trainer.strategy.root_device.type != "cuda":
        raise ConfigError(f"trainer.cuda_graphs=true needs a GPU, and this run computes on the CPU: {OFF}")
    if trainer.world_size > 1 or trainer.accumulate_grad_batches > 1 or compiled or recompute:
        raise ConfigError(
            "trainer.cuda_graphs=true works on one GPU, with accumulate_grad_batches=1, compile=false and "
            f"activation_checkpointing=false: {OFF}"
        )


class Replay:
    """The model's training pass as two CUDA graphs, forward and backward: the same kernels on the same numbers.

    A step of some 500 kernels costs the host two calls instead of 500. The loss, the clipping and the fused optimizer
    (about 20 kernels) stay outside: the rate of learning changes with every step, and a graph holds its numbers.
    Evaluation is not replayed. Random draws are: a replay reads the seed that its step has set.

    Raises: RunError at the first batch that is padded or of another shape than the first
    """

    def __init__(self, model: SequenceModel) -> None:
        self.model = model
        self.shape: torch.Size | None = None

    def prepare(self, batch: Batch) -> None:
        """Records at the first batch; checks every other one. Draws random numbers: to be called before seeding."""
        shape = batch.inputs.shape
        if batch.num_tokens < batch.num_padded_tokens or shape != (self.shape or shape):
            raise RunError(
                f"trainer.cuda_graphs=true: a batch of shape {tuple(shape)} with {batch.num_tokens} steps came, but a "
                f"replay needs full batches of one shape, which this task does not have: {OFF}"
            )
        if self.shape is None:
            self.shape = shape
            self._record(batch)

    def _record(self, batch: Batch) -> None:
        """From now on the model's forward, in training mode, is the replay."""
        torch.cuda.make_graphed_callables(self.model, (batch.inputs.clone(),), allow_unused_input=True)
