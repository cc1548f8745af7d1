"""The service answers what its OpenAPI document says, whatever it is sent: see `tests.fuzz`.

Here only what the document itself suggests, more than 6,000 requests: the same ones each time.
"""

import re
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.service import process

pytest.importorskip("schemathesis", reason="not among the lowest versions")


@pytest.mark.slow
def test_every_answer_is_as_the_document_says(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with process(data_dir) as running:
        failed = fuzz(running.url(), seed=13, examples=1, phases="coverage")
    report = capfd.readouterr().out
    print(report)
    assert not failed, report
    generated = re.search(r"(\d+) generated", report)
    assert generated
    assert int(generated[1]) >= 1500
