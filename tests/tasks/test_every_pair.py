"""Every task and every model take a training step together, as PAIRS says; with 1 and 4 workers a task is the same."""

from functools import cache

import pytest
import torch
from lra_layout import write_lra
from mnist_files import write_mnist
from omegaconf import OmegaConf
from support import MODELS, ROOT, TASKS, TINY_TASKS

from lra_mru.engine.build import build
from lra_mru.engine.training.module import Scores, SequenceClassifier
from lra_mru.engine.training.optim import make_optimizer
from lra_mru.tasks.base import SequenceTask

# A model meets a task through TaskSpec alone. So every task stands beside a model of each kind (gated scan, attention,
# tables with a loss of their own, two mixers in a block), and every model beside padded tokens and beside vectors.
KINDS = {"bmru", "transformer", "nfsm", "hybrid_parallel"}
PADDED_AND_VECTORS = {"listops", "adding"}
PAIRS = [(model, task) for model in MODELS for task in TASKS if model in KINDS or task in PADDED_AND_VECTORS]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """task(name) -> that task at its tiny settings, its data made; each made once."""
    folder = tmp_path_factory.mktemp("every")
    places = {"lra_dir": folder / "lra", "mnist_dir": folder / "mnist"}
    write_lra(folder / "lra")
    patch = pytest.MonkeyPatch()
    write_mnist(folder / "mnist", patch)

    @cache
    def get(name: str) -> SequenceTask:
        assert name in TINY_TASKS, f"give {name} a tiny setting in tests/support.py, TINY_TASKS"
        settings = {key: str(places[key]) if key in places else value for key, value in TINY_TASKS[name].items()}
        root = OmegaConf.create({"data_dir": str(folder / "data"), "seed": 0})
        root.task = OmegaConf.load(ROOT / "conf/task" / f"{name}.yaml")
        made = build(OmegaConf.merge(root.task, {"batch_size": 4}, settings), "task")
        made.prepare_data()
        made.setup("fit")
        return made

    yield get
    patch.undo()


@pytest.fixture(scope="module")
def config(composed):
    """config(model name) -> the model's config at a tiny size, and the optimizer's."""

    @cache
    def get(name: str):
        cfg = composed(f"model={name}", "task=copy_first", "model.d_model=16", "model.depth=2", "model.block_params=40")
        return cfg.model, cfg.optim

    return get


def test_the_pairs_name_models_and_tasks_that_exist():
    assert set(MODELS) >= KINDS
    assert set(TASKS) >= PADDED_AND_VECTORS


@pytest.mark.parametrize(("model_name", "name"), PAIRS)
def test_a_model_takes_a_training_step_on_a_task(name, model_name, task, config):
    torch.manual_seed(0)
    model_config, optim = config(model_name)
    model = build(model_config, "model", spec=task(name).spec)
    module = SequenceClassifier(model, optim=optim, seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = make_optimizer(model, **{key: value for key, value in optim.items() if key != "warmup_fraction"})
    [batch] = task(name).train_loader(start_step=0, num_steps=1, rank=0, world_size=1)
    loss = module.loss(batch)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert {"encoder.weight"} <= set(changed)
    assert any(key.startswith("head.") for key in changed)
    assert any(key.startswith("blocks.") for key in changed)


@pytest.mark.parametrize("name", TASKS)
def test_what_is_trained_can_be_scored(name, task, config):
    """Accuracy, loss and count of the whole test set, in the shapes that the spec promises."""
    torch.manual_seed(0)
    model = build(config("bmru")[0], "model", spec=task(name).spec).eval()
    scores, num_targets = Scores(model.spec, task(name).group_names), 0
    for batch in task(name).test_dataloader_for(""):
        with torch.no_grad():
            scores.update(model(batch.inputs, batch.lengths), batch)
        num_targets += int((batch.targets != -100).sum())
    values = scores.compute("test")
    assert 0 <= values["test/acc"] <= 1
    assert values["test/num_examples"] == num_targets
    assert ("test/seq_acc" in values) == model.spec.per_step


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_one_and_four_workers_give_the_same_bytes(name, task):
    streams = []
    for workers in (1, 4):
        task(name).num_workers = workers
        loader = task(name).train_loader(start_step=2, num_steps=10, rank=0, world_size=1)
        streams.append([(b.inputs.numpy().tobytes(), b.targets.numpy().tobytes()) for b in loader])
    task(name).num_workers = 0
    assert len(streams[0]) == 8
    assert streams[0] == streams[1]
    assert len({inputs for inputs, _ in streams[0]}) == 8
