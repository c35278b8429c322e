"""Lightning's FSDP over gloo on the CPU, for tests: a run's processes import it as trainer.strategy._target_.

Lightning 2.6 refuses its own class on a CPU, names a GPU by its number, and moves whole weights "to the CPU" in a way
that frees them where they are there already (Lightning's issues 21774, 21804, 21812). Nothing else differs.
"""

import torch
from pytorch_lightning.strategies import FSDPStrategy
from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel
from torch.distributed.fsdp.api import FullOptimStateDictConfig


def always(made: type, **values: object) -> None:
    init = made.__init__
    made.__init__ = lambda self, *args, **named: init(self, *args, **(named | values))


always(FullyShardedDataParallel, device_id=torch.device("cpu"))
always(FullStateDictConfig, offload_to_cpu=False)
always(FullOptimStateDictConfig, offload_to_cpu=False)


class OnCpu(FSDPStrategy):
    def barrier(self, name: str | None = None) -> None:
        torch.distributed.barrier()
