"""The service answers what its OpenAPI document says, whatever it is sent: see `tests.fuzz`.

Here only what the document itself suggests, more than 3,000 requests: the same ones each time, and
again of those who have to sign in. Without a key or the scope, `test_matrix` asks each route.
"""

import re
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.server.access.own_keys import bearer, key_in
from tests.service import process

pytest.importorskip("schemathesis", reason="not among the lowest versions")


@pytest.mark.slow
def test_every_answer_is_as_the_document_says(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with process(data_dir) as running:
        failed = fuzz(running.url(), seed=13, examples=1, phases="coverage")
    _check(failed, capfd)


@pytest.mark.slow
def test_every_answer_about_what_is_somebody_elses_is_as_the_document_says(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with process(data_dir, EVERTURN_AUTH="on") as running:
        url = running.url()
        failed = fuzz(
            url,
            seed=13,
            examples=1,
            phases="coverage",
            headers=bearer(key_in(data_dir, "bob")),
            makers_headers=bearer(key_in(data_dir, "ada")),
        )
    _check(failed, capfd)


def _check(failed: int, capfd: pytest.CaptureFixture[str]) -> None:
    report = capfd.readouterr().out
    print(report)
    assert not failed, report
    generated = re.search(r"(\d+) generated", report)
    assert generated
    assert int(generated[1]) >= 1500
