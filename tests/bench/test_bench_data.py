"""bench data: rates of real batches of a real task, and the ratio the right way round."""

from lra_mru.bench.data import Loading, measure
from lra_mru.engine.build import build


def test_ratio_is_of_the_loader_over_the_step() -> None:
    fast = Loading(task="x", shape=(2, 3), loader_per_s=50.0, step_per_s=5.0)
    assert fast.ratio == 10
    assert fast.holds
    assert not Loading(task="x", shape=(2, 3), loader_per_s=49.0, step_per_s=5.0).holds
    assert "ratio     10.0  bar >= 10 holds" in fast.line()


def test_a_task_is_measured_on_batches_of_its_own(composed) -> None:
    cfg = composed("task=copy", "budget=quick", "task.T=8", "task.num_items=4", "task.batch_size=3", "model.d_model=16")
    found = measure(cfg, build(cfg.task, "task"))
    assert (found.task, found.shape) == ("copy", (3, 16))
    assert found.step_per_s > 0
    assert found.loader_per_s > 0
