"""Models and mixers from Python, as in a notebook."""

import doctest

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from support import MODELS, ROOT, TOKENS

import lra_mru
from lra_mru import make

SMALL = {"d_model": 16, "depth": 2, "block_params": 40}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_one_line_and_equals_what_a_run_builds(name, small_model):
    torch.manual_seed(0)
    ours, theirs = lra_mru.make_model(name, spec=TOKENS, **SMALL), small_model(name)
    assert ours.settings["pattern"] == theirs.settings["pattern"]
    for (key, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert key == other
        assert torch.equal(a, b)


def test_the_examples_of_the_module_run():
    done = doctest.testmod(make)
    assert done.attempted > 5
    assert done.failed == 0


def test_the_notebook_of_the_readme_runs():
    section = (ROOT / "README.md").read_text().split("## In a notebook\n")[1].split("\n## ")[0]
    cell = "\n".join(line.removeprefix("    ") for line in section.splitlines() if line.startswith("    "))
    names: dict = {}
    exec(compile(cell, "README.md", "exec"), names)
    y, _ = names["mixer"](torch.randn(2, 9, 64))
    assert y.shape == (2, 9, 64)
    assert names["model"](torch.randint(16, (2, 9))).shape == (2, 8)


def test_hydra_stays_as_it_was(composed):
    before = GlobalHydra.instance().hydra  # the session's, open
    assert before is not None
    lra_mru.make_mixer("lru", d_model=8, train_length=30)
    assert GlobalHydra.instance().hydra is before
    assert composed("model=lru").model.pattern == ["lru"]


def test_a_change_reaches_the_mixer_and_leaves_the_rest():
    mixer = lra_mru.make_mixer("bmru_carry", d_model=8, train_length=30, expand=2.0)
    assert (mixer.num_states, mixer.carry_grad) == (16, 1.0)
    model = lra_mru.make_model("hybrid", spec=TOKENS, **SMALL, mixers={"bmru": {"expand": 2.0}})
    assert [mixer.state_bytes(1) for mixer in model.mixers()] == [4 * 32, 8 * 8]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: lra_mru.make_model("bmr", spec=TOKENS), "model 'bmr' must be one of bmru, "),
        (lambda: lra_mru.make_model("bmru", spec=TOKENS, d_modl=8), "bmru has no key 'd_modl': it has d_model, "),
        (lambda: lra_mru.make_model("bmru", spec=TOKENS, d_model="wide"), "bmru.d_model='wide' must be of type int"),
        (lambda: lra_mru.make_model("bmru", spec=TOKENS, mixers={"lru": {}}), "bmru.mixers has no key 'lru'"),
        (lambda: lra_mru.make_mixer("hybrid", d_model=8, train_length=30), "hybrid has several mixers"),
        (lambda: lra_mru.make_mixer("lru", d_model=8, train_length=30, r_min=2.0), "r_min=2.0"),
    ],
)
def test_a_mistake_is_a_value_error_in_one_line(call, says):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        call()
    assert says in str(caught.value)
