"""What a logger gets beside losses: gradient norm, memory, and what the mixers say of themselves."""

from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lra_mru.engine.measuring.memory import peak_rss
from lra_mru.mixers.base import Mixer


class Telemetry(pl.Callback):
    """Logs grad_norm (before clipping), peak_bytes, and <mixer>/<gauge> per block over the first validation batch."""

    def __init__(self) -> None:
        self.hooks: list[RemovableHandle] = []
        self.gauges: dict[str, Tensor] = {}

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set where mypy does not look
        if (trainer.global_step + 1) % every == 0:
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            pl_module.log("grad_norm", torch.nn.utils.get_total_norm(gradients))

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0:
            named = [(name, module) for name, module in pl_module.named_modules() if isinstance(module, Mixer)]
            self.hooks = [module.register_forward_hook(partial(self._read, name)) for name, module in named]

    def _read(self, name: str, mixer: Mixer, inputs: tuple[Any, ...], output: Any) -> None:
        short = name.removeprefix("model.").replace(".mixer", "")
        self.gauges |= {f"{short}/{gauge}": value for gauge, value in mixer.gauges(*inputs[:2]).items()}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for hook in self.hooks:
            hook.remove()
        self.hooks = []

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name, value in self.gauges.items():
            pl_module.log(name, value)
        on_gpu = trainer.strategy.root_device.type == "cuda"
        pl_module.log("peak_bytes", float(torch.cuda.max_memory_allocated() if on_gpu else peak_rss()))
        self.gauges = {}
