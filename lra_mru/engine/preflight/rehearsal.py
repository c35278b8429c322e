"""What comes after training is tried before it: evaluation, summary and record, on one row."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytorch_lightning as pl
import torch

from lra_mru import files
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.measuring.meters import Speedometer
from lra_mru.engine.recording.record import Identity
from lra_mru.engine.saving import checkpoint_files
from lra_mru.engine.saving.checkpoints import Checkpoints, random_states, set_random_states
from lra_mru.engine.training.module import Scores, SequenceClassifier
from lra_mru.records.digest import as_text
from lra_mru.records.form import parse
from lra_mru.tasks.base import SequenceTask

Summarise = Callable[[pl.Trainer, Checkpoints, Speedometer], dict[str, Any]]


class Rehearsal(pl.Callback):
    """One dry pass before the first step, so that no run ends after its training with nothing to show.

    A validation row goes through validation and test as every batch will; a checkpoint is written and read back; the
    record is made with numbers that stand for those to come, checked as the report will check it, written where it
    will lie, and removed. No number of the run changes: random states and scores are put back, nothing is logged.

    summarise: makes the record's content; folder: where the record will be written
    Raises:    RunError in one line: nothing was trained
    """

    def __init__(
        self,
        task: SequenceTask,
        identity: Identity,
        checkpoints: Checkpoints,
        meter: Speedometer,
        *,
        summarise: Summarise,
        folder: Path,
    ) -> None:
        self.task, self.identity, self.checkpoints, self.meter = task, identity, checkpoints, meter
        self.summarise, self.folder = summarise, folder

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SequenceClassifier)
        states, modes = random_states(), [(module, module.training) for module in pl_module.modules()]
        try:
            with torch.compiler.set_stance("force_eager"):  # one row must not decide for which shapes to compile
                content = self._evaluate_and_summarise(trainer, pl_module)
            if trainer.is_global_zero:
                self._record(content)
        except (RunError, ConfigError, OSError):  # of a full disk the run itself says more
            raise
        except Exception as error:  # whatever it is, it would come again after training
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise RunError(
                f"this run could not be recorded, and nothing was trained: {type(error).__name__}: {reason}"
            ) from error
        finally:
            pl_module.results = {}
            for module, training in modes:
                module.training = training
            set_random_states(states)

    def _evaluate_and_summarise(self, trainer: pl.Trainer, module: SequenceClassifier) -> dict[str, Any]:
        row = self.task.val_set().__getitems__([0])
        strategy, precision = trainer.strategy, trainer.precision_plugin
        module.eval()
        with torch.no_grad(), precision.val_step_context():
            batch = strategy.batch_to_device(precision.convert_input(row))
            strategy.validation_step(batch, 0)
            values = module.val_scores.compute("val")
            for index, (kind, suffix) in enumerate(module.final_sets):
                strategy.test_step(batch, 0, index)
                module.results |= cast(Scores, module.final_scores[index]).compute(kind, suffix)
        checkpoints, meter = copy.copy(self.checkpoints), copy.copy(self.meter)
        state_dict = strategy.lightning_module_state_dict()
        checkpoints.name = f".{uuid4().hex}.tmp"  # swept, if this process is killed meanwhile
        checkpoints.best = {"step": 0, "val/acc": values["val/acc"], "state_dict": state_dict}
        meter.test_batches = {"": [(1.0, row.num_tokens, row.num_padded_tokens)]}
        if not trainer.is_global_zero:
            return {}
        try:
            checkpoint_files.save({"state_dict": state_dict, "config": self.checkpoints.config}, checkpoints.path)
            return self.summarise(trainer, checkpoints, meter)
        finally:
            checkpoints.path.unlink(missing_ok=True)

    def _record(self, content: dict[str, Any]) -> None:
        text = as_text(content | {"attempt": self.checkpoints.attempt.number})
        path = Path("runs") / self.identity.folder / f"seed{self.identity.seed}.json"
        try:
            parse(path, json.loads(text))
        except ValueError as error:
            raise ConfigError(f"the report would refuse this run's record: {error}") from error
        there = files.nearest_existing(self.folder)
        trial = there / f".{uuid4().hex}.tmp"
        try:
            files.write_whole(trial, text.encode(), overwrite=False)
        except OSError as error:
            raise RunError(f"{there} takes no record ({error.strerror}), and nothing was trained: make room") from error
        finally:
            trial.unlink(missing_ok=True)
