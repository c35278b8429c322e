"""How much memory a run takes: what its process or GPU held at most, and what a token costs in training."""

import re
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lra_mru.model import SequenceModel
from lra_mru.spec import Batch

PROCESS = Path("/proc/self")


class PeakMemory:
    """Most bytes in use, read over the training steps after the warm-up, and over each set that is tested.

    On a GPU: allocated tensors, and what PyTorch's allocator has reserved for them. On a CPU: resident bytes of the
    process, code and libraries included. `since` says from when: on a CPU without Linux's /proc the peak cannot be
    reset, and counts from the start of the process.
    """

    def __init__(self) -> None:
        self.train: dict[str, int] = {}
        self.eval: dict[str, int] = {}
        self.sets: dict[str, int] = {}  # of each tested set the bytes in use, under a name as "test@3000"
        self.since = "warm-up"

    def reset(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif not reset_peak_rss():
            self.since = "start of the process"

    def read_train(self, device: torch.device) -> None:
        """May be read often: the largest counts, over every life of the run."""
        self.train = _largest(self.train, _peaks(device))

    def read_eval(self, device: torch.device, name: str) -> None:
        found = _peaks(device)
        self.eval, self.sets[name] = _largest(self.eval, found), found["used"]

    def figures(self) -> dict[str, Any]:
        """peak_bytes: of training and test together; by the name of a tested set: while it was read. reserved: GPUs
        only. None where nothing was measured."""
        both = _largest(self.train, self.eval)
        return {
            "peak_bytes": both.get("used"),
            "peak_reserved_bytes": both.get("reserved"),
            "train_peak_bytes": self.train.get("used"),
            "train_peak_reserved_bytes": self.train.get("reserved"),
            "peak_since": self.since,
            **{f"peak_bytes/{name}": used for name, used in self.sets.items()},
        }


def _largest(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {name: max(a.get(name, 0), b.get(name, 0)) for name in a | b}


def _peaks(device: torch.device) -> dict[str, int]:
    if device.type == "cuda":
        return {"used": torch.cuda.max_memory_allocated(device), "reserved": torch.cuda.max_memory_reserved(device)}
    return {"used": peak_rss()}


def reset_peak_rss() -> bool:
    """Forgets the peak of resident memory so far; False where the system cannot."""
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_rss() -> int:
    """Most resident bytes of this process since the last reset that worked, or since its start."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", (PROCESS / "status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def activation_bytes_per_token(module: nn.Module, loss_of: Any, batch: Batch) -> float:
    """Bytes that autograd keeps for the backward pass, per step of the padded batch; the same on every machine.

    Counts each storage that is saved once; parameters, those that autocast has made of them, and the batch itself are
    left out. Of a block that is computed again for the backward pass, its input is kept.
    """
    parameters = [parameter.detach() for parameter in module.parameters()]
    dtypes = {parameter.dtype for parameter in parameters}
    known = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    known |= {tensor.untyped_storage().data_ptr() for tensor in (batch.inputs, batch.lengths, batch.targets)}
    saved: dict[int, Tensor] = {}  # keeps them alive, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        if (address := tensor.untyped_storage().data_ptr()) not in known:
            if tensor.dtype not in dtypes and any(_is_copy(tensor, parameter) for parameter in parameters):
                known.add(address)
            saved[address] = tensor
        return tensor

    again = [model for model in module.modules() if isinstance(model, SequenceModel) and model.recompute]
    kept = [
        block.register_forward_pre_hook(lambda _, inputs: (pack(inputs[0]), None)[1])
        for model in again
        for block in model.blocks
    ]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss_of(batch)
    for hook in kept:
        hook.remove()
    total = sum(tensor.untyped_storage().nbytes() for address, tensor in saved.items() if address not in known)
    return total / batch.num_padded_tokens


def _is_copy(tensor: Tensor, parameter: Tensor) -> bool:
    """Whether the tensor's storage holds the parameter in the tensor's precision, and nothing else."""
    storage = tensor.untyped_storage()
    if storage.nbytes() != parameter.numel() * tensor.itemsize:
        return False
    held = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage)
    return torch.equal(held, parameter.to(tensor.dtype).flatten())
