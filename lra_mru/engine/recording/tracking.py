"""Loggers: csv, or a Weights & Biases run that a dead network can neither stop nor delay. The default is none."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from omegaconf import DictConfig
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from lra_mru.engine.build import build
from lra_mru.engine.console import is_first_process, say, warn
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.recording.record import Identity


@contextmanager
def open_logger(cfg: DictConfig, identity: Identity, folder: Path) -> Iterator[Logger | None]:
    """The logger that cfg.logger names, or None; ended with the run, whatever ends that, so the next can have its own.

    folder: where it writes, and where a resumed run finds what it was
    """
    if not cfg.get("logger"):
        yield None
        return
    try:
        logger: Logger = build(cfg.logger, "logger")(folder=folder, identity=identity)
    except TypeError as error:  # of a key that it does not take
        raise ConfigError(f"logger: {error}") from error
    status = 1
    try:
        yield logger
        status = 0
    finally:
        if isinstance(logger, WandbLogger) and is_first_process():
            try:
                logger.experiment.finish(exit_code=status)
            except Exception as error:  # W&B raises whatever it likes, and nothing of it may cost a run
                warn(f"W&B could not end its run ({_line(error)})")


def publish(logger: Logger | None, content: Mapping[str, Any]) -> None:
    """The record: its numbers as the run's summary, the whole as an artifact. Does nothing without W&B.

    Called when the record is safe: what goes wrong here is a warning.
    """
    if not isinstance(logger, WandbLogger) or not is_first_process():
        return
    try:
        _publish(logger.experiment, content)
    except Exception as error:  # W&B raises whatever it likes, and the record is written
        warn(f"W&B was not told of the record ({_line(error)}); the record itself is written")


def _publish(run: Any, content: Mapping[str, Any]) -> None:
    import wandb  # an extra: only who asks for it has it

    numbers = content["metrics"] | content["throughput"] | content["memory"] | {"num_params": content["num_params"]}
    run.summary.update({name: value for name, value in numbers.items() if value is not None})
    name = f"{content['task']}-{content['model']}-{content['config_hash']}"
    artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", name), type="record")  # W&B takes no other characters
    with artifact.new_file(f"seed{content['seed']}.json") as file:
        json.dump(content, file, indent=1, sort_keys=True)
    run.log_artifact(artifact)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def csv_logger(*, folder: Path, identity: Identity) -> CSVLogger:
    """Every logged value in folder/csv/version_<n>/metrics.csv."""
    return CSVLogger(save_dir=str(folder), name="csv")


def wandb_logger(
    *,
    folder: Path,
    identity: Identity,
    project: str,
    entity: str | None,
    tags: Sequence[str],
    offline: bool,
    connect_timeout_s: float,
    finish_timeout_s: float,
) -> WandbLogger:
    """A W&B run: online, or offline where it was asked for, or where no server answers within connect_timeout_s.

    WANDB_MODE in the environment, as offline or disabled, wins over `offline`.

    A resumed run keeps its id, which stands in folder/wandb_id; under `wandb agent` the agent gives it.
    Raises: ConfigError if wandb is not installed
    """
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise ConfigError("logger=wandb needs a package that is not there: pip install 'lra-mru[wandb]'") from error
    if not is_first_process():
        return WandbLogger(save_dir=str(folder))  # never opens a run of its own

    def start(mode: str) -> Any:
        wandb.setup(settings=wandb.Settings(silent=True))  # or it speaks before it reads the settings below
        return wandb.init(
            mode=mode,  # type: ignore[arg-type]
            id=_run_id(folder),
            resume="allow" if mode == "online" else None,
            project=project,
            entity=entity,
            name=str(identity),
            group=str(identity.folder),
            tags=[identity.model, identity.task, identity.budget, *tags],
            config=_flat(identity),
            dir=str(folder),
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=connect_timeout_s,
                login_timeout=connect_timeout_s,
                finish_timeout=finish_timeout_s,
                finish_timeout_raises=False,
            ),
        )

    try:
        run = start(os.environ.get("WANDB_MODE") or ("offline" if offline else "online"))
    except (wandb.Error, ValueError) as error:
        later = f"later: wandb sync {folder}/wandb/offline-*"
        warn(f"W&B cannot be reached ({_line(error)}): the run goes on offline; {later}")
        wandb.teardown()  # else the id counts as in use
        try:
            run = start("offline")
        except (wandb.Error, ValueError) as again:
            raise ConfigError(f"logger: W&B cannot start ({_line(again)}); logger=csv needs none") from again
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    say(f"W&B: {run.dir if run.offline else run.url}")
    return WandbLogger(experiment=run, save_dir=str(folder))


def _run_id(folder: Path) -> str | None:
    if "WANDB_RUN_ID" in os.environ:  # set by the agent of a sweep
        return None
    path = folder / "wandb_id"
    if not path.exists():
        path.write_text(uuid4().hex[:12])
    return path.read_text()


def _flat(identity: Identity) -> dict[str, Any]:
    """The config under the names that sweep files use: model, task, seed, optim.lr, model.d_model, ..."""
    flat: dict[str, Any] = {}

    def add(node: Mapping[str, Any], prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, Mapping):
                add(value, f"{prefix}{key}.")
            else:
                flat[f"{prefix}{key}"] = value

    add(identity.config, "")
    names = {"model": identity.model, "task": identity.task, "budget": identity.budget, "seed": identity.seed}
    return flat | names | {"config_hash": identity.config_hash}
