"""Every door that OpenAPI names, and every caller.

Nobody, a key that lets nobody in, one without the scope, a stranger, the owner, an operator.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from everturn.server.access.scopes import ADMIN, METRICS, RUNS
from everturn.server.api.http.authentication import OPEN
from everturn.server.api.http.problems import IDEMPOTENCY_KEY, REPLAYED
from everturn.server.app import create_app
from everturn.server.settings import Settings
from tests.server.access.doors import DOORS, SECRET, Door, Things
from tests.server.access.own_keys import bearer, key_in
from tests.server.access.own_users import (
    PROJECT,
    REFUSED,
    Callers,
    Who,
    by_owner,
    callers,
    data_of_owners,
)

__all__ = ["by_owner", "callers", "data_of_owners"]

Place = tuple[str, str]
Sent = Mapping[str, Mapping[str, str]]
"""Headers that callers sign in with, by what they are."""

OF_SOMEBODY = [place for place, door in DOORS.items() if door.kind not in {"open", "shared"}]
NAMING = [(*place, n) for place, door in DOORS.items() for n in range(len(door.naming))]


def operations() -> dict[Place, Any]:
    paths = create_app(Settings.read({"config": PROJECT})).openapi()["paths"]
    return {(m.upper(), path): each for path, found in paths.items() for m, each in found.items()}


def test_every_door_is_described() -> None:
    assert operations().keys() == DOORS.keys(), (
        "describe in `doors.py` what somebody else is answered there"
    )
    assert {path for (_, path), door in DOORS.items() if door.kind == "open"} == {
        "/page/config.json",
        *(path for path in OPEN - {"/openapi.json", "/metrics"} if "docs" not in path),
    }


def ask(
    who: Who, place: Place, things: Things, body: Any = None, key: str | None = None
) -> httpx.Response:
    """Send to a door what is to be sent; a stream is read, to its end if it has one."""
    method, path = place
    door = DOORS[place]
    where = door.place(path, things)
    body = door.body(things) if body is None else body
    headers = {**door.headers, **({IDEMPOTENCY_KEY: key} if key else {})}
    sent: Any = {"params": door.query(things), "headers": headers}
    sent |= {} if body is None else {"json": body}
    with who.client.stream(method, where, **sent) as answer:
        if door.waits and answer.is_success:
            things.release()
        if door.endless and answer.is_success:
            assert any(SECRET in line or not door.shows for line in answer.iter_lines())
        else:
            answer.read()
    return answer


def text_of(door: Door, answer: httpx.Response) -> str:
    return SECRET if door.endless and answer.is_success else answer.text


@pytest.fixture(scope="module")
def refused(by_owner: str, data_of_owners: Path) -> Sent:
    """What lets nobody in; the keys would be operators'."""
    expired = key_in(data_of_owners, "expired", [ADMIN], timedelta(0))
    revoked = key_in(data_of_owners, "revoked", [ADMIN], revoked=True)
    keys = {"expired": bearer(expired), "revoked": bearer(revoked)}
    return {**REFUSED, **keys, "revoked, in its other header": {"x-api-key": revoked}}


@pytest.fixture(scope="module")
def scoped(by_owner: str, data_of_owners: Path) -> Sent:
    """Keys that let in, by what they are for."""
    scopes = {"runs": [RUNS], "metrics": [METRICS], "nothing": []}
    return {name: bearer(key_in(data_of_owners, name, each)) for name, each in scopes.items()}


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_nobody_comes_in_without_a_key_that_works(
    method: str, path: str, by_owner: str, refused: Sent
) -> None:
    opens = DOORS[method, path].kind == "open"
    place = path.replace("{", "").replace("}", "")
    with httpx.Client(base_url=by_owner) as client:
        for name, headers in refused.items():
            answer = client.request(method, place, headers=headers, json={})
            if opens:
                assert answer.status_code not in {401, 403}, (name, answer.text)
                continue
            assert answer.status_code == 401, (name, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_nor_without_the_scope(method: str, path: str, by_owner: str, scoped: Sent) -> None:
    kind = DOORS[method, path].kind
    needed = "admin" if kind == "operators" else "runs"
    needed = "metrics" if path == "/metrics" or path.startswith("/api/now") else needed
    place = path.replace("{", "").replace("}", "")
    with httpx.Client(base_url=by_owner) as client:
        for name in scoped.keys() - {needed}:
            answer = client.request(method, place, headers=scoped[name], json={})
            if kind == "open":
                assert answer.status_code not in {401, 403}, (name, answer.text)
                continue
            assert answer.status_code == 403, (name, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert f'scope="{needed}"' in answer.headers["www-authenticate"]
            assert needed in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), OF_SOMEBODY)
def test_what_is_somebody_elses_is_not_there(
    method: str, path: str, callers: Callers, tmp_path: Path
) -> None:
    place, door = (method, path), DOORS[method, path]
    owner, stranger = callers.new(), callers.new()
    things = Things(owner, tmp_path)
    theirs = Things(stranger, tmp_path) if door.kind == "own" else things
    answer = ask(stranger, place, theirs)
    if door.kind == "operators":
        assert answer.status_code == 403, answer.text
        assert "the scope" in answer.json()["detail"]
        assert ask(owner, place, things).status_code == 403
        return
    if door.kind == "named":
        assert answer.status_code == 404, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    elif door.kind == "listed":
        assert answer.is_success, answer.text
        assert answer.json() == door.nothing
    if door.kind != "own":
        assert SECRET not in answer.text
        assert owner.identity not in answer.text or owner.identity in door.query(things).values()

    own = ask(owner, place, things)
    assert own.is_success, own.text
    assert not door.shows or SECRET in text_of(door, own)
    assert door.kind != "listed" or own.json() != door.nothing


@pytest.mark.parametrize(("method", "path", "number"), NAMING)
def test_nor_can_it_be_named_in_what_is_sent(
    method: str, path: str, number: int, callers: Callers, tmp_path: Path
) -> None:
    owner, stranger = callers.new(), callers.new()
    things = Things(owner, tmp_path)
    body = DOORS[method, path].naming[number](things)
    answer = ask(stranger, (method, path), things, body)
    assert answer.status_code == 404, answer.text
    assert SECRET not in answer.text
    assert ask(owner, (method, path), things, body).is_success


KEYED = sorted(
    place
    for place, operation in operations().items()
    if any(each["name"] == IDEMPOTENCY_KEY for each in operation.get("parameters", ()))
)


@pytest.mark.parametrize(("method", "path"), KEYED)
def test_the_key_of_a_request_is_its_callers(
    method: str, path: str, callers: Callers, tmp_path: Path
) -> None:
    place, key = (method, path), str(uuid4())
    owner, stranger = callers.new(), callers.new()
    things, theirs = Things(owner, tmp_path), Things(stranger, tmp_path)
    first = ask(owner, place, things, key=key)
    assert first.is_success, first.text
    if "{" in path:  # the very same request
        assert ask(stranger, place, things, key=key).status_code == 404
    other = ask(stranger, place, theirs, key=key)
    assert other.is_success, other.text
    assert REPLAYED not in other.headers
    again = ask(owner, place, things, key=key)
    assert again.headers[REPLAYED] == "true"
    assert again.headers.get("content-location") == first.headers.get("content-location")


@pytest.mark.parametrize(("method", "path"), OF_SOMEBODY)
def test_an_operator_has_it_all(method: str, path: str, callers: Callers, tmp_path: Path) -> None:
    door = DOORS[method, path]
    owner, operator = callers.new(), callers.new(admin=True)
    things = Things(owner, tmp_path)
    answer = ask(operator, (method, path), things)
    if "{memory_id}" in path:  # memories are in the store
        assert answer.status_code == 404, answer.text
        return
    assert answer.is_success, answer.text
    if not path.startswith(("/store", "/api/memories")):  # operators have a part of their own
        assert not door.shows or SECRET in text_of(door, answer)
        assert door.kind != "listed" or answer.json() != door.nothing
