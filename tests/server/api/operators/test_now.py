"""`/api/now` and its stream: what was really done, to whom it may be shown, and only when asked."""

import re
import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from langgraph_sdk import get_sync_client

from everturn.server import app
from everturn.server.api.operators.now import NowView, Tick
from everturn.server.observe.now.recorder import Recorder, day_at
from everturn.server.observe.now.watch import Now
from everturn.server.turns.outcome import Call
from tests.provider import KEY, FakeProvider, Fault, Reply, ToolCall
from tests.server.access.own_keys import bearer, key_in
from tests.server.access.project import served, user_of
from tests.service import Client, Event, process, read_events, serving
from tests.waiting import eventually_sync

Json = dict[str, Any]

CALLS = Reply(tool_calls=[ToolCall("calculator", {"expression": "1 + 1"})], cost=0.25)
WRONG = Reply(tool_calls=[ToolCall("calculator", {"wrong": 1})])


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


def serve(folder: Path, provider: FakeProvider, models: str = "a,b", **more: Any) -> Any:
    own = {"base_url": provider.url, "models": models, "openai_api_key": KEY}
    return serving(folder / "data", **own, **more)


def now(
    client: httpx.Client, turns: int | None = None, headers: dict[str, str] | None = None
) -> NowView:
    """What is shown, once so many turns have ended: it may be as old as a moment."""

    def ask() -> NowView | None:
        answer = client.get("/api/now", headers=headers)
        assert answer.status_code == 200, answer.text
        view = NowView.model_validate_json(answer.content, strict=True)
        return view if turns in {None, view.figures.turns} else None

    view = eventually_sync(ask)
    assert view is not None
    return view


@contextmanager
def watching(client: httpx.Client, **sent: str) -> Iterator[Iterator[Event]]:
    with client.stream("GET", "/api/now/stream", headers=sent) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read_events(answer)


def of(named: list[Any], name: str) -> Any:
    (found,) = [each for each in named if each.name == name]
    return found


def test_what_turns_have_come_to(tmp_path: Path, provider: FakeProvider) -> None:
    provider.script("a", CALLS, Reply("Two.", cost=0.5), "Again.", CALLS, CALLS, WRONG, "No.")
    with serve(tmp_path, provider) as client:
        empty = now(client)
        assert (empty.figures.turns, empty.turns, empty.tools) == (0, [], [])
        assert [model.name for model in empty.models] == ["a", "b", "offline"]

        asked = client.ask("1 + 1?")
        given: Json = {"messages": [{"role": "user", "content": "hi"}]}
        with get_sync_client(url=str(client.base_url)) as sdk:
            thread = sdk.threads.create()["thread_id"]
            list(sdk.runs.stream(thread, "agent", input=given, stream_mode="messages-tuple"))
        view = now(client, 2)

        figures, (newest, oldest) = view.figures, view.turns
        assert (figures.turns, figures.failed, figures.cost) == (2, 0, 0.75)
        assert figures.tokens == oldest.tokens + newest.tokens > 0
        assert (figures.tokens_today, figures.cost_today) == (figures.tokens, 0.75)
        assert figures.seconds_p95 is not None
        assert figures.first_token_p50 is not None  # of the one that streamed
        assert figures.turns_per_second > 0
        assert (newest.thread_id, newest.graph, newest.model) == (thread, "agent", "a")
        assert newest.first_token is not None
        assert newest.endpoint == "/runs/stream"
        assert (oldest.thread_id, oldest.run_id) == (asked["session_id"], asked["run_id"])
        assert (oldest.status, oldest.cost, oldest.failed_cost) == ("success", 0.75, None)
        assert (oldest.attempts, oldest.fallbacks) == (2, 0)
        assert oldest.first_token is None
        assert (of(view.models, "a").calls, of(view.models, "a").cost) == (3, 0.75)
        assert of(view.models, "a").latency is not None
        assert sum(each or 0 for each in view.lines.tokens) == figures.tokens
        assert len(view.lines.time) == view.window // view.step == 90
        (process,) = view.processes
        assert (process.answers, process.alive) == (True, True)
        assert process.figures == view.figures
        assert process.lines == view.lines
        assert {newest.process, oldest.process} == {process.name}

        client.ask("1 + 1, and wrong")
        calculator = of(now(client, 3).tools, "calculator")
        assert calculator.calls == 4
        assert calculator.cache_hits == client.get("/api/tools").json()["tools"][0]["cache_hits"]
        assert sum(calculator.failures.values()) == 1
        assert calculator.seconds_p95 is not None


def test_turns_that_fail_wait_or_are_cancelled(tmp_path: Path, provider: FakeProvider) -> None:
    provider.script("a", Fault(500))
    provider.script("b", Fault(429, retry_after=40), Fault(429, retry_after=40))
    with serve(tmp_path, provider, approve_tools="calculator") as client:
        client.ask("Hi")  # the offline model's
        refused = {"message": "Hi", "offline_answer": False}
        assert client.post("/api/chat/message", json=refused).status_code == 503
        view = now(client, 2)
        failed, offline = view.turns
        assert (offline.model, offline.status) == ("offline", "success")
        assert offline.fallbacks >= 2
        assert (failed.model, failed.status, failed.error) == (None, "error", "NoModelLeft")
        assert view.figures.failed == 1
        assert of(view.models, "a").failures["unavailable"] >= 1
        assert of(view.models, "b").failures["rate_limited"] >= 1

        model = of(view.models, "b")
        assert model.circuit == "open"
        assert 0 < model.retry_after <= 40
        assert {(each.subject, each.state) for each in view.breakers} >= {("b", "open")}
        with watching(client) as events:
            seen = [_models(next(events)) for _ in range(4)]  # each where it has changed
        shown = [of(models, "b").retry_after for models in seen if models]
        assert len(shown) > 2
        assert shown == sorted(set(shown), reverse=True)  # the countdown goes on

        waits = client.ask("Compute 2 + 3")
        assert waits["status"] == "approval_required"
        assert now(client, 3).turns[0].status == "interrupted"


def _models(event: Event) -> Any:
    shape = NowView if event.name == "now" else Tick
    return shape.model_validate(event.data).models


def test_the_stream_begins_with_everything_and_goes_on_with_what_is_new(client: Client) -> None:
    with watching(client) as events:
        first = next(events)
        assert first.name == "now"
        whole = NowView.model_validate(first.data)
        run_id = client.ask("Compute 3 * 7")["run_id"]
        ticks, new = [], []
        while run_id not in new:
            event = next(events)
            assert event.name == "tick"
            ticks.append(Tick.model_validate(event.data))
            new += [turn.run_id for turn in ticks[-1].turns]
        after = Tick.model_validate(next(events).data)
    assert new.count(run_id) == 1
    assert after.turns == []
    assert after.tools is None  # as in the tick before
    assert ticks[-1].figures.turns == whole.figures.turns + 1
    assert ticks[-1].tools is not None
    for tick in ticks:
        assert set(tick.model_dump(exclude_unset=True)) >= {"at", "figures", "points", "turns"}
        assert 1 <= len(tick.points) <= 3
        assert [each.id for each in tick.processes] == [each.id for each in whole.processes]
    # Points go to where their step is.
    assert all(point.time % whole.step == 0 for tick in ticks for point in tick.points)
    assert whole.lines.time[-1] <= ticks[-1].points[-1].time


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Now]:
    """What the service makes, to be looked at from inside."""
    made: list[Now] = []

    class Seen(Now):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(app, "Now", Seen)
    return made


def test_nothing_is_put_together_where_nobody_watches(tmp_path: Path, made: list[Now]) -> None:
    with serving(tmp_path / "data") as client:
        (inside,) = made
        client.ask("Hi")
        assert inside.ticks == 0
        with watching(client) as events, watching(client) as others:
            for _ in range(3):
                next(events)
                next(others)
            assert inside.watchers == 2
            before, began = inside.ticks, time.monotonic()
            for _ in range(4):
                next(events)
            # Once a second for both, on a machine of whatever speed.
            assert inside.ticks - before <= time.monotonic() - began + 1
        eventually_sync(lambda: inside.watchers == 0)
        last = inside.ticks
        # It would tick within a second; another one that watches sees what came meanwhile.
        client.ask("Hello")
        threading.Event().wait(1.5)
        assert inside.ticks <= last + 1
        with watching(client) as events:
            assert len(NowView.model_validate(next(events).data).turns) == 2


def watched(recorder: Recorder) -> Now:
    """What is shown of a recorder, without a service."""

    class Days:
        async def count(self, day: str, tokens: int, cost: int) -> tuple[int, int]:
            return tokens, cost

    async def health(names: Collection[str]) -> Json:
        return {"models": [], "breakers": []}

    async def measure() -> None:
        pass

    return Now(recorder, "one", Days(), health, lambda: None, measure, lambda: True)


async def test_huge_numbers_of_a_provider_can_be_shown_and_counted() -> None:
    recorder, most = Recorder(), 2**53 - 1
    shown = {"run_id": "1", "status": "success", "seconds": 1e300, "first_token": 0.0}
    calls = [Call("a", usage={"total_tokens": most}, cost=float(most))] * 1_000
    for _ in range(3):
        recorder.turn_ended(shown, calls, None, (str, str))
    figures = orjson.loads(await watched(recorder).snapshot())["figures"]
    assert figures["turns"] == 3
    assert max(recorder.days[day_at(time.time())].values()) < 2**63  # which Redis counts to


async def test_who_reads_slowly_is_sent_everything_anew() -> None:
    now = watched(Recorder())
    async with aclosing(now.watch()) as events:
        names = [(await anext(events))[0]]
        await now._tick_now()
        names.append((await anext(events))[0])
        for _ in range(2):  # while it was busy
            await now._tick_now()
        names.append((await anext(events))[0])
        await now._tick_now()
        names.append((await anext(events))[0])
    assert names == ["now", "tick", "now", "tick"]


def test_a_day_is_counted_over_restarts(tmp_path: Path, provider: FakeProvider) -> None:
    provider.script("a", Reply("Hi.", cost=0.5))
    took = 0
    for times in (1, 2):
        with serve(tmp_path, provider) as client:
            before = now(client).figures
            assert (before.tokens_today, before.cost_today) == (took, 0.5 * (times - 1))
            client.ask("Hi")
            after = now(client, 1).figures
            assert after.cost_today == 0.5 * times
            assert after.cost == 0.5  # of this process alone
            took = after.tokens_today


@pytest.mark.clock
def test_who_watches_does_not_keep_the_service_from_ending(tmp_path: Path) -> None:
    with process(tmp_path / "data", EVERTURN_SHUTDOWN_GRACE="600") as running:
        with Client(running.url()) as client, watching(client) as events:
            next(events)
            running.popen.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):  # as if cut: it comes back elsewhere
                list(events)
        assert running.ended() == 0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "data"


@pytest.fixture(scope="module")
def guarded(data_dir: Path) -> Iterator[Client]:
    with serving(data_dir, auth="on") as running:
        yield running


def test_nothing_of_others_is_shown(guarded: Client, data_dir: Path) -> None:
    ada, ops = bearer(key_in(data_dir, "ada")), bearer(key_in(data_dir, "ops", ["admin"]))
    watch = bearer(key_in(data_dir, "prometheus", ["metrics"]))
    both = bearer(key_in(data_dir, "bob", ["runs", "metrics"]))
    asked = {"message": "A secret of mine"}
    of_ada = guarded.post("/api/chat/message", json=asked, headers=ada).json()
    of_bob = guarded.post("/api/chat/message", json=asked, headers=both).json()

    for path in ("/api/now", "/api/now/stream"):
        assert guarded.get(path).status_code == 401
        refused = guarded.get(path, headers=ada)
        assert refused.status_code == 403
        assert "`metrics`" in refused.json()["detail"]

    everything = now(guarded, 2, headers=ops)
    assert [turn.run_id for turn in everything.turns] == [of_bob["run_id"], of_ada["run_id"]]
    assert everything.figures.turns == 2
    own = now(guarded, headers=both)
    assert [turn.run_id for turn in own.turns] == [of_bob["run_id"]]
    assert own.figures == everything.figures
    assert now(guarded, headers=watch).turns == []
    for sent, hidden in ((both, of_ada), (watch, of_ada), (watch, of_bob)):
        text = guarded.get("/api/now", headers=sent).text
        assert hidden["run_id"] not in text
        assert hidden["session_id"] not in text
        assert not re.search(r"\b(ada|bob|secret)\b", text)  # as words: "ada" is hexadecimal

    with watching(guarded, **both) as bobs, watching(guarded, **ops) as all_of_them:
        next(bobs)
        next(all_of_them)
        new = guarded.post("/api/chat/message", json=asked, headers=ada).json()["run_id"]
        seen = False
        while not seen:
            seen = new in str(next(all_of_them).data)
        for _ in range(2):
            event = next(bobs)
            assert new not in str(event.data)
            assert event.name == "tick"
            assert event.data["turns"] == []


def test_with_a_projects_own_auth_each_sees_their_own(tmp_path: Path) -> None:
    with (
        served(tmp_path / "data") as url,
        user_of(url, "alice") as alice,
        user_of(url, "bob") as bob,
        user_of(url, None) as nobody,
    ):
        asked = {"assistant_id": "agent", "input": {"messages": "Hi"}}
        made = [who.post("/runs/wait", json=asked) for who in (alice, bob)]
        assert all(answer.status_code == 200 for answer in made), made[0].text
        seen = [[turn.run_id for turn in now(who).turns] for who in (alice, bob)]
        assert [len(each) for each in seen] == [1, 1]
        assert seen[0] != seen[1]
        assert now(alice).figures.turns == 2
        assert nobody.get("/api/now").status_code == 401
