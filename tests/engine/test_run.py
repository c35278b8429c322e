"""A run from config to record, in one process: what it promises about repetition, records and honesty."""

import pytest
import torch
from support import MODELS, TINY_COPY, without_clock

from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.measuring.memory import activation_bytes_per_token
from lra_mru.engine.recording.record import identify
from lra_mru.engine.run import run
from lra_mru.engine.training.module import SequenceClassifier


@pytest.mark.parametrize("model", MODELS)
def test_record_is_complete(go, model):
    path, record = go(model)
    assert path.parts[-4:] == ("runs", "copy_first", f"{model}-{record['config_hash']}", "seed0.json")
    assert (record["schema"], record["model"], record["task"], record["seed"]) == (2, model, "copy_first", 0)
    assert (record["attempt"], record["resumes"], record["command"]) == (1, 0, None)
    assert record["budget"] == "custom"  # 20 steps are not quick's own
    metrics = record["metrics"]
    wanted = {f"test/{name}{suffix}" for name in ("acc", "loss", "num_examples") for suffix in ("", "@16", "@30")}
    assert set(metrics) == wanted | {"val/acc"}
    assert [metrics[f"test/num_examples{s}"] for s in ("", "@16", "@30")] == [40, 12, 5]
    assert record["floors"] == {"chance": 0.125}
    assert record["steps"] == 20
    assert record["best_step"] in (5, 10, 15, 20)
    assert record["num_params"] > 1000
    assert record["bidirectional"] is (model == "transformer")
    assert record["memory"]["peak_bytes"] >= record["memory"]["train_peak_bytes"] > 1e8
    assert record["memory"]["activation_bytes_per_token"] > 16 * 4
    assert all(value > 0 for value in record["throughput"].values())
    assert record["config"]["optim"]["lr"] > 0
    assert "seed" not in record["config"]
    assert record["versions"]["torch"].startswith(torch.__version__.split("+")[0])


def test_what_a_token_costs_is_counted_on_no_more_rows_than_a_step_has(go, monkeypatch):
    """So that the record of a run takes no more memory than its training did."""
    rows = []

    def counted(module, loss_of, batch):
        rows.append(len(batch.lengths))
        return activation_bytes_per_token(module, loss_of, batch)

    monkeypatch.setattr("lra_mru.engine.recording.summary.activation_bytes_per_token", counted)
    go("bmru", "task.num_val=40", "task.batch_size=8")
    assert rows == [8, 8]  # in the rehearsal, and at the end


def test_same_seed_twice_gives_the_same_numbers_and_another_seed_others(go):
    dropout = "model.dropout=0.3"
    first = without_clock(go("bmru", dropout, where="a")[1])
    torch.randn(7)  # whatever the global state
    assert without_clock(go("bmru", dropout, where="b")[1]) == first
    assert go("bmru", dropout, "seed=1", where="b")[1]["metrics"] != first["metrics"]


def test_nothing_is_written_into_the_suites_own_results_by_a_custom_budget(composed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lra_mru.engine.recording.record.RESULTS", tmp_path / "results")
    cfg = composed("model=bmru", *TINY_COPY, "results_dir=results")
    assert run(cfg, model_name="bmru", task_name="copy_first") is None
    assert not (tmp_path / "results").exists()
    assert len(list(tmp_path.glob("runs/copy_first/*/seed0/attempt1/record.json"))) == 1


def test_lengths_beyond_a_models_maximum_are_skipped_with_the_reason(go):
    _, record = go("transformer", "model.mixers.attention.max_length=20")
    assert "test/acc@16" in record["metrics"]
    assert "test/acc@30" not in record["metrics"]
    assert record["skipped"] == {"test/acc@30": "31 steps exceed the model's declared maximum of 20"}


def test_a_loss_that_is_no_number_stops_with_step_group_and_checkpoint(go, tmp_path):
    with pytest.raises(RunError) as caught:
        go("lru", "optim.lr=1e25", "optim.weight_decay=0", "trainer.gradient_clip_val=null", "optim.warmup_fraction=0")
    assert "loss is " in str(caught.value)
    assert " at step " in str(caught.value)
    assert "largest gradient before it: group " in str(caught.value)
    assert "last good checkpoint: " in str(caught.value)
    assert not list((tmp_path / "a" / "results").rglob("*.json"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.batch_size=0"], "batch_size=0 must be at least 1"),
        (["task.T=-3"], "T=-3 must be at least 1"),
        (["task.batch_size=many"], "task.batch_size='many' must be of type int"),
        (["model.d_model=0"], "d_model=0"),
        (["seed=-1"], "seed=-1"),
        (["force=maybe"], "force=maybe must be true or false"),
        (["checkpoint_minutes=-1"], "checkpoint_minutes=-1 must be a number of at least 0"),
        (["trainer.max_steps=0"], "trainer.max_steps=0"),
        (["task.distractors=loud"], "distractors='loud' must be one of symbols, gaussian"),
        (["resume=nowhere.ckpt"], "there is no such checkpoint"),
        (["model.pattern=[gru]"], r"pattern=\['gru'\] must name mixers among \['bmru'\]"),
    ],
)
def test_bad_values_are_refused_before_anything_starts(go, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        go("bmru", *overrides)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_sequences_beyond_a_models_maximum_are_refused(go):
    with pytest.raises(ConfigError, match="9 steps exceed attention's declared maximum of 5"):
        go("transformer", "model.mixers.attention.max_length=5")


def test_results_folder_that_cannot_be_written_is_found_before_training(go, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "results").write_text("a file where a folder should be")
    with pytest.raises(ConfigError, match=r"results_dir=.* cannot be written"):
        go()


def test_hash_names_what_is_computed_and_not_where(composed):
    def name(*overrides):
        return identify(composed("model=bmru", *TINY_COPY, *overrides), model="bmru", task="copy_first").config_hash

    assert name() == name("seed=5", "data_dir=/elsewhere", "results_dir=x", "runs_dir=y", "logger=csv", "force=true")
    assert len({name(), name("optim.lr=0.1"), name("task.T=9"), name("model.dropout=0.1")}) == 4


def test_activation_bytes_count_each_saved_tensor_once():
    from lra_mru.spec import Batch

    layer = torch.nn.Linear(4, 8, bias=False)
    batch = Batch(inputs=torch.randn(3, 5, 4), lengths=torch.full((3,), 5), targets=torch.zeros(3, dtype=torch.long))

    def loss(batch):
        hidden = layer(batch.inputs)
        return hidden.exp().sum() + hidden.exp().sum()  # saves two exps; input and weight are not activations

    assert activation_bytes_per_token(layer, loss, batch) == 2 * 8 * 4


def test_an_experiment_is_the_same_run_as_the_choices_it_stands_for(composed):
    named = composed("experiment=gaussian")
    spelled = composed("task=copy_first", "budget=quick", "task.distractors=gaussian")
    assert identify(named, model="bmru", task="copy_first") == identify(spelled, model="bmru", task="copy_first")


def test_a_profile_that_was_asked_for_is_shown(go, caplog):
    go("lru", "+trainer.profiler=simple", "trainer.max_steps=1")
    assert "FIT Profiler Report" in caplog.text


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 7.28 TiB"), RuntimeError("CUDA out of memory")])
def test_a_run_that_finds_no_memory_says_in_a_line_how_to_go_on(go, monkeypatch, error):
    def no_memory(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(SequenceClassifier, "training_step", no_memory)
        with pytest.raises(RunError, match=r"^no memory for this run \(.*lower task.eval_batch_tokens") as caught:
            go("lru")
    assert "\n" not in str(caught.value)
    assert go("lru")[1]["steps"] == 20
