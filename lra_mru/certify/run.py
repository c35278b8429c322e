"""A trained run, found by its folder: its task, its model with the weights that were tested, and its names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lra_mru.engine.build import build
from lra_mru.engine.errors import ConfigError, one_line
from lra_mru.engine.saving.checkpoint_files import BEST, load, weights_sha256
from lra_mru.files import below
from lra_mru.model import SequenceModel
from lra_mru.places import CONF
from lra_mru.tasks.base import SequenceTask


@dataclass(frozen=True, kw_only=True)
class Run:
    """checkpoint: the file of the tested weights, in the folder of an attempt."""

    checkpoint: Path
    model: SequenceModel
    task: SequenceTask
    weights_sha256: str


def load_run(name: str) -> Run:
    """The newest attempt with tested weights of the run whose folder is named, or the one whose best.ckpt is named.

    Raises:  ConfigError in one line if there is none, there are several runs, or it cannot be read
    """
    if not name:
        raise ConfigError("the name of the run is empty: name its folder, like runs/parity/...")
    checkpoint = Path(name) if Path(name).is_file() else _newest(Path(name))
    content = load(checkpoint)
    config, weights = content["config"], content["state_dict"]
    try:
        task = build(_task_node(config), "task")
        model: SequenceModel = build(OmegaConf.create(config["model"]), "model", spec=task.spec)
        own = {name.removeprefix("model."): x for name, x in weights.items() if name.startswith("model.")}
        model.load_state_dict(own)
    except ConfigError as error:
        raise ConfigError(f"{checkpoint}: {error}; use the version that wrote it") from error
    except (KeyError, TypeError, ValueError, AttributeError, OSError, RuntimeError, OmegaConfBaseException) as error:
        said = one_line(error)[:120]
        raise ConfigError(f"{checkpoint} does not fit this version ({said}): use the one that wrote it") from error
    return Run(checkpoint=checkpoint, model=model.eval(), task=task, weights_sha256=weights_sha256(weights))


def _newest(folder: Path) -> Path:
    found = sorted(below(folder, BEST), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ConfigError(
            f"{folder}: no {BEST} at or below it: name the folder of a finished run, like runs/parity/..."
        )
    runs = sorted({str(path.parent.parent) for path in found})  # <run>/attempt<n>/best.ckpt
    if len(runs) > 1:
        raise ConfigError(f"{folder} holds {len(runs)} runs: name one of them, like {runs[0]}")
    return found[-1]


def _task_node(config: dict[str, Any]) -> Any:
    """The run's task; what its config leaves out, as places and worker counts, as the shipped yaml says."""
    name = config["task"]["_target_"].rpartition(".")[0].rpartition(".")[2]
    shipped = OmegaConf.load(CONF / "task" / f"{name}.yaml")
    own = {key: value for key, value in config["task"].items() if value is not None}
    root = OmegaConf.create({"data_dir": "data", "seed": config["seed"]})
    return OmegaConf.merge(root, {"task": OmegaConf.merge(shipped, own)}).task
