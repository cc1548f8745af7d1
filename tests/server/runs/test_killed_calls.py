"""Processes that are killed among parallel tool calls: what has answered is not done again."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.samples import looking_into
from tests.checkpoints.stores import REDIS_URL, redis_store
from tests.provider import KEY, FakeProvider, Reply, Request, ToolCall
from tests.service import Process, process
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

TOOLS = '''
import asyncio
from pathlib import Path
from langchain_core.tools import tool
from everturn.tools.kit import attempt, idempotency_key

HERE = Path(__file__).parent

@tool
async def send_mail(to: str, seconds: float = 0) -> str:
    """Send a mail."""
    with (HERE / "journal").open("a") as journal:
        journal.write(f"{to} {idempotency_key()} {attempt()}\\n")
    await asyncio.sleep(seconds)
    while (HERE / f"held {to}").exists():
        await asyncio.sleep(0.01)
    return f"sent to {to}"
'''

Json = dict[str, Any]


class Mailer:
    """The tool's folder: which mails it holds back, and which it was asked to send."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "mail.py").write_text(TOOLS)

    def hold(self, to: str) -> None:
        (self.folder / f"held {to}").touch()

    def let(self, to: str) -> None:
        (self.folder / f"held {to}").unlink()

    def lines(self) -> list[list[str]]:
        """To whom, with which key, at which attempt."""
        journal = self.folder / "journal"
        return (
            [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []
        )

    def counts(self) -> Counter[str]:
        return Counter(to for to, _, _ in self.lines())


@pytest.fixture
def mailer(tmp_path: Path) -> Mailer:
    return Mailer(tmp_path / "mailer")


Start = Callable[..., AbstractContextManager[Process]]


@pytest.fixture
async def store() -> AsyncIterator[str]:
    async with redis_store() as found:
        yield found.prefix


@pytest.fixture
def start(data_dir: Path, mailer: Mailer, fake_provider: FakeProvider, store: str) -> Start:
    def run(**more: str) -> AbstractContextManager[Process]:
        return process(
            data_dir,
            REDIS_URL=REDIS_URL,
            EVERTURN_REDIS_PREFIX=store,
            EVERTURN_BASE_URL=fake_provider.url,
            OPENAI_API_KEY=KEY,
            EVERTURN_MODELS="model-a",
            EVERTURN_TOOL_PATHS=str(mailer.folder),
            **more,
        )

    return run


def mail(to: str, **more: Any) -> ToolCall:
    return ToolCall("send_mail", {"to": to, **more})


def done(_: Request) -> Reply:
    return Reply(text="done")


async def post(client: LangGraphClient, thread: str) -> str:
    turn: Json = {"messages": [{"role": "user", "content": "mail them"}]}
    run = await client.runs.create(thread, "agent", input=turn, if_not_exists="create")
    return str(run["run_id"])


async def results(client: LangGraphClient, thread: str, run_id: str) -> list[Json]:
    """The answers to the calls, once the run has ended well."""
    await asyncio.wait_for(client.runs.join(thread, run_id), PATIENCE)
    run = await client.runs.get(thread, run_id)
    assert run["status"] == "success"
    state: Any = await client.threads.get_state(thread)
    assert state["values"]["messages"][-1]["content"] == "done"
    return [each for each in state["values"]["messages"] if each["type"] == "tool"]


def kept(prefix: str, thread: str) -> set[str]:
    """The ids of calls whose answers are kept."""
    index, _ = Keyspace(prefix).thread(thread)
    with looking_into(REDIS_URL) as client:
        return {name.split(b"\0")[-1].decode() for name in client.zrangebylex(index, "[a", "(b")}


@pytest.mark.parametrize("at_once", [1, 8])
async def test_only_the_call_that_was_under_way_is_made_again(
    start: Start, mailer: Mailer, store: str, fake_provider: FakeProvider, at_once: int
) -> None:
    everyone = ["ada", "bob", "cy", "dan"]
    fake_provider.script("model-a", Reply(tool_calls=list(map(mail, everyone))), done)
    thread, settings = str(uuid4()), {"EVERTURN_TOOL_CONCURRENCY": str(at_once)}
    mailer.hold("cy")
    before = {"ada", "bob"} if at_once == 1 else {"ada", "bob", "dan"}
    with start(**settings) as first:
        client = get_client(url=await asyncio.to_thread(first.url))
        run_id = await post(client, thread)

        async def between() -> bool:
            return "cy" in mailer.counts() and len(kept(store, thread)) == len(before)

        await eventually(between)
        first.kill()
        await client.aclose()
    assert set(mailer.counts()) == before | {"cy"}
    mailer.let("cy")
    with start(**settings) as second:
        client = get_client(url=await asyncio.to_thread(second.url))
        told = await results(client, thread, run_id)
        await client.aclose()
    assert mailer.counts() == {"ada": 1, "bob": 1, "cy": 2, "dan": 1}
    cy = [(key, attempt) for to, key, attempt in mailer.lines() if to == "cy"]
    assert cy[0][0] == cy[1][0]
    assert [attempt for _, attempt in cy] == ["1", "2"]
    assert [each["content"].split("\n")[0] for each in told] == [f"sent to {to}" for to in everyone]
    for to, each in zip(everyone, told, strict=True):
        again = None if to in before else 2
        assert each["additional_kwargs"].get("attempt") == again
        assert ("[Attempt 2: " in each["content"]) == bool(again)
    assert kept(store, thread) == set()


async def test_kills_at_any_moment(
    start: Start, mailer: Mailer, store: str, fake_provider: FakeProvider
) -> None:
    """No call is made again whose answer was kept, however often the process dies."""
    everyone = [f"user{number}" for number in range(12)]
    at_once = 3
    calls = [mail(to, seconds=0.1 * (number % 5)) for number, to in enumerate(everyone)]
    fake_provider.script("model-a", Reply(tool_calls=calls), done)
    thread, run_id = str(uuid4()), ""
    at_kills: list[tuple[set[str], Counter[str]]] = []
    told: list[Json] = []
    mailer.hold(everyone[-1])  # the step must not end before the last kill
    while not told:
        with start(EVERTURN_TOOL_CONCURRENCY=str(at_once)) as running:
            client = get_client(url=await asyncio.to_thread(running.url))
            run_id = run_id or await post(client, thread)
            if len(at_kills) == 3:
                mailer.let(everyone[-1])
                told = await results(client, thread, run_id)
            else:
                enough = (len(at_kills) + 1) * (at_once + 1) - 1
                await eventually(lambda enough=enough: len(mailer.counts()) >= enough)  # type: ignore[misc]
                await asyncio.sleep(random.random() / 3)
                running.kill()
                known, then = kept(store, thread), mailer.counts()
                assert len(then) - len(known) <= at_once
                at_kills.append((known, then))
            await client.aclose()
    assert [each["content"].split("\n")[0] for each in told] == [f"sent to {to}" for to in everyone]
    counts = mailer.counts()
    assert len({(to, key) for to, key, _ in mailer.lines()}) == len(everyone)
    assert max(counts.values()) <= 1 + len(at_kills)
    by_id = {each["tool_call_id"]: to for to, each in zip(everyone, told, strict=True)}
    for known, then in at_kills:
        for call_id in known:
            assert counts[by_id[call_id]] == then[by_id[call_id]]
