"""What a run says, in its first process alone, and what its libraries need not say."""

import logging
import sys
import warnings

from lightning_utilities.core.rank_zero import rank_zero_only  # Lightning's own: Lightning itself takes seconds

from data_prep.common.output import put_line


def is_first_process() -> bool:
    """Whether this process speaks and writes for the run; the others of a data-parallel run only compute."""
    return getattr(rank_zero_only, "rank", 0) == 0


def say(line: str) -> None:
    """One line for the person who started the run."""
    if is_first_process():
        put_line(line)


def warn(line: str) -> None:
    """One line about something that went wrong and was mended."""
    if is_first_process():
        print(f"warning: {line}", file=sys.stderr, flush=True)


def quiet_libraries() -> None:
    """Silences the notices of our libraries that no user of this suite can act on."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # who asks for a profile gets it
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # W&B's own telemetry, where no server answers
    for message in (
        ".*does not have many workers.*",  # num_workers is the task's own setting
        ".*dataloader is not resumable.*",  # ours starts at the step that is asked for
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*smaller than the logging interval.*",
        ".*sync_dist=True.*",  # torchmetrics has synchronised them already
        ".*GPU available but not used.*",
        ".*LeafSpec.* is deprecated.*",  # inside Lightning 2.6
        ".*``compute`` method of metric .* was called before.*",  # a group without examples
    ):
        warnings.filterwarnings("ignore", message)
