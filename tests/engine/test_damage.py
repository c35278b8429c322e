"""Damage to what is kept, and folders that moved: seen, told, and gone on with from what is good."""

import json
import os
import random
import shutil

import pytest
import torch
from support import without_clock

from lra_mru.engine import run as run_module
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.recording.record import Identity
from lra_mru.engine.saving import attempts, checkpoint_files
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.model import SequenceModel
from lra_mru.records.form import load_record

CONTENT = {"state_dict": {"w": torch.arange(60.0)}, "config": {"task": {"T": 8}, "seed": 0}, "global_step": 7}


def flipped(raw, rng):
    place, bit = rng.randrange(len(raw)), rng.randrange(8)
    return raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]


@pytest.mark.parametrize("sealed", [True, False])
def test_no_flipped_bit_of_a_checkpoint_changes_what_is_read(tmp_path, sealed):
    path, rng = tmp_path / "last.ckpt", random.Random(0)
    if sealed:
        checkpoint_files.save(CONTENT, path)
    else:
        torch.save(CONTENT, path)  # as an older version wrote it
    raw, seen = path.read_bytes(), 0
    for _ in range(400):
        path.write_bytes(flipped(raw, rng))
        try:
            found = checkpoint_files.load(path)
        except checkpoint_files.DamagedCheckpoint:
            seen += 1
            continue
        assert torch.equal(found.pop("state_dict")["w"], CONTENT["state_dict"]["w"])
        assert found == {key: value for key, value in CONTENT.items() if key != "state_dict"}
    assert seen > 350 if sealed else seen > 100
    path.write_bytes(raw)
    assert checkpoint_files.load(path)["global_step"] == 7


@pytest.fixture
def folder(tmp_path):
    return lambda where="a": next(tmp_path.glob(f"{where}/runs/copy_first/*/seed0/attempt1"))


@pytest.fixture
def stopped(go, monkeypatch):
    """A run that died in step 12."""
    original = SequenceClassifier.training_step

    def training_step(self, *arguments):
        if self.global_step == 12:
            raise RunError("stopped by the test")
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SequenceClassifier, "training_step", training_step)
        with pytest.raises(RunError, match="stopped by the test"):
            go()


def test_a_flipped_bit_falls_back_to_the_checkpoint_before(go, stopped, folder, capfd):
    path = folder() / "last.ckpt"
    raw = path.read_bytes()
    path.write_bytes(raw[:3000] + bytes([raw[3000] ^ 1]) + raw[3001:])
    assert go()[1]["resumes"] == 1
    out, err = capfd.readouterr()
    assert f"warning: {path} is damaged: its bytes are not those that were written; falling back" in err
    assert f"resuming {folder()}/previous.ckpt" in out


def put(path, kind, good):
    """Puts something else where the checkpoint `good` was; most of it with a whole seal, as another program may."""
    remove(path)
    content = checkpoint_files.load(good)
    weights, config, callbacks = content["state_dict"], content["config"], content["callbacks"]
    others = {
        "other config": {"config": config | {"seed": 9}},
        "no config": {"config": {"task": 5, "budget": "text"}},
        "other weights": {"state_dict": {name: x.reshape(-1)[:1] for name, x in weights.items()}},
        "other names": {"state_dict": {f"{name}_": x for name, x in weights.items()}},
        "no weights": {"state_dict": {}},
        "text for weights": {"state_dict": dict.fromkeys(weights, "text")},
        "no optimizer": {"optimizer_states": None},
        "no callbacks": {"callbacks": {}},
        "no step": {"global_step": "seven"},
        "best of text": {"callbacks": {"Checkpoints": callbacks["Checkpoints"] | {"best": {"state_dict": "text"}}}},
        "numbers for names": {"state_dict": weights | {1: torch.ones(1)}},
        "other best": {"callbacks": {"Checkpoints": callbacks["Checkpoints"] | {"best": {"step": 1}}}},
    }
    if kind == "folder":
        path.mkdir()
    elif kind in ("link to nothing", "link to itself"):
        path.symlink_to(path.name if kind == "link to itself" else "nowhere")
    elif kind in others:
        checkpoint_files.save(content | others[kind], path.with_name("other"))
        path.with_name("other").rename(path)
    else:
        torch.save([1] if kind == "list" else {"state_dict": 1, "config": {}}, path)


def remove(path):
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


KINDS = [
    "folder",
    "link to nothing",
    "link to itself",
    "list",
    "number",
    "other config",
    "other weights",
    "other names",
]
KINDS += ["no weights", "text for weights", "no optimizer", "no callbacks", "no step", "other best"]
KINDS += ["no config", "best of text", "numbers for names"]


def test_whatever_stands_for_a_checkpoint_the_one_before_is_gone_on_with(go, stopped, folder, monkeypatch, capfd):
    begin, calls = run_module.begin, []
    monkeypatch.setattr(run_module, "begin", lambda *a, **named: calls.append((a, named)) or begin(*a, **named))
    go("bmru", "resume=none")  # to learn how a run begins
    (arguments, named) = calls[0]
    shutil.rmtree(folder().with_name("attempt2"))
    last, previous = folder() / "last.ckpt", folder() / "previous.ckpt"
    newer, older, good = last.read_bytes(), previous.read_bytes(), folder().with_name("good")
    good.write_bytes(newer)

    def began():
        attempt = begin(*arguments, **named | {"resume": "auto", "finished": lambda: False})
        attempt.close()
        return attempt.checkpoint

    for number, kind in enumerate(KINDS, 1):
        put(last, kind, good)
        capfd.readouterr()
        assert began() == previous, kind
        (line,) = capfd.readouterr().err.splitlines()
        assert line.endswith(f"; falling back to the checkpoint before it; it is kept as last.ckpt.damaged{number}"), (
            kind
        )
        assert not os.path.lexists(last)  # else the next save would push it onto previous.ckpt
        put(last, kind, good)
        put(previous, kind, good)
        with pytest.raises(ConfigError, match="nothing is left to go on from: resume=none starts anew, and") as caught:
            began()
        assert "\n" not in str(caught.value)
        for path, content in ((last, newer), (previous, older)):
            remove(path)
            path.write_bytes(content)
    assert began() == last
    last.unlink()
    previous.unlink()
    assert began() is None
    assert "had come to step 10, but its checkpoints are gone; starting anew" in capfd.readouterr().err


@pytest.mark.parametrize("content", [None, "", '{"run": "copy_f', "[1]", '{"results_dir": 3, "record": 4}'])
def test_a_run_goes_on_without_its_notes(go, stopped, folder, content, capfd):
    notes = folder() / "attempt.json"
    if content is None:
        notes.unlink()
    else:
        notes.write_text(content)
    assert (go()[1]["resumes"], go()[1]["attempt"]) == (1, 1)
    assert ("attempt.json cannot be read" in capfd.readouterr().err) == (content is None or not content.endswith("}"))


def test_a_run_goes_on_after_its_folders_moved(go, stopped, folder, tmp_path):
    assert str(tmp_path) not in (folder() / "attempt.json").read_text()
    (tmp_path / "a").rename(tmp_path / "b")
    path, record = go(where="b")
    assert record["resumes"] == 1
    assert str(tmp_path) not in (folder("b") / "attempt.json").read_text()
    shutil.move(tmp_path / "b/runs", tmp_path / "c/runs")  # the checkpoints alone
    shutil.move(tmp_path / "b/results", tmp_path / "c/results")
    assert go(where="c")[0] == tmp_path / "c" / path.relative_to(tmp_path / "b")


def test_checkpoints_that_moved_alone_are_found(go, stopped, tmp_path):
    shutil.move(tmp_path / "a/runs", tmp_path / "d/e/runs")
    assert go("bmru", f"runs_dir={tmp_path / 'd/e/runs'}")[1]["resumes"] == 1


def test_a_cut_record_does_not_count_as_finished_and_nothing_is_trained_again(go, monkeypatch, capfd):
    path, record = go()
    text = path.read_text()
    for damaged in (text[:200], "", text.replace('"steps": 20', '"steps": 21')):
        path.write_text(damaged)
        with monkeypatch.context() as patch:
            patch.setattr(SequenceClassifier, "training_step", lambda *_: pytest.fail("trained again"))
            again, new = go()
        assert again.name == "seed0.attempt1.json"
        assert f"warning: {path}: " in capfd.readouterr().err  # why the run is not finished already
        assert without_clock(new) == without_clock(record)
        assert path.read_text() == damaged  # nothing is overwritten
        assert load_record(again).seed == 0
        again.unlink()


def test_a_damaged_certificate_takes_nothing_from_a_finished_run(go, capfd):
    path, _ = go()
    path.with_suffix(".certificate.json").write_text("{")
    assert go()[0] == path
    out, err = capfd.readouterr()
    assert "is finished already" in out
    assert not err


def test_a_run_that_another_process_has_just_finished_is_not_done_again(go, monkeypatch):
    path, _ = go()
    looked, look = [], run_module.finished_record

    def late(*arguments):
        looked.append(1)
        return None if len(looked) == 1 else look(*arguments)  # written between this look and the lock

    monkeypatch.setattr(run_module, "finished_record", late)
    monkeypatch.setattr(SequenceClassifier, "training_step", lambda *_: pytest.fail("trained again"))
    assert go()[0] == path
    assert len(list(path.parents[4].glob("runs/copy_first/*/seed0/attempt*"))) == 1


@pytest.mark.parametrize("moment", ["newest", "acquire"])
def test_a_record_that_another_process_writes_while_this_one_decides_is_seen(go, monkeypatch, moment):
    """Eight writers of one run found it: the record came between the look for it and the look at the attempt."""
    path, _ = go()
    away = path.with_name("away")
    path.rename(away)
    owner = attempts if moment == "newest" else attempts.Attempt
    original = getattr(owner, moment)

    def meanwhile(*arguments):
        found = original(*arguments) if moment == "acquire" else None
        if away.exists():
            away.rename(path)  # the other process
        return original(*arguments) if moment == "newest" else found

    monkeypatch.setattr(owner, moment, meanwhile)
    monkeypatch.setattr(SequenceClassifier, "training_step", lambda *_: pytest.fail("trained again"))
    assert go()[0] == path
    assert len(list(path.parents[4].glob("runs/copy_first/*/seed0/attempt*"))) == 1
    assert not attempts.files.is_held(next(path.parents[4].glob("runs/copy_first/*/seed0/attempt1/lock")))


def test_best_weights_are_nothing_to_go_on_from(go, folder):
    go()
    with pytest.raises(ConfigError, match=r"resume=.*best.ckpt: it holds weights to test.*give last.ckpt"):
        go("bmru", f"resume={folder() / 'best.ckpt'}", "force=true")


def test_a_record_of_another_seed_is_none_of_this_run(tmp_path):
    identity = Identity(model="m", task="t", budget="quick", seed=1, config={}, config_hash="0badcafe")
    (tmp_path / "runs" / identity.folder).mkdir(parents=True)
    (tmp_path / "runs" / identity.folder / "seed1.json").write_text(json.dumps({"schema": 2}))
    assert identity.records(tmp_path) == {}


def test_no_flipped_bit_of_saved_weights_changes_a_model(small_model, tmp_path):
    small_model("gru").save_pretrained(tmp_path)
    rng = random.Random(1)
    for name in ("model.safetensors", "config.json"):
        raw = (tmp_path / name).read_bytes()
        for _ in range(15):
            (tmp_path / name).write_bytes(flipped(raw, rng))
            with pytest.raises(ValueError):  # noqa: PT011 (JSON's own among them)
                SequenceModel.from_pretrained(tmp_path)
        (tmp_path / name).write_bytes(raw)
    SequenceModel.from_pretrained(tmp_path)
