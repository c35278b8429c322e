"""No training step makes its device wait: what the host wants to know is copied, and read when it has arrived."""

import threading

import pytest
import pytorch_lightning as pl
import torch
from support import COVERING, TINY_COPY
from torch.utils._python_dispatch import TorchDispatchMode

from lra_mru.engine import run as engine
from lra_mru.engine.build import build
from lra_mru.engine.errors import RunError
from lra_mru.engine.measuring import meters
from lra_mru.engine.measuring.meters import WARMUP_STEPS, Speedometer
from lra_mru.engine.saving import checkpoint_files
from lra_mru.engine.training import late
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.model import SequenceModel
from lra_mru.tasks.ahead import Ahead

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")


class OfTheHost(torch.Tensor):
    """What torch.tensor(number) makes: it lies on the CPU, whatever the model does."""


class Waits(TorchDispatchMode):
    """Counts what would wait for a GPU: .item(), .tolist(), bool(tensor), int(tensor), results of unknown size,
    synchronize. Left out: tensors made from the host's own numbers, which Lightning's bar reads, and AdamW's counters
    of steps, which on a GPU its kernel has."""

    def __init__(self, trainer):
        super().__init__()
        self.trainer, self.found = trainer, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        states = self.trainer.optimizers[0].state.values()
        if (
            name in WAITS
            and not isinstance(args[0], OfTheHost)
            and all(args[0] is not state["step"] for state in states if "step" in state)
        ):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class Count(pl.Callback):
    """Counts over steady steps, with what lies between them: the next batch, its way to the device, all callbacks."""

    def __init__(self, monkeypatch):
        self.patch, self.waits = monkeypatch, None

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == WARMUP_STEPS + 1:
            self.waits = Waits(trainer)
            tolist = torch.Tensor.tolist
            self.patch.setattr(torch.Tensor, "tolist", lambda x: (self.waits.found.append("tolist"), tolist(x))[1])
            tensor = torch.tensor
            self.patch.setattr(
                torch,
                "tensor",
                lambda *a, **k: tensor(*a, **k) if k.get("device") else tensor(*a, **k).as_subclass(OfTheHost),
            )
            self.patch.setattr(torch.cuda, "synchronize", lambda *_: self.waits.found.append("synchronize"))
            self.waits.__enter__()
        if batch_idx == WARMUP_STEPS + 5:
            self.waits.__exit__(None, None, None)
            self.patch.undo()


@pytest.fixture
def waits_of(go, monkeypatch):
    """waits_of(model, *overrides) -> what would have waited in four steady steps of a real run."""

    def count(model, *overrides):
        with pytest.MonkeyPatch.context() as patch:
            counter = Count(patch)
            monkeypatch.setattr(engine, "progress_callback", lambda: counter)
            go(model, "budget.val_every_steps=20", *overrides)
        return counter.waits.found

    return count


@pytest.mark.parametrize("name", COVERING)
def test_a_steady_step_asks_the_device_for_nothing(waits_of, name):
    assert waits_of(name) == []


def test_steps_of_padded_batches_ask_for_nothing_either(waits_of, monkeypatch):
    from lra_mru.tasks.generated import GeneratedSet

    make = GeneratedSet.__getitems__

    def shorter(self, rows):
        batch = make(self, rows)
        batch.lengths[0] -= 1
        return batch

    monkeypatch.setattr(GeneratedSet, "__getitems__", shorter)
    assert waits_of("hybrid", "model.bidirectional=true", "model.dropout=0.1") == []


WAYS = [lambda loss: loss.item(), lambda loss: loss.tolist(), bool, lambda loss: torch.cuda.synchronize()]


@pytest.mark.parametrize("wait", WAYS, ids=["item", "tolist", "bool", "synchronize"])
def test_one_that_waits_is_counted(waits_of, monkeypatch, wait):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)  # there may be no GPU
    loss_of = SequenceClassifier.loss

    def waiting(self, batch):
        loss = loss_of(self, batch)
        wait(loss)
        return loss

    monkeypatch.setattr(SequenceClassifier, "loss", waiting)
    assert len(waits_of("bmru")) >= 4


class Later:
    """An event of a device that is always as far behind as the host lets it be."""

    def query(self):
        return False

    def synchronize(self):
        pass


@pytest.mark.parametrize("step", [2, 4, 17, 19])
def test_a_loss_read_late_is_told_with_its_own_step_and_reaches_no_file(go, tmp_path, monkeypatch, step):
    """Validations, and checkpoints, come every 5 steps."""
    monkeypatch.setattr(late, "_on_its_way", lambda number: (number, Later()))
    loss_of = SequenceClassifier.loss

    def broken(self, batch):
        return loss_of(self, batch) * (torch.inf if self.training and self.global_step == step else 1)

    monkeypatch.setattr(SequenceClassifier, "loss", broken)
    with pytest.raises(RunError, match=rf"loss is inf at step {step}; largest gradient before it: group \w+ with norm"):
        go("bmru")
    saved = sorted(tmp_path.rglob("last.ckpt"))
    assert [checkpoint_files.load(path)["global_step"] for path in saved] == ([] if step < 5 else [15])
    assert not list((tmp_path / "a" / "results").rglob("*.json"))


def test_the_cost_that_a_model_adds_is_watched_with_the_loss(go, tmp_path, monkeypatch):
    monkeypatch.setattr(SequenceModel, "auxiliary_loss", lambda self: torch.tensor(torch.nan, requires_grad=True))
    with pytest.raises(RunError, match=r"loss is nan at step 0; largest gradient before it: none yet"):
        go("bmru")
    assert not list(tmp_path.rglob("last.ckpt"))


@pytest.mark.parametrize("step", [4, 6, 9, 19])
@pytest.mark.parametrize("way", ["norm", "value"])
def test_weights_behind_a_gradient_that_is_no_number_are_neither_validated_nor_saved(
    go, tmp_path, monkeypatch, way, step
):
    """Validations, and checkpoints, come every 5 steps; at step 6 the next loss tells."""
    validated = []

    def spoil(self):
        if self.global_step == step:
            self.model.head.weight.grad[0, 0] = torch.nan

    monkeypatch.setattr(SequenceClassifier, "on_after_backward", spoil, raising=False)
    monkeypatch.setattr(
        SequenceClassifier, "on_validation_epoch_start", lambda self: validated.append(self.global_step)
    )
    what = rf"gradient is not finite at step {step}: " if step != 6 else "loss is nan at step 7; largest .*"
    with pytest.raises(RunError, match=rf"{what}group decay with norm nan; last good checkpoint: "):
        go("bmru", f"+trainer.gradient_clip_algorithm={way}")
    assert validated == [done for done in (5, 10, 15) if done <= step]
    saved = [checkpoint_files.load(path)["global_step"] for path in tmp_path.rglob("last.ckpt")]
    assert saved == validated[-1:]


def test_losses_are_never_further_behind_than_said(monkeypatch):
    monkeypatch.setattr(late, "_on_its_way", lambda number: (number, Later()))
    losses = late.LateLosses()
    for step in range(10):
        losses.put(step, torch.tensor(float(step)))
        losses.read(wait=False)
    assert losses.newest == (9 - late.MOST_BEHIND, 9.0 - late.MOST_BEHIND)
    losses.read(wait=True)
    assert losses.newest == (9, 9.0)


class Mark:
    """A CUDA event of a device that is `behind` marks behind the host, each of them a second long."""

    made = 0

    def __init__(self):
        self.number, self.waited = Mark.made, False
        Mark.made += 1

    def query(self):
        return self.number < Mark.made - 7

    def synchronize(self):
        self.waited = True

    def elapsed_time(self, other):
        assert other.waited
        return 1e3 * (other.number - self.number)


def test_the_speedometer_reads_a_gpus_marks_when_they_are_passed(composed, monkeypatch):
    monkeypatch.setattr(meters, "_now", lambda trainer: Mark())
    meter = Speedometer()
    cfg = composed("model=bmru", *TINY_COPY)
    task = build(cfg.task, "task")
    module = SequenceClassifier(build(cfg.model, "model", spec=task.spec), optim=cfg.optim, seed=0)
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(
        max_steps=WARMUP_STEPS + 6, accelerator="cpu", logger=False, callbacks=[meter], limit_val_batches=0, **options
    )
    read = []
    meter.on_before_zero_grad = lambda *_: read.append(len(meter.steps))
    trainer.fit(module, datamodule=task)
    assert read[-1] == 2  # of five that were marked
    assert [step[:2] for step in meter.steps] == [(1.0, 1.0)] * 6


def batches(composed):
    task = build(composed(*TINY_COPY).task, "task")
    return task.train_loader(start_step=3, num_steps=9, rank=0, world_size=1)


def test_batches_made_ahead_are_the_same_in_the_same_order(composed):
    loader = batches(composed)
    ahead = Ahead(loader, device=torch.device("cpu"))
    assert len(ahead) == 9
    found = list(ahead)
    assert len(found) == 6
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(found, loader, strict=True))


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "batches ahead"]


def test_nobody_makes_batches_that_nobody_wants(composed):
    iterator = iter(Ahead(batches(composed), device=torch.device("cpu")))
    next(iterator)
    assert len(threads()) == 1
    iterator.close()
    assert not threads()


def test_an_error_of_the_loader_is_raised_where_the_batch_is_asked_for():
    class Broken(list):
        def __iter__(self):
            yield from ()
            raise ValueError("rotten row")

    with pytest.raises(ValueError, match="rotten row"):
        list(Ahead(Broken(), device=torch.device("cpu")))
