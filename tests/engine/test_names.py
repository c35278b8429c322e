"""What a run is called, and which budget it keeps to: what was computed decides, not what was typed."""

import hashlib
import json

import pytest
from omegaconf import OmegaConf
from support import ROOT

from lra_mru.engine.errors import RunError
from lra_mru.engine.recording.protocol import budget_of
from lra_mru.engine.recording.record import identify
from lra_mru.records.digest import as_text
from lra_mru.records.form import load_record
from lra_mru.records.naming import computed, name_by_rule_1, name_of

# tasks whose settings are not, or no longer, those of all their committed records
CHANGED = ("copy_first", "flip_flop", "delayed_mnist", "state_tracking")
COMMITTED = sorted(path for path in (ROOT / "results/runs").rglob("seed*.json") if path.stem[4:].isdigit())
QUICK = ("model=lru", "task=copy_first", "budget=quick")


@pytest.fixture
def named(composed):
    """named(override, ...) -> the identity of that run of lru on copy_first."""

    def identity(*overrides):
        model = next((o.removeprefix("model=") for o in overrides if o.startswith("model=")), "lru")
        task = next((o.removeprefix("task=") for o in overrides if o.startswith("task=")), "copy_first")
        return identify(composed(*QUICK, *overrides), model=model, task=task)

    return identity


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_committed_record_is_named_by_its_config(path):
    record = json.loads(path.read_text())
    by_rule = {1: name_by_rule_1, 2: name_of}[record.get("name_rule", 1)]
    assert path.parent.name == f"{record['model']}-{by_rule(record['config'])}"
    assert computed(computed(record["config"])) == computed(record["config"])


def test_a_committed_record_counts_as_finished_for_an_equal_run(composed):
    equal = [path for path in COMMITTED if path.parts[-3] not in CHANGED]
    equal = [path for path in equal if not path.parent.name.startswith("bmru-")]  # the mixer's keys have changed
    assert len(equal) > 10
    for path in equal:
        record = load_record(path)
        cfg = composed(f"model={record.model}", f"task={record.task}", "budget=quick", f"seed={record.seed}")
        identity = identify(cfg, model=record.model, task=record.task)
        assert identity.budget == "quick"
        assert identity.config_hash != record.config_hash
        assert list(identity.records(ROOT / "results").values()) == [path], path


def test_a_protocol_that_stands_on_another_fixes_what_both_say(composed):
    long = ["experiment=persistent_memory"]
    assert budget_of(composed(*long), "copy_first") == "long"
    for override in ("task.train_words=plain", "task.eval_examples=[256,64,32,8,1]", "model.depth=3"):
        assert budget_of(composed(*long, override), "copy_first") == "custom"


@pytest.mark.parametrize("choice", ["task=copy_first", "experiment=gaussian", "task=flip_flop"])
def test_a_record_that_rule_1_named_counts_as_finished_for_an_equal_run(composed, tmp_path, choice):
    """A committed one of rule 1, as it would be with the settings of today."""
    words, task = ["model=lru", choice, "budget=quick"], "flip_flop" if choice == "task=flip_flop" else "copy_first"
    cfg = composed(*words, "seed=10")
    whole = OmegaConf.to_container(cfg, resolve=True)
    old = json.loads((ROOT / "results/runs/adding/lru-ecc09a26/seed10.json").read_text())
    assert "name_rule" not in old
    config = {key: whole[key] for key in old["config"]}
    changes = {"task": task, "config": config, "config_hash": name_by_rule_1(config)}
    path = tmp_path / "runs" / task / f"lru-{changes['config_hash']}" / "seed10.json"
    path.parent.mkdir(parents=True)
    path.write_text(as_text(old | changes))
    identity = identify(cfg, model="lru", task=task)
    assert (identity.budget, load_record(path).config_hash) == ("quick", changes["config_hash"])
    assert identity.config_hash != changes["config_hash"]
    assert list(identity.records(tmp_path).values()) == [path]
    for other in ("seed=11", "optim.lr=0.1"):
        cfg = composed(*words, "seed=10", other)
        assert identify(cfg, model="lru", task=task).records(tmp_path) == {}


@pytest.mark.parametrize(
    "changes",
    [
        ["task.num_workers=3"],
        ["task.eval_batch_tokens=100"],
        ["data_dir=/elsewhere"],
        ["task.data_dir=/elsewhere"],
        ["trainer=ddp_cpu", "trainer.devices=4"],
        ["trainer.accelerator=cpu", "+trainer.num_nodes=2"],
        ["+trainer.log_every_n_steps=1", "+trainer.profiler=simple", "+trainer.detect_anomaly=true"],
        ["+trainer.accumulate_grad_batches=1", "+trainer.gradient_clip_algorithm=norm"],
        ["trainer.precision=32"],
        ["trainer.precision=null"],
        ["trainer.gradient_clip_val=1"],
        ["optim.groups.dynamics.weight_decay=0"],
        ["trainer.deterministic=null"],
        ["logger=csv", "trials=7", "force=true", "resume=none", "checkpoint_minutes=1", "runs_dir=x", "seed=3"],
    ],
)
def test_what_cannot_change_a_number_is_no_part_of_a_name(named, changes):
    plain, changed = named(), named(*changes)
    assert (changed.config_hash, changed.budget) == (plain.config_hash, plain.budget) == (plain.config_hash, "quick")


@pytest.mark.parametrize("task", ["smnist", "image"])
def test_where_files_come_from_is_no_part_of_a_name(named, task):
    plain = named(f"task={task}")
    assert plain.config_hash == named(f"task={task}", "task.hub_id=another/one").config_hash


@pytest.mark.parametrize(
    "change",
    [
        "optim.lr=0.1",
        "model.dropout=0.1",
        "trainer.precision=bf16-mixed",
        "trainer.gradient_clip_val=null",
        "trainer.max_steps=3",
        "budget.val_every_steps=3",
        "task.batch_size=8",
        "task.eval_examples=[1,2,3]",
        "compile=true",
        "+trainer.accumulate_grad_batches=2",
        "trainer.deterministic=true",
        "+callbacks.mine._target_=pytorch_lightning.Callback",
    ],
)
def test_what_can_change_a_number_is_part_of_a_name(named, change):
    assert named(change).config_hash != named().config_hash


def test_equal_runs_of_a_custom_budget_have_one_name(named):
    names = {
        named("trainer.max_steps=3").config_hash,
        named("budget.steps=3").config_hash,
        named("budget.steps=3", "budget.val_every_steps=50").config_hash,  # a run validates at its end anyhow
        named("trainer.max_steps=3", "budget.val_every_steps=3").config_hash,
    }
    assert len(names) == 1


@pytest.mark.parametrize(
    "changes",
    [
        ["trainer.max_steps=3"],
        ["budget.steps=3"],
        ["budget.steps=3", "trainer.max_steps=400"],
        ["budget.val_every_steps=1"],
        ["task.num_val=16"],
        ["task.num_test=16"],
        ["task.data_seed=1"],
        ["task.eval_lengths=[40]", "task.eval_examples=[8]"],
        ["task.batch_size=8"],
        ["model.d_model=16"],
        ["model.depth=1"],
        ["+trainer.accumulate_grad_batches=2"],
        ["+callbacks.mine._target_=pytorch_lightning.Callback"],
        ["budget=full", "budget.name=quick"],
        ["task=listops", "task.num_train=100"],
        ["task=listops", "task.data_seed=0"],
        ["task=pathfinder", "task.clean=false"],
    ],
)
def test_a_run_that_keeps_to_no_protocol_is_custom(named, changes):
    assert named(*changes).budget == "custom"


@pytest.mark.parametrize(
    "changes",
    [
        ["optim.lr=0.1", "optim.weight_decay=0", "model.dropout=0.2", "model.mixers.lru.r_min=0.5"],
        ["task.distractors=gaussian"],
        ["task.T=100"],  # another task, which its variant names
        ["task=psmnist", "task.permutation=seed:92916"],
        ["task.num_workers=2", "trainer.precision=bf16-mixed"],
        ["model.bidirectional=true"],
    ],
)
def test_rates_and_variants_are_free(named, changes):
    assert named(*changes).budget == "quick"


def test_the_names_of_rule_2_never_move(named):
    """A number that was written down: whoever changes the rule gives it a new number, too."""
    text = json.dumps(named().config, sort_keys=True, separators=(",", ":"))
    assert named().config_hash == hashlib.sha256(text.encode()).hexdigest()[:8]
    assert (
        name_of({"budget": {"name": "quick", "steps": 2, "val_every_steps": 4}, "trainer": {"max_steps": 2}})
        == "900cff46"
    )


def test_a_run_goes_on_with_a_smaller_evaluation_batch(go, monkeypatch):
    """A run that died for memory in its test."""
    from lra_mru.engine.training.module import SequenceClassifier

    def no_memory(self, *arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(SequenceClassifier, "on_test_epoch_end", no_memory)
        with pytest.raises(RunError, match=r"lower task.eval_batch_tokens: the same run goes on"):
            go("bmru")
    with monkeypatch.context() as patch:
        patch.setattr(SequenceClassifier, "training_step", no_memory)  # nothing is trained again
        record = go("bmru", "task.eval_batch_tokens=20")[1]
    assert (record["resumes"], record["setup"]["eval_batch_tokens"]) == (1, 20)
    assert record["metrics"]["test/num_examples"] == 40
