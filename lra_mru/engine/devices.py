"""Checks of a trainer's devices, strategy and precision: a run asks for no more than the machine can give."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning.strategies import StrategyRegistry

from lra_mru.engine.arguments import nearest
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.training.device import WITHOUT_KERNELS
from lra_mru.model import SequenceModel

TWO = 2  # processes that every machine may run, so that trainer=ddp_cpu can be tried on one core
COPIES = ("spawn", "fork", "notebook")  # strategies whose processes are copies of this one, which holds open files


def check_devices(cfg: DictConfig) -> None:
    """What can be refused of a trainer's devices before it is built.

    Raises: ConfigError for more devices than there are, for a batch that cannot be shared out over them, and for a
            strategy that cannot run here
    """
    trainer = cfg.trainer
    check_strategy(trainer)
    check_workers(cfg.task.get("num_workers"))
    devices, nodes = trainer.get("devices", "auto"), trainer.get("num_nodes", 1)
    if isinstance(nodes, bool) or not isinstance(nodes, int) or nodes < 1:
        raise ConfigError(f"trainer.num_nodes={nodes} must be an integer of at least 1")
    on_gpu = uses_gpu(trainer.get("accelerator", "auto"))
    if not on_gpu and is_fsdp(trainer.get("strategy", "auto")):
        raise ConfigError("trainer.strategy: FSDP shards over GPUs alone; trainer=ddp_cpu runs processes of a CPU")
    here = torch.cuda.device_count() if on_gpu else max(TWO, os.cpu_count() or 1)
    if on_gpu and not here:
        raise ConfigError(f"trainer.accelerator={trainer.accelerator}: there is no GPU here; trainer=auto takes a CPU")
    number = count(devices, here, on_gpu)
    if number > here:
        kind = "GPUs" if on_gpu else "cores"
        raise ConfigError(f"trainer.devices={devices}: this machine has {here} {kind}; ask for no more")
    batch_size = cfg.task.get("batch_size")
    if isinstance(batch_size, int) and batch_size % (number * nodes):
        raise ConfigError(
            f"task.batch_size={batch_size} cannot be shared out over {number * nodes} processes "
            f"(trainer.devices={devices}): make it a multiple"
        )


def check_workers(workers: Any) -> None:
    """Raises: ConfigError for more loader processes than there are cores."""
    most = max(TWO, os.cpu_count() or 1)
    if isinstance(workers, int) and workers > most:
        raise ConfigError(f"task.num_workers={workers}: this machine has {most} cores; ask for no more")


def is_fsdp(strategy: Any) -> bool:
    """Whether it is Lightning's own FSDP, which Lightning gives to GPUs alone."""
    if isinstance(strategy, Mapping):
        return str(strategy.get("_target_")).endswith(".FSDPStrategy")
    return str(strategy).startswith("fsdp")


def check_model_precision(precision: Any, model: SequenceModel) -> None:
    """Raises: ConfigError for a precision in float16 of a model whose mixers cannot compute in it."""
    half = str(precision) in ("16", "16-true", "16-mixed", "transformer-engine-float16")
    if half and (mixers := [type(mixer).__name__ for mixer in model.mixers() if not mixer.float16]):
        raise ConfigError(f"trainer.precision={precision}: {mixers[0]} does not compute in float16; use bf16-mixed")


def uses_gpu(accelerator: Any) -> bool:
    if accelerator not in ("auto", "cpu", "gpu", "cuda", *WITHOUT_KERNELS):
        raise ConfigError(f"trainer.accelerator={accelerator} must be auto, cpu or gpu")
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def count(devices: Any, here: int, on_gpu: bool) -> int:
    """How many devices are meant: a number, -1 or "auto" for all, or on a GPU a list of their numbers."""
    text = str(devices)
    if text == "auto":
        return here if on_gpu else 1
    if on_gpu and text == "-1":
        return here
    if isinstance(devices, int) and not isinstance(devices, bool) and devices > 0:
        return devices
    numbers = list(devices) if not isinstance(devices, (str, int, float, type(None))) else []
    if (
        on_gpu
        and numbers
        and all(type(n) is int and 0 <= n < here for n in numbers)
        and len(set(numbers)) == len(numbers)
    ):
        return len(numbers)
    more = f", -1 for all, or a list of GPUs below {here}" if on_gpu else ""
    raise ConfigError(f"trainer.devices={devices} must be an integer of at least 1{more}")


def check_strategy(trainer: Mapping[str, Any]) -> None:
    """Processes of a run are started anew by Lightning, each with the same command line."""
    strategy = trainer.get("strategy", "auto")
    if isinstance(strategy, Mapping):
        name = str(strategy.get("start_method", ""))
        where = "trainer.strategy.start_method"
    else:
        name, where = str(strategy), "trainer.strategy"
        if not isinstance(strategy, str):
            raise ConfigError(f"{where}={strategy} must be a name, as auto or ddp")
        known = [known for known in StrategyRegistry.available_strategies() if known.startswith(("ddp", "fsdp"))]
        if name not in ("auto", *known):
            choices = [choice for choice in known if not any(word in choice for word in COPIES)]
            raise ConfigError(f"{where}={name}: there is no such strategy here{nearest(name, ['auto', *choices])}")
    if any(word in name for word in COPIES):
        raise ConfigError(f"{where}={name}: processes that copy this one are not supported; use trainer=ddp or ddp_cpu")
