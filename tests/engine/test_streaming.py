"""Long rows are read in pieces: the same answers as whole, in memory that does not grow with their length."""

import pytest
import pytorch_lightning as pl
import torch
from support import MODELS, TINY_COPY, TOKENS

from lra_mru.engine.build import build
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.spec import Batch
from lra_mru.tasks.base import SequenceSet
from lra_mru.tasks.copy_first import CopyFirst

CAUSAL = {"transformer": ["model.mixers.attention.causal=true"]}
TINY_FLIP_FLOP = [word for word in TINY_COPY if not word.startswith("task=")] + ["task=flip_flop"]
MOST = 12  # tokens of a piece: rows of 17 and 31 steps come in two, and three


@pytest.fixture
def tested(composed):
    """tested(overrides, tokens of a batch) -> the metrics of an untrained model, and the sizes of its batches."""

    def test(overrides, most):
        cfg = composed(*overrides, f"task.eval_batch_tokens={most}", "task.num_test=6")
        task = build(cfg.task, "task")
        torch.manual_seed(0)
        model = build(cfg.model, "model", spec=task.spec)
        module = SequenceClassifier(model, optim=cfg.optim, seed=0, test_suffixes=list(task.test_sets))
        sizes = []
        original = module.test_step

        def spy(batch, batch_idx, dataloader_idx=0):
            sizes.append(batch.num_padded_tokens)
            original(batch, batch_idx, dataloader_idx)

        module.test_step = spy
        trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        loaders = [task.test_dataloader_for(suffix, in_pieces=model.streams) for suffix in task.test_sets]
        trainer.test(module, loaders, verbose=False)
        return module.results, sizes

    return test


@pytest.mark.parametrize("tiny", [TINY_COPY, TINY_FLIP_FLOP], ids=["copy_first", "flip_flop"])
@pytest.mark.parametrize("name", MODELS)
def test_rows_in_pieces_score_as_rows_at_once(tested, name, tiny):
    overrides = [f"model={name}", *tiny, *CAUSAL.get(name, [])]
    whole, _ = tested(overrides, 10_000)
    pieces, sizes = tested(overrides, MOST)
    assert pieces == pytest.approx(whole, rel=1e-4)
    assert len({value for name, value in whole.items() if "/loss" in name}) == 3
    grows = name == "transformer"  # its cache does, so it reads a row at once
    assert max(sizes) == (max(31 if tiny is TINY_COPY else 30, MOST) if grows else MOST)


def test_a_model_that_reads_both_ways_reads_rows_at_once_and_says_so(go, capsys):
    _, record = go("bmru", "model.bidirectional=true", f"task.eval_batch_tokens={MOST}")
    assert record["metrics"]["test/num_examples@30"] == 5
    assert "31 steps are read at once, in memory that grows with them: it reads both ways" in capsys.readouterr().out
    go("bmru", f"task.eval_batch_tokens={MOST}", where="b")
    assert "at once" not in capsys.readouterr().out


def test_rows_of_each_length_are_shared_out_over_the_ranks(composed):
    task = build(composed(*TINY_COPY, f"task.eval_batch_tokens={MOST}").task, "task")
    rows = task.test_set("@30")
    seen = []
    for rank in range(2):
        task.trainer = type("Trainer", (), {"global_rank": rank, "world_size": 2})
        loader = task.test_dataloader_for("@30", in_pieces=True)
        batches = list(loader)
        assert len(loader) == len(batches)
        assert all(batch.num_padded_tokens <= MOST for batch in batches)
        parts = []
        for batch in batches:
            assert batch.first == (not parts)
            parts.append(batch.inputs)
            if batch.last:
                seen += list(torch.cat(parts, dim=1))
                parts = []
        assert not parts
    expected = rows.__getitems__(list(range(5))).inputs
    assert sorted(x.tolist() for x in seen) == sorted(expected.tolist())


@pytest.mark.parametrize("steps", [1, 7, 30, 31, 100])
def test_pieces_hold_the_numbers_of_the_whole(composed, steps):
    task = build(composed(*TINY_FLIP_FLOP).task, "task")
    rows = task.test_set("@30")
    whole, pieces = rows.__getitems__([3, 1]), list(rows.pieces([3, 1], steps))
    assert torch.equal(torch.cat([piece.inputs for piece in pieces], dim=1), whole.inputs)
    assert torch.equal(torch.cat([piece.targets for piece in pieces], dim=1), whole.targets)
    assert all(piece.lengths.tolist() == [piece.inputs.shape[1]] * 2 for piece in pieces)


def test_rows_of_different_lengths_do_not_come_in_pieces():
    class Two(SequenceSet):
        def __len__(self):
            return 2

        def lengths(self):
            return [2, 3]

        def __getitems__(self, rows):
            return Batch(inputs=torch.zeros(2, 3), lengths=torch.tensor([2, 3]), targets=torch.zeros(2))

    with pytest.raises(ValueError, match="different lengths: only rows of one length come in pieces"):
        list(Two().pieces([0, 1], 2))


def test_a_mean_over_more_steps_than_float32_can_count_is_still_a_mean(small_model):
    """At 2^24 float32 numbers lie 1 apart, and beyond it 2: one step more would be none."""
    model = small_model("bmru", pooling="mean", spec=TOKENS)
    state = model.initial_state(1)
    far = state._replace(steps=torch.tensor([2**24]))
    _, one = model.advance(torch.tensor([[3]]), far)
    _, two = model.advance(torch.tensor([[3]]), one)
    assert two.steps.tolist() == [2**24 + 2]


def test_further_validation_sets_are_scored_on_the_best_weights(go, monkeypatch):
    """No shipped set is needed: the task's own validation rows stand in as a further set of their length."""
    monkeypatch.setattr(CopyFirst, "val_set_for", lambda self, suffix: self.val_set())
    prepared = CopyFirst.__post_init__

    def with_further_set(self):
        prepared(self)
        self.val_sets = {"@8": 9}

    monkeypatch.setattr(CopyFirst, "__post_init__", with_further_set)
    _, record = go("bmru")
    metrics = record["metrics"]
    assert metrics["val/acc@8"] == pytest.approx(metrics["val/acc"])  # of the best step, whatever came after
    assert metrics["val/num_examples@8"] == 32
