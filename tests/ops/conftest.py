"""A test that takes `op_case` runs for every op, case and dtype; `double_case` in float64 and complex128 alone."""

import pytest
import torch
from ops.op_cases import TOLERANCE, op_cases

FIXTURES = {"op_case": set(TOLERANCE), "double_case": {torch.float64, torch.complex128}}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, dtypes in FIXTURES.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, op_cases(dtypes), ids=str)
