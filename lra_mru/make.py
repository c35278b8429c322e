"""Models and mixers in one line of Python, with the numbers of the shipped yaml files: for notebooks.

>>> import torch
>>> import lra_mru
>>> from lra_mru.spec import TaskSpec
>>> spec = TaskSpec(kind="tokens", vocab_size=16, num_classes=8, max_length=301, chance=1 / 8)
>>> model = lra_mru.make_model("bmru", spec=spec, d_model=64, depth=2)
>>> model(torch.randint(16, (4, 301))).shape
torch.Size([4, 8])
>>> mixer = lra_mru.make_mixer("bmru", d_model=64, train_length=1000)
>>> y, state = mixer(torch.randn(4, 1000, 64))
>>> y.shape, state.shape
(torch.Size([4, 1000, 64]), torch.Size([4, 64]))
"""

from collections.abc import Mapping
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from lra_mru.engine.build import build
from lra_mru.mixers.base import Mixer
from lra_mru.model import SequenceModel
from lra_mru.places import CONF
from lra_mru.spec import TaskSpec


def make_model(name: str, *, spec: TaskSpec, **changes: Any) -> SequenceModel:
    """The model of conf/model/<name>.yaml, for a task of `spec`.

    changes: other values for keys of that file: d_model=64, pattern=["bmru", "lru"], mixers={"lru": {"r_min": 0.5}}
    Raises:  ValueError for a name, key or value that is not valid
    """
    model: SequenceModel = build(_changed(_shipped(name), changes, where=name), name, spec=spec)
    return model


def make_mixer(name: str, *, d_model: int, train_length: int, **changes: Any) -> Mixer:
    """The mixer of conf/model/<name>.yaml alone: (B, L, d_model) -> (B, L, d_model), and its state.

    train_length: longest training sequence, in steps; some mixers choose their initial time scales by it
    changes:      other values for the mixer's keys: make_mixer("lru", ..., r_min=0.5)
    Raises:       ValueError for a name, key or value that is not valid, and for a model of several mixers
    """
    model = _shipped(name)
    used = {part for names in model.pattern for part in names.split("+")}
    if len(used) != 1:
        raise ValueError(f"{name} has several mixers: name one of {', '.join(sorted(used))}, or use make_model")
    node = _changed(model.mixers[used.pop()], changes, where=name)
    mixer: Mixer = build(node, name)(d_model=d_model, train_length=train_length)
    return mixer


def _shipped(name: str) -> DictConfig:
    valid = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
    if name not in valid:
        raise ValueError(f"model {name!r} must be one of {', '.join(valid)}")
    hydra = GlobalHydra.instance()
    open_before, hydra.hydra = hydra.hydra, None  # inside another Hydra program, that one's
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            model: DictConfig = compose(f"model/{name}").model
        return model
    finally:
        GlobalHydra.instance().hydra = open_before


def _changed(node: DictConfig, changes: Mapping[str, Any], *, where: str) -> DictConfig:
    changed = node.copy()
    for key, value in changes.items():
        if key not in node:
            raise ValueError(
                f"{where} has no key {key!r}: it has {', '.join(k for k in map(str, node) if k[0] != '_')}"
            )
        nested = isinstance(value, Mapping) and isinstance(node[key], DictConfig)
        changed[key] = _changed(node[key], value, where=f"{where}.{key}") if nested else value
    return changed
