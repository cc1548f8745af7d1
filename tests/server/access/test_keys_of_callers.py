"""Whose an `Idempotency-Key` is: two callers may choose the same one, and nobody gets another's."""

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from everturn.server.api.http.problems import IDEMPOTENCY_KEY, REPLAYED
from tests.server.access.project import data, headers, url

__all__ = ["data", "url"]

ASKED = {"input": {"messages": "Hi"}}
BODIES = {"/runs/wait": {"assistant_id": "agent", **ASKED}, "/api/chat/message": {"message": "Hi"}}


@pytest.mark.parametrize("path", BODIES)
def test_the_same_key_of_another_caller_is_another_key(url: str, path: str, data: Path) -> None:
    key = {IDEMPOTENCY_KEY: str(uuid4())}
    with httpx.Client(base_url=url) as client:
        first, other, again = (
            client.post(path, json=BODIES[path], headers={**headers(who), **key})
            for who in ("alice", "bob", "alice")
        )
    assert {each.status_code for each in (first, other, again)} == {200}, other.text
    assert (REPLAYED in other.headers, REPLAYED in again.headers) == (False, True)
    assert again.content == first.content
    places = [each.headers["content-location"] for each in (first, other, again)]
    assert places[0] == places[2] != places[1]
