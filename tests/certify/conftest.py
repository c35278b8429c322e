import pytest

from lra_mru.engine.build import build


@pytest.fixture
def task(composed):
    return build(composed("task=flip_flop", "budget=quick").task, "task")
