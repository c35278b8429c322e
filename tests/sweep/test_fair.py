"""experiment=fair_*: every backbone has the same size, the same steps and the same number of trials."""

import pytest
from support import MODELS, ROOT

from lra_mru.engine.build import build
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.recording.record import identify
from lra_mru.engine.recording.summary import num_params
from lra_mru.engine.sweep.file import read_sweep
from lra_mru.engine.sweep.main import num_trials_of

FAIR = sorted(path.stem for path in (ROOT / "conf/experiment").glob("fair_*.yaml"))


@pytest.mark.parametrize("experiment", FAIR)
def test_every_backbone_has_the_same_size_steps_and_trials(composed, experiment):
    sizes, steps, trials = {}, set(), set()
    for model in MODELS:
        cfg = composed(f"experiment={experiment}", f"model={model}", "budget=quick")
        sizes[model] = num_params(build(cfg.model, "model", spec=build(cfg.task, "task").spec))
        steps.add(cfg.trainer.max_steps)
        trials.add(cfg.trials)
    assert max(sizes.values()) <= 1.05 * min(sizes.values()), sizes
    assert len(steps) == len(trials) == 1
    assert trials.pop() > 1


def test_the_number_of_trials_is_the_experiments_and_no_part_of_what_a_run_is(composed):
    sweep = read_sweep(ROOT / "sweeps/listops.yaml")
    fair = composed("experiment=fair_listops", "model=lru")
    assert num_trials_of(sweep, None, fair) == fair.trials
    with pytest.raises(ConfigError, match=f"--trials=3: this experiment gives every backbone {fair.trials}"):
        num_trials_of(sweep, 3, fair)
    alone = composed("task=listops", "model=lru")
    names = [identify(cfg, model="lru", task="listops").config_hash for cfg in (fair, alone)]
    assert names[0] == names[1]
