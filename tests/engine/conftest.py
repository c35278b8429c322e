"""Tiny runs in this process, and command lines in processes forked from one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forking import Programs
from omegaconf import DictConfig
from support import TINY_COPY

from lra_mru.engine.run import run

Go = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """programs("lra_mru.train", folder, "seed=-1") -> (status, output, errors)."""
    started = Programs()
    yield started
    started.close()


@pytest.fixture
def go(composed: Callable[..., DictConfig], tmp_path: Path) -> Go:
    """go("lru", "seed=1") -> (path, record) of a run of a second below tmp_path/a."""

    def start(model: str = "bmru", *overrides: str, where: str = "a") -> tuple[Path, dict[str, Any]]:
        cfg = composed(f"model={model}", *TINY_COPY, *overrides)
        for key in ("results_dir", "data_dir", "runs_dir"):
            if not any(word.startswith(f"{key}=") for word in overrides):
                cfg[key] = str(tmp_path / where / key.removesuffix("_dir"))
        path = run(cfg, model_name=model, task_name="copy_first")
        assert path is not None
        return path, json.loads(path.read_text())

    return start
