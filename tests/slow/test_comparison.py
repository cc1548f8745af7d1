"""The comparison with LangGraph's development server finds no difference without a reason."""

import os
from pathlib import Path

import pytest

from tests.compare.__main__ import compare_answers
from tests.compare.servers import ENVIRONMENT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ENVIRONMENT not in os.environ, reason=f"{ENVIRONMENT} is not set"),
]


def test_every_difference_has_a_reason(tmp_path: Path) -> None:
    assert compare_answers(tmp_path) == 0
