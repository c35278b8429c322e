"""Parameters mean what W&B means by them; what Optuna lacks is refused by name."""

import math

import optuna
import pytest
import yaml

from lra_mru.engine.errors import ConfigError
from lra_mru.engine.sweep.space import Choice, Range, read_space

optuna.logging.set_verbosity(optuna.logging.ERROR)


def samples(text, count=200):
    space = read_space("p", yaml.safe_load(text))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask(), "p") for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("value: 3", Choice(("3",))),
        ("value: [16, 30]", Choice(("[16,30]",))),
        ("value: []", Choice(("[]",))),
        ("values: [true, null, bmru, 0.1]", Choice(("true", "null", "bmru", "0.1"))),
        ("{min: 1, max: 4}", Range(1, 4, integer=True)),
        ("{min: 1.0, max: 4}", Range(1, 4)),
        ("{min: 1e-4, max: 1e-2, distribution: log_uniform_values}", Range(1e-4, 1e-2, log=True)),
        ("{min: 0, max: 1, distribution: log_uniform}", Range(1, math.e, log=True)),
        ("{min: 0, max: 1, q: 0.25, distribution: q_uniform}", Range(0, 1, q=0.25)),
    ],
)
def test_a_parameter_is_read(text, space):
    assert read_space("p", yaml.safe_load(text)) == space


def test_yaml_reads_1e_4_as_text_and_we_as_a_number():
    assert yaml.safe_load("min: 1e-4") == {"min": "1e-4"}
    values = [float(v) for v in samples("{min: 1e-4, max: 1e-2, distribution: log_uniform_values}")]
    assert 1e-4 <= min(values) < 2e-4
    assert 0.4 < sum(v < 1e-3 for v in values) / len(values) < 0.6  # the middle of the logarithm


def test_q_gives_multiples_and_whole_numbers_where_q_is_whole():
    assert set(samples("{min: 0, max: 0.2, q: 0.05, distribution: q_uniform}")) == {"0", "0.05", "0.1", "0.15", "0.2"}
    widths = set(samples("{min: 32, max: 128, q: 16, distribution: q_log_uniform_values}"))
    assert widths == {str(k) for k in range(32, 129, 16)}
    assert set(samples("{min: 1, max: 4}")) == {"1", "2", "3", "4"}


def test_a_grid_counts_what_can_be_counted():
    assert read_space("p", {"min": 1, "max": 3}).grid() == Choice(("1", "2", "3"))
    assert Range(0, 0.2, q=0.1).grid() == Choice(("0", "0.1", "0.2"))
    assert Range(0, 1).num_points() == math.inf
    assert Range(-3, 4, integer=True).num_points() == 8
    for space in (Range(0, 0.2, q=0.1), Range(16, 128, q=16), Range(2, 9, integer=True)):
        assert space.num_points() == len(space.grid().values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{min: 0, max: 1, distribution: unifrom}", "p.distribution=unifrom: .*; did you mean uniform"),
        ("{mu: 0, distribution: normal}", "Optuna has no such distribution"),
        ("{distribution: beta}", "Optuna has no such distribution"),
        ("{values: [1, 2], probabilities: [0.1, 0.9]}", "p.probabilities: Optuna has no weighted choice"),
        ("{parameters: {lr: {value: 1}}}", "p.parameters: .* write names with dots"),
        ("{min: 0, max: 1, p: 3}", "p.p: int_uniform has no such key"),
        ("{min: 0}", "p needs value, values, or min and max"),
        ("{valeus: [1]}", "valeus; did you mean values"),
        ("{values: []}", "must be a list with at least one value"),
        ("{values: [1, 1]}", "has a value twice"),
        ("{min: 1, max: 1}", "min=1 must be below max=1"),
        ("{min: 0.0, max: 1, distribution: log_uniform_values}", "p.min=0.0 must be above 0"),
        ("{min: some, max: 1}", "p.min='some' must be a finite number"),
        ("{min: 0, max: 1, q: 0, distribution: q_uniform}", "p.q=0 must be above 0"),
        ("{min: 0, max: 1, q: 1.0e-300, distribution: q_uniform}", "p.q=1e-300 is too small for min=0 and max=1"),
        ("{min: 0, max: 100000000000000000000}", "p: min=0 and max=.* must be below 9,007,199,254,740,992 in size"),
        ("{min: 0, max: 1000, distribution: log_uniform}", "p: min=0 and max=1000 are exponents of e, at most 700"),
        ("3", "p=3 must have value, values"),
    ],
)
def test_what_cannot_be_sampled_is_named(text, message):
    with pytest.raises(ConfigError, match=message):
        read_space("p", yaml.safe_load(text))
