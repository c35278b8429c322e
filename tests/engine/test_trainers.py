"""Every trainer that ships starts: on processes of this machine where it can, else up to what a GPU alone can do."""

import json
import os
import subprocess
import sys

import pytest
import pytorch_lightning as pl
from support import ROOT, TINY_COPY

from lra_mru.engine.build import build, check_types
from lra_mru.engine.devices import check_devices, uses_gpu
from lra_mru.engine.errors import ConfigError


@pytest.mark.parametrize("trainer", ["fsdp", "ddp", "ddp_cpu", "auto"])
def test_its_settings_are_of_the_right_types_and_its_strategy_is_built(composed, trainer):
    cfg = composed(f"trainer={trainer}").trainer
    check_types(cfg, "trainer")  # Lightning's annotations name what it imports for type checkers alone
    if not isinstance(cfg.strategy, str):
        assert isinstance(build(cfg.strategy, "trainer.strategy"), pl.strategies.Strategy)


def test_devices_without_kernels_are_taken_for_the_cpu_and_unknown_ones_refused():
    assert not any(map(uses_gpu, ("cpu", "mps", "tpu", "xpu", "hpu")))
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=abacus must be"):
        uses_gpu("abacus")


@pytest.mark.parametrize(
    "words",
    [
        ["trainer=fsdp"],
        ["trainer=fsdp", "trainer.devices=2"],
        ["trainer.strategy=fsdp"],
        ["trainer.strategy=fsdp_cpu_offload"],
    ],
)
def test_fsdp_is_refused_on_a_cpu(composed, words):
    with pytest.raises(ConfigError, match=r"^trainer.strategy: FSDP shards over GPUs alone; trainer=ddp_cpu runs"):
        check_devices(composed("task=copy_first", *words, "trainer.accelerator=cpu"))


def test_fsdp_trains_what_one_process_trains(go, tmp_path):
    """In two processes over gloo; with a mixer of torch alone: what NumPy has seen, as in kernels, is never freed."""
    sharded = ["trainer=fsdp", "trainer.devices=2", "trainer.strategy._target_=fsdp_on_cpu.OnCpu"]
    words = [
        *TINY_COPY,
        "model=transformer",
        "optim.weight_decay=9",
        *sharded,
        "+trainer.strategy.process_group_backend=gloo",
    ]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests/engine", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "lra_mru.train", *words, "results_dir=r"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next((tmp_path / "r").rglob("seed0.json")).read_text())
    alone = go("transformer", "optim.weight_decay=9")[1]
    assert (found["num_devices"], found["setup"]["strategy"]) == (2, "OnCpu")
    same = ("config_hash", "num_params", "steps", "best_step")
    assert {key: found[key] for key in same} == {key: alone[key] for key in same}
    assert found["metrics"] == pytest.approx(alone["metrics"], rel=1e-4)
    per_token = [record["memory"]["activation_bytes_per_token"] for record in (found, alone)]
    assert per_token[0] == pytest.approx(per_token[1], rel=1e-3)  # of another batch
