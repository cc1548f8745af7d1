"""Which limits a request falls under, whose they are, and how they are written."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.limits import Left, Taken
from everturn.server.access.caller import Caller
from everturn.server.access.counting import AWAY_SECONDS
from everturn.server.access.limit_notation import MAX_TIMES, Limit, parse_limits
from everturn.server.access.limit_settings import LimitSettings
from everturn.server.access.limits import kind_of, limited_as, rate_limits
from everturn.server.settings import Settings, WrongSettings
from tests.server.access.test_owners import routes

ADA = Caller({"identity": "ada"})
OPERATOR = Caller({"identity": "root", "permissions": ["admin"]})


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("10/minute", [(10, 60)]),
        ("10/minute;100/day", [(10, 60), (100, 86_400)]),
        (" 5 per 2 hours ; 3/second; ", [(5, 7200), (3, 1)]),
        ("20/5minute, 20/5minute", [(20, 300)]),
        ("20/minute; 100/day; 10/60 seconds", [(10, 60), (100, 86_400)]),
        ("5/year", [(5, 360 * 86_400)]),
        ("Off", []),
    ],
)
def test_limits_are_read(text: str, limits: list[tuple[int, int]]) -> None:
    assert list(parse_limits(text)) == limits


@pytest.mark.parametrize(
    "text",
    [
        *("ten", "10", "0/minute", "-1/minute", "10/fortnight", "10/minute;x"),
        *(f"{MAX_TIMES + 1}/day", "10/2years", "10/99999999999years"),
    ],
)
@pytest.mark.parametrize("name", ["rate_limit", "request_limit"])
def test_what_cannot_be_read_is_refused_with_what_can(name: str, text: str) -> None:
    with pytest.raises(WrongSettings) as refused:
        Settings.read({name: text})
    (room,) = refused.value.rooms
    (error,) = room.errors()
    assert error["loc"] == (name,)
    assert "10/minute;100/day" in error["msg"]


@pytest.mark.parametrize(
    ("settings", "auth", "turns", "requests"),
    [
        ({}, False, [], []),
        ({}, True, [Limit(10, 60)], []),
        ({"rate_limit": "off"}, True, [], []),
        ({"rate_limit": "2/second"}, False, [Limit(2, 1)], []),
        ({"request_limit": "5/hour"}, True, [Limit(10, 60)], [Limit(5, 3600)]),
    ],
)
def test_what_is_limited(
    settings: dict[str, Any], auth: bool, turns: list[Limit], requests: list[Limit]
) -> None:
    made = rate_limits(LimitSettings(**settings), Counts(), list[str]().append, auth=auth)
    if made is None:
        assert [auth, turns, requests] == [False, [], []]
        return
    for caller in (None, ADA):
        assert [list(made.of("turns", caller)), list(made.of("requests", caller))] == [
            turns,
            requests,
        ]
    assert not made.of("turns", OPERATOR)
    assert not made.of("requests", OPERATOR)


@pytest.mark.parametrize(
    ("said", "turns"),
    [
        ("3/second", [(3, 1)]),
        ("off", []),
        (None, [(10, 60)]),
    ],
)
@pytest.mark.parametrize("permissions", [[], ["admin"]])
def test_a_caller_may_have_limits_of_their_own(
    said: object, turns: list[tuple[int, int]], permissions: list[str]
) -> None:
    limits = rate_limits(LimitSettings(), Counts(), list[str]().append, auth=True)
    assert limits is not None
    about = {"identity": "eve", "permissions": permissions}
    eve = Caller({**about, "rate_limit": said})
    assert list(limits.of("turns", eve)) == ([] if said is None and permissions else turns)
    assert not limits.of("requests", eve)
    assert list(limits.of("requests", Caller({**about, "request_limit": "9/day"}))) == [(9, 86_400)]


def test_what_starts_or_answers_a_turn() -> None:
    """Of all routes there are: a new one that does belongs in this list."""
    found = {path for method, path in routes() if kind_of(method, path) == "turns"}
    on = "/threads/{thread_id}/runs"
    assert found == {
        *("/invoke", "/stream", "/api/chat/message", "/api/chat/message/stream"),
        *(f"/api/chat/session/{{session_id}}/resume{how}" for how in ("", "/stream")),
        *("/runs", "/runs/wait", "/runs/stream", "/runs/crons", "/runs/batch"),
        *(on, f"{on}/wait", f"{on}/stream", f"{on}/crons"),
        "/threads/{thread_id}/commands",
    }


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a unix socket", "a unix socket"),
        (None, ""),
    ],
)
def test_who_did_not_sign_in_is_an_address(address: str | None, network: str) -> None:
    unknown = Caller({"identity": "anonymous", "is_authenticated": False})
    assert limited_as(None, address) == limited_as(unknown, address) == f"address {network}"
    assert limited_as(ADA, address) == "caller ada"


class Counts:
    """A count that can be away."""

    def __init__(self) -> None:
        self.asked = 0

    async def take(self, who: str, limits: Sequence[tuple[int, int]], times: int = 1) -> Taken:
        self.asked += 1
        if self.asked == 1:
            raise StoreUnavailable("It is away.")
        return Taken(passes=False, left=[Left(times=0, resets=1, room=1)])


async def test_what_cannot_be_counted_passes_and_is_not_asked_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts, hit = Counts(), list[str]()
    limits = rate_limits(LimitSettings(), counts, hit.append, auth=True)
    assert limits is not None
    assert [await limits.count("turns", ADA, None) for _ in range(3)] == [None, None, None]
    assert counts.asked == 1
    later = monotonic() + AWAY_SECONDS
    monkeypatch.setattr("everturn.server.access.counting.monotonic", lambda: later)
    counted = await limits.count("turns", ADA, None)
    assert counted is not None
    assert not counted.passes
    assert hit == ["turns"]
