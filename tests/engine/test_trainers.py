"""Every trainer that ships starts: on processes of this machine where it can, else up to what a GPU alone can do."""

import pytest
import pytorch_lightning as pl

from lra_mru.engine.build import build, check_types


@pytest.mark.parametrize("trainer", ["fsdp", "ddp", "ddp_cpu", "auto"])
def test_its_settings_are_of_the_right_types_and_its_strategy_is_built(composed, trainer):
    cfg = composed(f"trainer={trainer}").trainer
    check_types(cfg, "trainer")  # Lightning's annotations name what it imports for type checkers alone
    if not isinstance(cfg.strategy, str):
        assert isinstance(build(cfg.strategy, "trainer.strategy"), pl.strategies.Strategy)
