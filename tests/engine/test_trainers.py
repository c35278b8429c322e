"""Every trainer that ships starts: on processes of this machine where it can, else up to what a GPU alone can do."""

import pytest
import pytorch_lightning as pl

from lra_mru.engine.build import build, check_types
from lra_mru.engine.devices import uses_gpu
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
