"""Specialists that live elsewhere: a strict A2A agent, and servers that are away or wrong."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from pydantic import HttpUrl

from everturn.graph.specialists.kit.remote import calls_from
from everturn.graph.specialists.kit.settings import NamedSpecialist
from everturn.graph.steps.delegation import Report
from tests.a2a_agent import Agent, serving_agent


async def ask(kind: Any, url: str, seconds: float = 30.0, **more: Any) -> Report:
    named = NamedSpecialist(name="far", purpose="x", kind=kind, url=HttpUrl(url), **more)
    remote = named.specialist().remote
    assert remote is not None

    async def call(task: str) -> Report:
        return await remote.ask(task, seconds, "key-1", 1)

    report = await RunnableLambda(call).ainvoke("what is it?")
    assert isinstance(report, Report)
    return report


@pytest.mark.parametrize("version", ["0.3.0", "1.0"])
@pytest.mark.parametrize("looks", [None, 0, 2])
async def test_an_a2a_agent_answers(version: str, looks: int | None) -> None:
    with serving_agent(Agent(version=version, looks=looks, answer="It is 42.")) as agent:
        report = await ask("a2a", agent.url)
    assert agent.flaws == []
    assert (report.text, report.failed) == ("It is 42.", False)
    assert agent.asked[0]["parts"][0]["text"] == "what is it?"
    assert agent.asked[0]["messageId"] == "key-1"
    assert agent.asked[0]["metadata"] == {"team_depth": 1}


@pytest.mark.parametrize("version", ["0.3.0", "1.0"])
@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("failed", "ended with failed: no"),
        ("rejected", "ended with rejected: no"),
        ("input-required", "waits for a person: no"),
    ],
)
async def test_a_task_that_brings_nothing_says_why(version: str, state: str, says: str) -> None:
    with serving_agent(Agent(version=version, looks=1, state=state, answer="no")) as agent:
        report = await ask("a2a", agent.url)
    assert report.failed
    assert says in report.text
    assert agent.flaws == []


async def test_a_task_that_takes_too_long_is_cancelled() -> None:
    with serving_agent(Agent(looks=10**6)) as agent:
        report = await ask("a2a", agent.url, 3.0)
    assert report.failed
    assert report.text == "far did not answer within 3 s"
    assert agent.methods[-1] == "cancel"


async def test_headers_are_brought_and_a_wrong_key_is_told() -> None:
    with serving_agent(Agent(key="secret")) as agent:
        good = await ask("a2a", agent.url, headers={"Authorization": "Bearer secret"})
        wrong = await ask("a2a", agent.url)
    assert not good.failed
    assert wrong.text == "far answered with status 401"


async def test_a_card_may_not_lead_inside() -> None:
    """The setting names one address on this machine; its card may not send us to another one."""
    with serving_agent(Agent(key="secret")) as other:
        lead = Agent(key="secret", endpoint=f"{other.url}/rpc")
        with serving_agent(lead) as agent:
            report = await ask("a2a", agent.url, headers={"Authorization": "Bearer secret"})
    assert report.failed
    assert "not a public host" in report.text
    assert other.methods == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/rpc", "http://[", "http://x:y/"])
async def test_a_card_may_name_what_is_no_address(url: str) -> None:
    with serving_agent(Agent(endpoint=url)) as agent:
        report = await ask("a2a", agent.url)
    assert report.failed
    assert "names no address" in report.text


@pytest.mark.parametrize("said", ["x", ["x"], 1])
async def test_an_answer_that_is_no_task_is_told(said: Any) -> None:
    class Odd(Agent):
        def _result(self, method: str) -> dict[str, Any]:
            return {"task": said}

    with serving_agent(Odd(version="1.0")) as agent:
        report = await ask("a2a", agent.url)
    assert report == Report("far gave no answer in words", failed=True)


@pytest.mark.parametrize("kind", ["a2a", "langgraph"])
async def test_one_that_is_away_says_so(kind: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        report = await ask(kind, f"http://127.0.0.1:{free.getsockname()[1]}")
    assert report == Report("far could not be reached", failed=True)


@contextmanager
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["a2a", "langgraph"])
async def test_one_that_says_nothing_has_its_time(kind: str) -> None:
    with silent() as url:
        report = await ask(kind, url, timeout=0.5)
    assert report == Report("far did not answer within 0.5 s", failed=True)


async def test_what_is_no_langgraph_server_is_told() -> None:
    with serving_agent(Agent()) as agent:
        report = await ask("langgraph", agent.url)
    assert report.text == "far answered with status 404"


def test_what_others_say_of_their_calls_is_read_with_care() -> None:
    told = [
        {"model": "m", "usage": {"input_tokens": 1, "output_tokens": 2}, "cost": 0.5},
        {"model": 7, "usage": {"input_tokens": -1, "total_tokens": "many"}, "cost": "free"},
        {"cost": float("inf"), "failure": "timeout"},
        "what?",
    ]
    nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    read = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    assert calls_from(told) == [
        {"model": "m", "usage": read, "cost": 0.5},
        {"model": "7", "usage": nothing},
        {"model": "unknown", "failure": "timeout"},
    ]
    assert calls_from({"no": "list"}) == []
