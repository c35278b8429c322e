"""What a full run will take on this machine, measured before it starts."""

import time
from statistics import median

from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.tasks.base import SequenceTask

MEASURED_STEPS = 3  # after one that warms up


def forecast(module: SequenceClassifier, task: SequenceTask, *, max_steps: int, world_size: int) -> str:
    """One honest line: forward and backward of a few real batches, scaled to the whole run. Leaves no gradient."""
    seconds, tokens = [], []
    loader = task.train_loader(start_step=0, num_steps=MEASURED_STEPS + 1, rank=0, world_size=world_size)
    for batch in loader:
        start = time.perf_counter()
        module.loss(batch).backward()
        seconds.append(time.perf_counter() - start)
        tokens.append(batch.num_tokens)
    module.zero_grad(set_to_none=True)
    step = median(seconds[1:])
    return (
        f"no GPU: {world_size * sum(tokens[1:]) / sum(seconds[1:]):,.0f} tokens/s measured on this CPU; "
        f"{max_steps:,} steps will take about {max_steps * step / 3600:,.1f} hours; budget=quick takes minutes"
    )
