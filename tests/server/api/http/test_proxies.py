"""Proxies before the service: whose word counts, and how far."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from everturn.server.api.http.in_process import IN_PROCESS
from everturn.server.api.http.proxies import BehindProxies, Proxies
from everturn.server.settings import Settings, WrongSettings
from tests.service import Client, serving

NEAR, FAR, CLIENT, LIE = "10.0.0.1", "10.0.0.2", "203.0.113.7", "192.0.2.66"
TRUSTED = "10.0.0.0/8, fd00::/8, 127.0.0.1"


async def through(
    headers: Sequence[tuple[str, str]], peer: str = NEAR, trusted: str = TRUSTED, **scope: Any
) -> tuple[tuple[str, str], list[Message]]:
    """Send one request through the middleware; returns the client and scheme, and the answer."""
    seen: list[tuple[str, str]] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["client"][0], scope["scheme"]))

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    asked = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": raw, **scope}
    await BehindProxies(app, Proxies(trusted))(asked, receive, send)
    return (seen[0] if seen else ("", "")), sent


FOR, PROTO, FORWARDED = "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([], NEAR),
        ([(FOR, CLIENT)], CLIENT),
        ([(FOR, f"{LIE}, {CLIENT}")], CLIENT),
        ([(FOR, f"{LIE}, {CLIENT}, {FAR}")], CLIENT),
        ([(FOR, LIE), (FOR, CLIENT), (FOR, FAR)], CLIENT),
        ([(FOR, f"{NEAR}, {CLIENT}")], CLIENT),  # a client that says it were a proxy
        ([(FOR, f"{FAR}, {NEAR}")], FAR),  # all are proxies: the farthest asks
        ([(FOR, f"{CLIENT}:4711")], CLIENT),
        ([(FOR, f" {CLIENT} ,, ")], CLIENT),
        ([(FOR, "[2001:db8::7]:4711, 10.9.9.9")], "2001:db8::7"),
        ([(FOR, "2001:DB8:0::7")], "2001:db8::7"),
        ([(FOR, f"::ffff:{CLIENT}")], CLIENT),
        ([(FOR, f"{LIE}, ::ffff:{FAR}")], LIE),
        ([(FOR, f"{LIE}, unknown, {FAR}")], FAR),
        ([(FOR, f"{LIE}, 1.2.3")], NEAR),
        ([(FOR, "")], NEAR),
        ([(FOR, "x" * 60_000)], NEAR),
        ([(FOR, f"{LIE}," * 5000 + CLIENT)], CLIENT),
        ([(FOR, f"{LIE}," + f"{FAR}," * 5000 + FAR)], FAR),
        ([(FORWARDED, f"for={LIE}, for={CLIENT};by={NEAR}")], CLIENT),
        ([(FORWARDED, f'For="{CLIENT}:80" ; proto=http')], CLIENT),
        ([(FORWARDED, 'for="[2001:db8::7]:4711"')], "2001:db8::7"),
        ([(FORWARDED, f"for={LIE}, for=_hidden, for={FAR}")], FAR),
        ([(FORWARDED, f'for="{LIE}, for={CLIENT}')], CLIENT),  # a quote that is never closed
        ([(FORWARDED, f"by={LIE}")], NEAR),
        ([(FOR, f"{LIE}, {CLIENT}"), (FORWARDED, f"for={CLIENT}")], CLIENT),
        ([("X-Real-IP", LIE), ("X-Client-IP", LIE), ("True-Client-IP", LIE)], NEAR),
    ],
)
async def test_the_client_is_the_last_that_is_no_proxy(
    headers: list[tuple[str, str]], client: str
) -> None:
    (found, _), _ = await through(headers)
    assert found == client


@pytest.mark.parametrize("peer", ["203.0.113.9", "11.0.0.1", "::1", "localhost", ""])
async def test_nobody_else_is_believed(peer: str) -> None:
    claims = [(FOR, LIE), (PROTO, "https"), (FORWARDED, f"for={LIE};proto=https")]
    assert (await through(claims, peer))[0] == (peer, "http")


async def test_a_proxy_may_come_over_ipv6() -> None:
    assert (await through([(FOR, CLIENT)], "fd00::1"))[0][0] == CLIENT
    assert (await through([(FOR, CLIENT)], f"::ffff:{NEAR}"))[0][0] == CLIENT


async def test_without_a_client_or_from_inside_nothing_is_corrected() -> None:
    with pytest.raises(TypeError):  # it came through as it was
        await through([(FOR, LIE)], client=None)
    (found, _), _ = await through([(FOR, LIE)], NEAR, TRUSTED, **{IN_PROCESS: True})
    assert found == NEAR


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ([(PROTO, "https")], "https"),
        ([(PROTO, "HTTPS"), (FOR, CLIENT)], "https"),
        ([(PROTO, "http, https"), (FOR, CLIENT)], "https"),  # the nearest proxy's word
        ([(PROTO, "https, http"), (FOR, CLIENT)], "http"),
        ([(PROTO, "https, http"), (FOR, f"{CLIENT}, {FAR}")], "https"),  # a word for each
        ([(PROTO, "https, http, http"), (FOR, f"{LIE}, {CLIENT}, {FAR}")], "http"),
        ([(PROTO, "javascript")], "http"),
        ([(FORWARDED, f"for={CLIENT};proto=https")], "https"),
        ([(FORWARDED, f"for={LIE};proto=https, for={CLIENT};proto=http")], "http"),
    ],
)
async def test_the_scheme_is_the_clients(headers: list[tuple[str, str]], scheme: str) -> None:
    assert (await through(headers))[0][1] == scheme


@pytest.mark.parametrize(("said", "scheme"), [("https", "wss"), ("wss", "wss"), ("http", "ws")])
async def test_a_websocket_has_a_scheme_of_its_own(said: str, scheme: str) -> None:
    (_, found), _ = await through([(PROTO, said)], type="websocket", scheme="ws")
    assert found == scheme


async def test_two_headers_that_disagree_are_refused() -> None:
    both = [(FOR, CLIENT), (FORWARDED, f"for={LIE}")]
    seen, sent = await through(both)
    assert seen == ("", "")
    assert sent[0]["status"] == 400
    assert "different clients" in json.loads(sent[1]["body"])["detail"]
    seen, sent = await through(both, type="websocket")
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "Bad Request"}]
    assert (await through(both, peer=CLIENT))[0] == (CLIENT, "http")


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", "*", "10.0.0.1 b"])
def test_what_is_no_network_stops_the_start(wrong: str) -> None:
    with pytest.raises(WrongSettings) as caught:
        Settings.read({"trusted_proxies": f"127.0.0.1, {wrong}"})
    assert "10.1.0.0/16" in str(caught.value.rooms[0])


APP = """
from fastapi import FastAPI, Request
from langgraph.graph import START, StateGraph

graph = StateGraph(dict).add_node("node", lambda state: state).add_edge(START, "node").compile()
app = FastAPI()

@app.get("/mine")
def mine(request: Request):
    return [request.client.host, request.url.scheme]
"""


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_the_service_knows_the_client(trusted: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    config = tmp_path / "langgraph.json"
    project = {"graphs": {"agent": "./app.py:graph"}, "http": {"app": "./app.py:app"}}
    config.write_text(json.dumps(project))
    with serving(tmp_path / "data", config=config, trusted_proxies=trusted) as client:
        answer = asked(client)
        if trusted:
            assert answer == [CLIENT, "https"]
            refused = client.get("/ok", headers={FOR: CLIENT, FORWARDED: f"for={LIE}"})
            assert refused.status_code == 400
            assert refused.headers["x-content-type-options"] == "nosniff"
            assert refused.headers["x-request-id"]
        else:
            assert answer == ["127.0.0.1", "http"]


def asked(client: Client) -> list[str]:
    answer = client.get("/mine", headers={FOR: f"{LIE}, {CLIENT}", PROTO: "https"})
    assert ("strict-transport-security" in answer.headers) == ("https" in answer.json())
    said: list[str] = answer.json()
    return said
