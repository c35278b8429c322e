"""Walks: they agree with the model, follow every evaluation, and what their form says of words."""

import numpy as np
import pytest
import torch
from certify.hand_made import IGNORE_1, by_hand, certificate

import lra_mru
from lra_mru.certify.certificate import evaluations
from lra_mru.certify.model_machine import ModelMachine
from lra_mru.certify.verdict import judge
from lra_mru.certify.walk import Walk, walk
from lra_mru.records.proof import holds, proves


def test_a_walk_agrees_with_the_model_on_random_words(task):
    """Whatever the weights: a random model, its walk, and the model run on whole words."""
    torch.manual_seed(0)
    model = lra_mru.make_model("bmru", spec=task.spec, d_model=8, depth=2, block_params=40).eval()
    machine = task.machine()
    found = walk([ModelMachine(model)], machine, max_states=5000, max_seconds=60, batch=64, progress=print)
    step = {(s, a): (t, w) for s, a, t, w in zip(found.sources, found.by, found.targets, found.wrong, strict=True)}
    words = task.train_set().__getitems__(list(range(40)))
    answers = model(words.inputs)[:, :, :].argmax(-1).numpy()
    followed = 0
    for word, targets, answered in zip(words.inputs.numpy(), words.targets.numpy(), answers, strict=True):
        pair = 0
        for letter, target, answer in zip(word, targets, answered, strict=True):
            if (pair, letter) not in step:
                break
            pair, wrong = step[pair, letter]
            assert wrong == (target >= 0 and answer != target)
            followed += 1
    assert followed > 200


class Rounded(ModelMachine):
    """An evaluation in which one step comes out otherwise: a letter that the model ignores closes no gate."""

    def step(self, codes, letters):
        done = super().step(codes, letters)
        done.codes[letters == IGNORE_1] = -done.codes[letters == IGNORE_1]
        return done


def test_where_evaluations_differ_the_walk_follows_each(task, monkeypatch):
    """Of a right model and one that errs by rounding alone, the mixture fails; no whole word shows it."""
    model, machine = by_hand(task), task.machine()
    both = [ModelMachine(model), Rounded(model)]
    found = walk(both, machine, max_states=1000, max_seconds=60, batch=7, progress=print)
    assert found.closed
    assert found.differing[0] == 0 < found.differing[1]
    assert len(found.sources) == found.num_steps + found.differing[1]
    assert found.wrong.any()
    monkeypatch.setattr("lra_mru.certify.command.evaluations", lambda model, batch: [*both, both[0]])
    said = certificate(model, task)
    assert (said["grade"], said["claim"]) == (
        "open", "nothing is proven: words fail in a mixture of evaluations alone: rounding decides",
    )  # fmt: skip
    assert said["other_batch_size"]["disagreeing_steps"] == found.differing[1]


def test_steps_in_pieces_are_the_same_steps(task):
    usual, smaller, double = evaluations(by_hand(task), batch=3)
    codes, letters = np.repeat(usual.start(), 5, axis=0), np.arange(5)
    for other in (smaller, double):
        for one, two in zip(usual.step(codes, letters), other.step(codes, letters), strict=True):
            assert np.allclose(one, two, atol=1e-6)
    assert (smaller.batch, double.model.head.weight.dtype) == (1, torch.float64)


@pytest.mark.parametrize(("schema", "differing", "proven"), [(1, 0, True), (1, 1, False), (2, 1, True)])
def test_an_old_certificate_proves_nothing_where_rounding_decides(schema, differing, proven):
    found = {"schema": schema, "grade": "every word", "float64": {"disagreeing_steps": differing}}
    assert proves(found) == holds(found) == proven
    assert not proves(found | {"grade": "from length n"})


def walked(edges, wrong=()):
    """A closed walk of these (source, target) steps; pair 0 is the start."""
    sources, targets = np.array(edges).T
    num = int(targets.max()) + 1
    depths, parents = np.zeros(num, dtype=int), np.full(num, -1)
    for source, target in edges:
        if target and parents[target] == -1:
            parents[target], depths[target] = source, depths[source] + 1
    return Walk(
        codes=np.zeros((num, 1), dtype=np.int8), task_states=np.zeros(num, dtype=int), parents=parents,
        letters=np.zeros(num, dtype=int), depths=depths, sources=sources, by=np.zeros(len(edges), dtype=int),
        targets=targets, wrong=np.isin(np.arange(len(edges)), wrong), num_steps=len(edges), differing=[0],
        gaps=[1.0], margins=[1.0], closed=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("edges", "wrong", "grade", "from_length"),
    [
        ([(0, 1), (1, 1)], (), "every word", None),
        ([(0, 1), (1, 2), (0, 2), (2, 2)], (2,), "from length n", 2),  # the wrong step is the first letter
        ([(0, 1), (1, 2), (0, 2), (2, 3), (3, 3)], (3,), "from length n", 4),  # 0 1 2 3 is a word of three letters
        ([(0, 1), (1, 1), (1, 2), (2, 2)], (1,), "once settled", None),  # loops at 1 as long as it likes
        ([(0, 1), (1, 1)], (1,), "wrong", None),
    ],
)
def test_grades(edges, wrong, grade, from_length):
    verdict = judge(walked(edges, wrong))
    assert (verdict.grade, verdict.from_length) == (grade, from_length)
