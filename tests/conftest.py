"""What every test may use: composed configs, and batches with padding of any content."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts background jobs so, and programs inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests send it to programs that must obey

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from support import ROOT, TOKENS

from lra_mru.engine.build import build
from lra_mru.model import SequenceModel
from lra_mru.spec import TaskSpec


@pytest.fixture(scope="session")
def composed() -> Iterator[Callable[..., DictConfig]]:
    """composed("model=lru", "task=copy_first", ...) -> the config that train.py would get."""

    def make(*overrides: str) -> DictConfig:
        cfg = compose("train", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield make


@pytest.fixture(scope="session")
def small_model(composed: Callable[..., DictConfig]) -> Callable[..., SequenceModel]:
    """small_model("bmru", bidirectional=True, ...) -> that model in evaluation, two blocks of width 16, 11 tokens."""

    @cache  # Hydra takes a quarter of a second
    def config(name: str) -> DictConfig:
        return composed(f"model={name}", "task=copy_first").model

    def make(name: str, spec: TaskSpec = TOKENS, **changes: object) -> SequenceModel:
        sizes = {"d_model": 16, "depth": 2, "block_params": 40} | changes
        cfg = OmegaConf.merge(config(name), OmegaConf.from_dotlist([f"{key}={value}" for key, value in sizes.items()]))
        torch.manual_seed(0)
        return build(cfg, "model", spec=spec).eval()  # in training some mixers draw noise

    return make
