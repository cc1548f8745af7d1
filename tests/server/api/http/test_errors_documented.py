"""`docs/errors.md` explains each type of problem, and no other."""

import re
from http import HTTPStatus

from everturn.server.api.http.problems import KINDS, problem_of, problem_of_status
from everturn.server.app import AGENT_ERRORS
from tests.service import ROOT

_ROW = re.compile(r'^\| <a id="([\w-]+)"></a>`\1` \| (\d{3}) \| .{10,} \|$', re.MULTILINE)
_BY_STATUS = re.compile(r"problem_of_status\(\s*(\d{3})")
_BY_NAME = re.compile(r'Problem\(\s*type="([\w-]+)"')
_OF_STARLETTE = {404, 405}
"""What its routers raise."""
_OF_AUTH = {401, 403}


def documented() -> dict[str, int]:
    text = (ROOT / "docs" / "errors.md").read_text()
    return {name: int(status) for name, status in _ROW.findall(text)}


def in_code() -> set[str]:
    texts = [path.read_text() for path in (ROOT / "server").rglob("*.py")]
    named = {name for text in texts for name in _BY_NAME.findall(text)}
    found = {int(status) for text in texts for status in _BY_STATUS.findall(text)}
    return named | {problem_of_status(n, "").type for n in found | _OF_STARLETTE | _OF_AUTH}


def test_every_type_is_explained_once() -> None:
    kinds = {kind.type for kind in (KINDS | AGENT_ERRORS).values()}
    unexpected = problem_of(ValueError("hushed"))
    assert documented().keys() == kinds | in_code() | {unexpected.type}
    assert "hushed" not in unexpected.detail


def test_with_its_status() -> None:
    shown = documented()
    for kind in (KINDS | AGENT_ERRORS).values():
        assert shown[kind.type] == kind.status
    for name, status in shown.items():
        assert HTTPStatus(status), name
