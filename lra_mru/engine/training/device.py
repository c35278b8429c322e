"""Where a run computes, in which precision, and that a GPU gives the same numbers twice."""

import os
from collections.abc import Mapping
from typing import Any

import torch

from lra_mru.engine.console import say
from lra_mru.engine.errors import ConfigError

MATMUL_PRECISIONS = ("highest", "high", "medium")
OWN_SETTINGS: dict[str, Any] = {  # keys of conf/trainer that are ours, not Lightning's, and what changes nothing
    "float32_matmul_precision": "highest",
    "activation_checkpointing": False,
    "cuda_graphs": False,
}


def choose_accelerator(wanted: Any) -> Any:
    """What trainer.accelerator means here: our kernels run on CUDA and on the CPU, so any other device falls to the
    CPU, with a line that says so."""
    if wanted not in ("auto", "mps", "tpu", "xpu", "hpu"):
        return wanted
    if wanted == "auto" and torch.cuda.is_available():
        return "cuda"
    others = {"mps": torch.backends.mps.is_available(), "xpu": torch.xpu.is_available()}
    found = wanted if wanted != "auto" else next((name for name, there in others.items() if there), None)
    if found:
        say(f"device {found}: the scans have no kernels for it; this run computes on the CPU")
    return "cpu"


def check_own_settings(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a value of OWN_SETTINGS that means nothing."""
    matmul = settings["float32_matmul_precision"]
    if matmul not in MATMUL_PRECISIONS:
        raise ConfigError(f"trainer.float32_matmul_precision={matmul} must be one of {', '.join(MATMUL_PRECISIONS)}")
    for key in ("activation_checkpointing", "cuda_graphs"):
        if not isinstance(settings[key], bool):
            raise ConfigError(f"trainer.{key}={settings[key]} must be true or false")


def prepare_gpu(device: torch.device, *, float32_matmul_precision: str) -> None:
    """The same seed gives the same numbers on a GPU too; nothing is changed for a CPU, where it does already.

    Our own kernels add in a fixed order. torch's gather, index and attention kernels may use atomic additions, whose
    order changes from run to run: its deterministic mode puts others in their place. What it costs: the gradient of a
    gather or an index sorts first (bidirectional models and padded batches alone need one), attention's backward adds
    in one order. Its habit of filling new memory with NaN is left off: every element of ours is written.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first matrix product
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False  # would choose kernels by a race of the moment
    torch.set_float32_matmul_precision(float32_matmul_precision)
