"""What every test may use: composed configs, and batches with padding of any content."""

import copy
import gc
import os
import signal
from collections.abc import Callable, Iterator
from functools import cache

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts background jobs so, and programs inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests send it to programs that must obey

gc.disable()  # until all is imported: pytest_collection_finish

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

    @cache  # Hydra takes a quarter of a second
    def whole(*overrides: str) -> DictConfig:
        return compose("train", overrides=list(overrides), return_hydra_config=True)

    def make(*overrides: str) -> DictConfig:
        cfg = copy.deepcopy(whole(*overrides))
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield make


@pytest.fixture(scope="session")
def small_model(composed: Callable[..., DictConfig]) -> Callable[..., SequenceModel]:
    """small_model("bmru", bidirectional=True, ...) -> that model in evaluation, two blocks of width 16, 11 tokens."""

    def make(name: str, spec: TaskSpec = TOKENS, **changes: object) -> SequenceModel:
        sizes = {"d_model": 16, "depth": 2, "block_params": 40} | changes
        cfg = OmegaConf.merge(
            composed(f"model={name}", "task=copy_first").model,
            OmegaConf.from_dotlist([f"{key}={value}" for key, value in sizes.items()]),
        )
        torch.manual_seed(0)
        return build(cfg, "model", spec=spec).eval()  # in training some mixers draw noise

    return make


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs a GPU; left out where there is none, run by make test-gpu")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a GPU, tests of tests/gpu are deselected: pytest's closing line counts them."""
    left_out = [] if torch.cuda.is_available() else [item for item in items if item.get_closest_marker("gpu")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What was imported stays, as in lra_mru/engine/imports.py: walking it would take seconds."""
    gc.freeze()
    gc.enable()


def pytest_report_header(config: pytest.Config) -> str:
    """Shown with -v; -q, our default, has no header."""
    return f"GPU: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else f"{NO_GPU}, tests/gpu is left out"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.stats.get("deselected", [])
    if not torch.cuda.is_available() and any(item.get_closest_marker("gpu") for item in left_out):
        terminalreporter.write_line(f"{NO_GPU}: the tests of tests/gpu were left out (make test-gpu runs them on one)")


NO_GPU = "no GPU here (torch.cuda.is_available() is false)"
