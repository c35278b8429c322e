"""Certificates: of a model made by hand that is right for ever, of the same with one weight moved, and of refusals."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from certify.hand_made import IGNORE_1, READ, WRITE_0, by_hand, certificate
from support import ROOT, assert_refused_in_one_line

import lra_mru
from lra_mru.certify.certificate import sentences
from lra_mru.certify.command import main
from lra_mru.certify.model_machine import ModelMachine
from lra_mru.engine.build import build
from lra_mru.engine.saving.checkpoint_files import load, save
from lra_mru.records.digest import DIGEST, as_text
from lra_mru.records.proof import holds
from lra_mru.report import __main__ as report
from lra_mru.tasks.machine import NO_STATE


def test_a_model_made_by_hand_is_right_on_every_word(task):
    found = certificate(by_hand(task), task)
    assert (found["grade"], found["wrong_steps"], found["counterexamples"]) == ("every word", 0, [])
    assert found["states"] == 3  # nothing written, and each symbol held
    assert found["steps"] == 2 + 2 * 5
    assert found["depth"] == 1
    assert found["smallest_margin"] == pytest.approx(1.0)  # of a shut gate from its threshold
    assert found["smallest_logit_gap"] > 1
    assert found["float64"]["disagreeing_steps"] == found["other_batch_size"]["disagreeing_steps"] == 0
    assert holds(found)


def test_one_weight_moved_gives_a_counterexample_on_which_the_model_fails(task):
    model = by_hand(task)
    with torch.no_grad():
        model.blocks[0].mixer.to_candidate.weight[0, IGNORE_1] = -1  # now it writes
    found = certificate(model, task)
    assert found["counterexamples"][0] == {"word": [WRITE_0, IGNORE_1, READ], "asked": 0, "answered": 1}
    assert not holds(found)
    word = torch.tensor([found["counterexamples"][0]["word"]])
    assert model.eval()(word)[0, -1].argmax() == 1
    assert task.oracle(word.numpy())[0, -1] == 0


@pytest.mark.parametrize("limits", [{"max_states": 1}, {"max_seconds": 1}])
def test_a_limit_leaves_it_open(task, limits, monkeypatch):
    torch.manual_seed(0)
    model = lra_mru.make_model("bmru", spec=task.spec, d_model=8, depth=2, block_params=40)
    if "max_seconds" in limits:
        clock = iter(range(10_000))
        monkeypatch.setattr("lra_mru.certify.walk.time.monotonic", lambda: next(clock))
    found = certificate(model, task, **limits)
    assert found["grade"] == "open"
    assert not holds(found)
    assert "the walk met a limit" in found["claim"]


def test_a_walk_that_asked_for_no_answer_is_told_without_a_number(task):
    found = certificate(by_hand(task), task) | {"smallest_logit_gap": None}  # as at a limit before the first read
    assert "smallest logit gap —;" in "\n".join(sentences(found))


def test_a_model_that_answers_nan_is_refused(task):
    model = by_hand(task)
    with torch.no_grad():
        model.head.weight[0, 7] = torch.nan
    with pytest.raises(ValueError, match="the model answers NaN"):
        certificate(model, task)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("lru", {}, "LRU holds real numbers"),
        ("hybrid", {}, "LRU holds real numbers"),
        ("bmru", {"bidirectional": True}, "reads both ways"),
    ],
)
def test_models_with_real_states_are_refused(task, name, changes, says):
    model = lra_mru.make_model(name, spec=task.spec, d_model=8, depth=2, block_params=60, **changes)
    with pytest.raises(ValueError, match=says):
        ModelMachine(model)


@pytest.mark.parametrize("name", ["copy_first", "flip_flop", "parity"])
def test_a_tasks_machine_answers_as_its_rows_do(composed, name):
    task = build(composed(f"task={name}", "budget=quick", "task.T=30").task, "task")
    machine, rows = task.machine(), task.train_set().__getitems__(list(range(50)))
    assert machine.num_letters == task.spec.vocab_size
    seen = set()
    for word, target in zip(rows.inputs.numpy(), rows.targets.numpy(), strict=True):
        answers = machine.read(word)
        if task.spec.per_step:
            assert answers == target.tolist()
        else:
            assert answers[-1] == target
        seen |= set(word.tolist())
    assert seen == set(range(machine.num_letters))
    for state, letter in np.argwhere(machine.step == NO_STATE)[:1]:
        assert state == 0  # the first letter of all
        with pytest.raises(ValueError, match="no word of the task"):
            machine.read(np.array([letter]))


def test_vectors_are_refused(composed):
    task = build(composed("task=copy_first", "task.distractors=gaussian").task, "task")
    with pytest.raises(ValueError, match="no finite machine"):
        task.machine()


def report_check(monkeypatch, capsys, runs="runs"):
    """What the report says of a record and the certificate beside it. The run is custom: it cannot join."""
    monkeypatch.setattr(sys, "argv", ["report", "--check", "my_results", "--runs", runs])
    assert report.main() == 1
    (line,) = capsys.readouterr().out.splitlines(keepends=True)
    assert "its budget is custom" in line
    return line


def test_the_command_writes_checks_and_refuses(composed, tmp_path, monkeypatch, capsys):
    """A run of a second, as a user makes it; then its certificate, a second walk, and an edited one."""
    monkeypatch.chdir(tmp_path)
    train = [sys.executable, str(ROOT / "train.py"), "model=bmru", "task=parity", "budget=quick"]
    train += ["task.eval_lengths=[]", "task.eval_examples=[]", "task.num_val=8", "task.num_test=8"]
    train += ["trainer.max_steps=3", "model.d_model=8", "model.depth=1", "model.block_params=40"]
    subprocess.run(train, check=True, capture_output=True)
    assert main(["runs/parity"]) == 1  # three steps teach nothing
    out = capsys.readouterr().out
    (path,) = tmp_path.glob("my_results/runs/parity/*/seed0.certificate.json")
    assert str(path.relative_to(tmp_path)) in out
    found = json.loads(path.read_text())
    assert found["task"] == "parity"
    assert main(["runs/parity", "--check"]) == 1
    assert "a second walk finds the same" in capsys.readouterr().out
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert "; its certificate holds: a second walk finds the same\n" in report_check(monkeypatch, capsys)
    forged = {key: value for key, value in found.items() if key != DIGEST} | {"grade": "open"}
    path.write_text(as_text(forged))  # with a digest of its own: a second walk alone can tell
    assert_refused_in_one_line(main, ["runs/parity", "--check"], "finds another grade", capsys)
    said = report_check(monkeypatch, capsys)
    assert f"its certificate is not confirmed: {path.relative_to(tmp_path)}: a second walk finds another grade" in said
    path.write_text(json.dumps(found | {"grade": "open"}))
    assert "no readable certificate (its content is not what was written)" in report_check(monkeypatch, capsys)
    assert main(["runs/parity"]) == 1  # made anew
    capsys.readouterr()
    assert json.loads(path.read_text()) == found
    limited = ["runs/parity", "--max-states", "1"]
    assert_refused_in_one_line(main, limited, f"{path.relative_to(tmp_path)}, of a whole walk", capsys)
    assert_refused_in_one_line(main, [*limited, "--check"], "neither confirmed nor refuted", capsys)
    assert json.loads(path.read_text()) == found
    record = path.with_name("seed0.json")
    before = record.read_bytes()
    assert_refused_in_one_line(main, ["runs/parity", "--out", f"{record}"], "is no certificate", capsys)
    assert record.read_bytes() == before
    assert_refused_in_one_line(main, ["runs/parity", "--out", "no/x.json"], "there is no folder no: make it", capsys)
    assert "cannot be verified here: no weights at elsewhere/parity/" in report_check(monkeypatch, capsys, "elsewhere")
    assert_refused_in_one_line(main, ["runs/parity", "--max-states", "0"], "max_states=0 must be at least 1", capsys)
    assert_refused_in_one_line(main, ["nowhere"], "nowhere: no best.ckpt", capsys)
    assert_refused_in_one_line(main, [""], "name of the run is empty", capsys)
    (checkpoint,) = tmp_path.glob("runs/parity/*/seed0/attempt1/best.ckpt")
    content = load(checkpoint)
    content["config"]["model"]["d_model"] = 12
    other = tmp_path / "runs/parity/bmru-0a0a0a0a/seed0/attempt1/best.ckpt"
    other.parent.mkdir(parents=True)
    save(content, other)
    assert_refused_in_one_line(main, ["runs/parity"], "runs/parity holds 2 runs: name one", capsys)
    assert_refused_in_one_line(main, [f"{other.parent}"], "does not fit this version", capsys)
    del content["config"]["task"]
    save(content, other)
    assert_refused_in_one_line(main, [f"{other.parent}"], "does not fit this version", capsys)
    assert_refused_in_one_line(main, ["runs/parity", "--max-sates", "3"], "unrecognized arguments", capsys)


@pytest.mark.parametrize("name", ["bmru", "fq_bmru", "nfsm"])
def test_every_mixer_of_finite_states_gives_codes_margins_and_a_walk_that_is_repeated(composed, name):
    task = build(composed("task=state_tracking", "task.monoid=z2").task, "task")
    torch.manual_seed(1)
    model = lra_mru.make_model(name, spec=task.spec, d_model=8, depth=2, block_params=60).eval()
    machine = ModelMachine(model)
    codes, letters = np.repeat(machine.start(), 6, axis=0), np.array([0, 1, 1, 0, 1, 0])
    for _ in range(4):  # a step from codes is a step of the model from the state that they stand for
        step = machine.step(codes, letters)
        logits, state = model.step(torch.from_numpy(letters), machine._decode(codes))
        assert np.array_equal(machine._encode(state), step.codes)
        assert np.array_equal(logits.argmax(-1).numpy(), step.answers)
        assert (step.margins >= 0).all()
        codes = step.codes
    found = certificate(model, task, max_states=300)
    assert found["float64"]["disagreeing_steps"] == found["other_batch_size"]["disagreeing_steps"] == 0


def test_a_margin_is_how_far_the_nearest_decision_lies(composed):
    """Moved by less than its margin nothing changes, by more than it something does: the threshold of one unit."""
    mixer = lra_mru.make_mixer("bmru", d_model=8, train_length=20)
    torch.manual_seed(0)
    x, state = torch.randn(50, 8), mixer.initial_state(50)
    margin, (_, before) = mixer.margin(x, state), mixer.step(x, state)
    for factor, same in [(0.99, True), (1.01, False)]:
        for row in range(50):
            changed = []
            for sign in (-1, 1):
                moved = copy.deepcopy(mixer)
                with torch.no_grad():
                    moved.to_threshold.bias += sign * factor * margin[row]
                changed.append(not torch.equal(moved.step(x[row : row + 1], state[:1])[1], before[row : row + 1]))
            assert any(changed) != same
