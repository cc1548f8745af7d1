"""Rules: which one is asked, for whom, and what becomes of what it says."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from langgraph_sdk.auth.types import AuthContext
from starlette.exceptions import HTTPException

from everturn.checkpoints.sql.matches import EVERYTHING
from everturn.server.access.access import Everybody, HandlerAccess
from everturn.server.access.caller import acting_as, caller_of
from everturn.server.errors import Forbidden, InvalidRule

Rule = Callable[..., Awaitable[Any]]

ADA = caller_of({"identity": "ada", "permissions": ["read"]})


def named(name: str) -> Rule:
    async def rule(ctx: AuthContext, value: dict[str, Any]) -> dict[str, str]:
        value["asked"] = name, ctx.user.identity, ctx.permissions, ctx.resource, ctx.action
        return {"owner": name}

    return rule


def saying(answer: object) -> HandlerAccess:
    async def rule(ctx: AuthContext, value: dict[str, Any]) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return HandlerAccess({("*", "*"): rule})


async def test_the_most_specific_rule_is_asked() -> None:
    places = [("threads", "create"), ("threads", "*"), ("*", "create"), ("*", "*")]
    rules = {place: named("/".join(place)) for place in places}
    for place in places:
        value: dict[str, Any] = {}
        with acting_as(ADA):
            allowed = await HandlerAccess(rules).allowed("threads", "create", value)
        name = "/".join(place)
        assert value["asked"] == (name, "ada", ["read"], "threads", "create")
        assert allowed.fits({"owner": name})
        assert not allowed.fits({"owner": "other"})
        del rules[place]
    with acting_as(ADA):  # nobody says anything of it
        assert await HandlerAccess(rules).allowed("threads", "create", {}) is EVERYTHING


async def test_the_service_itself_is_not_asked_for_permission() -> None:
    assert await saying(False).allowed("threads", "read", {}) is EVERYTHING
    assert await Everybody().allowed("threads", "read", {}) is EVERYTHING


@pytest.mark.parametrize("answer", [None, True, {}])
async def test_yes_has_three_forms(answer: object) -> None:
    with acting_as(ADA):
        assert await saying(answer).allowed("threads", "read", {}) is EVERYTHING


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (False, Forbidden, "crons.read is not allowed"),
        (AssertionError("not you"), Forbidden, "not you"),
        (HTTPException(404), HTTPException, "404"),
        (ValueError("a secret"), InvalidRule, "crons.read failed; the log"),
        ("yes", InvalidRule, "not a str"),
        (1, InvalidRule, "not a int"),
        ({"owner": {"$in": ["ada"]}}, InvalidRule, r"no operator \$in"),
    ],
)
async def test_anything_else_is_no(answer: object, error: type[Exception], words: str) -> None:
    with acting_as(ADA), pytest.raises(error, match=words):
        await saying(answer).allowed("crons", "read", {})


async def test_metadata_that_a_rule_leaves_is_plain_json() -> None:
    async def rule(ctx: AuthContext, value: dict[str, Any]) -> None:
        value["metadata"] = {"at": datetime(2026, 1, 1, tzinfo=UTC), "by": ("a", "b")}

    value: dict[str, Any] = {}
    with acting_as(ADA):
        await HandlerAccess({("*", "*"): rule}).allowed("threads", "create", value)
    assert value["metadata"] == {"at": "2026-01-01 00:00:00+00:00", "by": ["a", "b"]}


async def test_metadata_that_is_no_object_is_refused() -> None:
    async def rule(ctx: AuthContext, value: dict[str, Any]) -> None:
        value["metadata"] = ["owner"]

    with acting_as(ADA), pytest.raises(InvalidRule, match="`metadata` must be an object"):
        await HandlerAccess({("*", "*"): rule}).allowed("threads", "create", {})
