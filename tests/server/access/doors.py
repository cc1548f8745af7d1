"""Every door of the service: what is sent to it, and what somebody else is answered there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tests.server.access.own_users import Who

Json = dict[str, Any]

SECRET = "a-word-of-mine"
"""In all that is made: nobody else may ever read it."""


class Things:
    """What an owner has; each is made when it is first named."""

    def __init__(self, owner: Who, folder: Path) -> None:
        self.user = owner.identity
        self._client = owner.client
        self._folder = folder

    def _made(self, path: str, body: Json) -> Any:
        answer = self._client.post(path, json=body)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    @cached_property
    def assistant_id(self) -> str:
        body = {"graph_id": "agent", "name": SECRET, "metadata": {"word": SECRET}}
        return str(self._made("/assistants", body)["assistant_id"])

    @cached_property
    def thread_id(self) -> str:
        """A thread on which a run has ended."""
        made = self._made("/threads", {"metadata": {"word": SECRET}})["thread_id"]
        self.run_id = self._made(f"/threads/{made}/runs", _reported())["run_id"]
        assert SECRET in self._client.get(f"/threads/{made}/runs/{self.run_id}/join").text
        return str(made)

    @cached_property
    def run_id(self) -> str:
        _ = self.thread_id
        return self.run_id

    @cached_property
    def checkpoint_id(self) -> str:
        return str(self._client.get(f"/threads/{self.thread_id}/state").json()["checkpoint_id"])

    @cached_property
    def busy_thread(self) -> str:
        """A thread on which a run waits until it is released."""
        made = self._made("/threads", {})["thread_id"]
        self.busy_run = self._made(f"/threads/{made}/runs", self._waiting())["run_id"]
        return str(made)

    @cached_property
    def busy_run(self) -> str:
        _ = self.busy_thread
        return self.busy_run

    @cached_property
    def lone_run(self) -> str:
        """A run on a thread of its own, which goes on until it is released."""
        return str(self._made("/runs", self._waiting())["run_id"])

    def release(self) -> None:
        """Let the runs end that wait."""
        (self._folder / "go").touch()

    def _waiting(self) -> Json:
        given = {"until": str(self._folder / "go"), "messages": SECRET}
        return run(input=given, stream_resumable=True)

    @cached_property
    def session_id(self) -> str:
        """A session that waits for an answer."""
        said = self._made("/api/chat/message", {"message": SECRET})
        self.chat_run = said["run_id"]
        asking = {"graph": "agent", "thread_id": said["session_id"], "input": {"asks": True}}
        assert "__interrupt__" in self._made("/invoke", asking)
        return str(said["session_id"])

    @cached_property
    def chat_run(self) -> str:
        """A run of the session that streams, as another connection left it."""
        _ = self.session_id
        return self.chat_run

    @cached_property
    def cron_id(self) -> str:
        return str(self._made("/runs/crons", cron())["cron_id"])

    @cached_property
    def item(self) -> str:
        put = {"namespace": ["a", "b"], "key": "k", "value": {"word": SECRET}}
        assert self._client.put("/store/items", json=put).status_code == 204
        return "k"

    @cached_property
    def memory_id(self) -> str:
        kept = self._made("/api/memories", {"text": f"Her word is {SECRET}."})
        return str(kept["memory"]["id"])


def run(**more: Any) -> Json:
    """A run that any caller may ask for."""
    return {"assistant_id": "agent", "input": {"messages": SECRET}, **more}


def cron(**more: Any) -> Json:
    return {**run(metadata={"word": SECRET}), "schedule": "0 0 1 1 *", **more}


def _reported() -> Json:
    return run(webhook="https://example.org/hook", stream_resumable=True)


def invoked(**more: Any) -> Json:
    return {"graph": "agent", "input": {"messages": SECRET}, **more}


Body = Callable[[Things], Any]
Kind = Literal["open", "shared", "own", "named", "listed", "operators"]
"""What a door is to callers:

open    anybody passes, without a name
shared  the same for all who have one
own     everybody does it for themselves; `naming` names what is somebody's, which others have not
named   it is about one thing, which for others is not there
listed  it is about all there is of a kind, which for others is nothing: `nothing`
operators  only they pass; others are answered 403, whatever they name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One method of one path."""

    kind: Kind = "named"
    body: Body = lambda t: None
    query: Callable[[Things], Mapping[str, str]] = lambda t: {}
    headers: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    """Placeholders of the path that stand for other things than their names say."""
    needs: tuple[str, ...] = ()
    """What has to be there."""
    nothing: Any = None
    naming: tuple[Body, ...] = ()
    shows: bool = False
    """Whether the owner is shown what is theirs."""
    endless: bool = False
    """Read only until the owner is shown it."""
    waits: bool = False
    """Answered when the runs that wait are released."""

    def place(self, path: str, things: Things) -> str:
        """The path, with the ids of things."""
        names = {name for name in _PLACEHOLDERS if f"{{{name}}}" in path}
        for name in self.needs:
            getattr(things, name)
        return path.format(**{name: self._id(name, things) for name in names})

    def _id(self, name: str, things: Things) -> str:
        return "none" if name == "namespace" else getattr(things, self.ids.get(name, name))


_PLACEHOLDERS = (
    *("thread_id", "run_id", "assistant_id", "cron_id"),
    *("session_id", "checkpoint_id", "namespace", "memory_id"),
)
_ALL = {"Last-Event-ID": "-1"}
_OPEN, _SHARED = Door(kind="open"), Door(kind="shared")
_BUSY = {"thread_id": "busy_thread", "run_id": "busy_run"}
_LONE = {"run_id": "lone_run"}
_CHAT = {"run_id": "chat_run"}
_SHOWS, _ANSWERS = Door(shows=True), Door(body=lambda t: {"answer": "yes"})


def _owns(body: Body, *naming: Body, shows: bool = True) -> Door:
    return Door(kind="own", body=body, naming=naming, shows=shows)


def _lists(nothing: Any, body: Body = lambda t: {}, *needs: str, **more: Any) -> Door:
    return Door(kind="listed", nothing=nothing, body=body, needs=needs, **more)


DOORS: dict[tuple[str, str], Door] = {
    **{("GET", path): _OPEN for path in ("/", "/ok", "/ready", "/info", "/page/config.json")},
    ("GET", "/metrics"): Door(kind="operators"),
    ("GET", "/api/now"): Door(kind="operators"),
    ("GET", "/api/now/stream"): Door(kind="operators", endless=True),
    **{("GET", path): _SHARED for path in ("/api/chat/models", "/api/tools")},
    # chat
    ("POST", "/api/chat/message"): _owns(
        lambda t: {"message": SECRET},
        lambda t: {"message": "x", "session_id": t.session_id},
        shows=False,
    ),
    ("POST", "/api/chat/message/stream"): _owns(
        lambda t: {"message": SECRET},
        lambda t: {"message": "x", "session_id": t.session_id},
        shows=False,
    ),
    ("POST", "/api/chat/session"): _owns(lambda t: {"context": {"word": SECRET}}),
    ("GET", "/api/chat/session/{session_id}"): _SHOWS,
    ("DELETE", "/api/chat/session/{session_id}"): Door(),
    ("GET", "/api/chat/session/{session_id}/export"): _SHOWS,
    ("POST", "/api/chat/session/{session_id}/resume"): Door(body=lambda t: {"answer": "yes"}),
    ("POST", "/api/chat/session/{session_id}/resume/stream"): Door(
        body=lambda t: {"answer": "yes"}
    ),
    ("GET", "/api/chat/session/{session_id}/runs/{run_id}/stream"): Door(ids=_CHAT, headers=_ALL),
    ("GET", "/api/chat/history/{session_id}"): _SHOWS,
    ("GET", "/api/chat/sessions"): _lists(
        {"sessions": [], "total": 0}, lambda t: None, "session_id", shows=True
    ),
    ("DELETE", "/api/chat/sessions"): _lists(
        {"deleted": 0}, lambda t: None, "session_id", query=lambda t: {"confirm": "all"}
    ),
    ("GET", "/api/usage"): _SHARED,
    # memories
    ("GET", "/api/memories"): _lists({"memories": []}, lambda t: None, "memory_id", shows=True),
    ("POST", "/api/memories"): _owns(lambda t: {"text": SECRET}),
    ("DELETE", "/api/memories"): _lists(
        {"deleted": 0}, lambda t: None, "memory_id", query=lambda t: {"confirm": "all"}
    ),
    ("GET", "/api/memories/export"): Door(kind="own", needs=("memory_id",), shows=True),
    ("GET", "/api/memories/{memory_id}"): _SHOWS,
    ("PATCH", "/api/memories/{memory_id}"): Door(body=lambda t: {"kind": "plan"}, shows=True),
    ("DELETE", "/api/memories/{memory_id}"): Door(),
    # users and webhooks
    ("GET", "/api/users/export"): Door(
        kind="operators", query=lambda t: {"user": t.user}, needs=("thread_id",), shows=True
    ),
    ("DELETE", "/api/users"): Door(
        kind="operators", query=lambda t: {"user": t.user}, needs=("thread_id", "item")
    ),
    ("GET", "/api/webhooks"): Door(kind="operators", needs=("thread_id",)),
    ("POST", "/api/webhooks/send"): Door(kind="operators"),
    ("POST", "/api/webhooks/{run_id}/send"): Door(kind="operators"),
    ("DELETE", "/api/webhooks/{run_id}"): Door(kind="operators"),
    # graphs
    ("POST", "/invoke"): _owns(lambda t: invoked(), lambda t: invoked(thread_id=t.thread_id)),
    ("POST", "/stream"): _owns(lambda t: invoked(), lambda t: invoked(thread_id=t.thread_id)),
    # assistants
    ("POST", "/assistants"): _owns(
        lambda t: {"graph_id": "agent", "metadata": {"word": SECRET}},
    ),
    ("POST", "/assistants/count"): _lists(
        0, lambda t: {"metadata": {"word": SECRET}}, "assistant_id"
    ),
    ("POST", "/assistants/search"): _lists(
        [], lambda t: {"metadata": {"word": SECRET}}, "assistant_id", shows=True
    ),
    ("GET", "/assistants/{assistant_id}"): _SHOWS,
    ("PATCH", "/assistants/{assistant_id}"): Door(body=lambda t: {"name": "n"}),
    ("DELETE", "/assistants/{assistant_id}"): Door(),
    ("GET", "/assistants/{assistant_id}/graph"): Door(),
    ("GET", "/assistants/{assistant_id}/schemas"): Door(),
    ("GET", "/assistants/{assistant_id}/subgraphs"): Door(),
    ("GET", "/assistants/{assistant_id}/subgraphs/{namespace}"): Door(),
    ("POST", "/assistants/{assistant_id}/latest"): Door(body=lambda t: {"version": 1}),
    ("POST", "/assistants/{assistant_id}/versions"): Door(body=lambda t: {}, shows=True),
    # threads
    ("POST", "/threads"): _owns(lambda t: {"metadata": {"word": SECRET}}),
    ("POST", "/threads/count"): _lists(0, lambda t: {}, "thread_id"),
    ("POST", "/threads/search"): _lists([], lambda t: {}, "thread_id", shows=True),
    ("POST", "/threads/prune"): _lists(
        {"pruned_count": 0}, lambda t: {"thread_ids": [t.thread_id]}
    ),
    ("GET", "/threads/{thread_id}"): _SHOWS,
    ("PATCH", "/threads/{thread_id}"): Door(body=lambda t: {"metadata": {"more": 1}}, shows=True),
    ("DELETE", "/threads/{thread_id}"): Door(),
    ("POST", "/threads/{thread_id}/copy"): _SHOWS,
    ("GET", "/threads/{thread_id}/storage"): Door(),
    ("GET", "/threads/{thread_id}/state"): _SHOWS,
    ("POST", "/threads/{thread_id}/state"): Door(body=lambda t: {"values": {"messages": "x"}}),
    ("POST", "/threads/{thread_id}/state/checkpoint"): Door(
        body=lambda t: {"checkpoint": {"checkpoint_id": t.checkpoint_id}}, shows=True
    ),
    ("GET", "/threads/{thread_id}/state/{checkpoint_id}"): _SHOWS,
    ("GET", "/threads/{thread_id}/history"): _SHOWS,
    ("POST", "/threads/{thread_id}/history"): Door(body=lambda t: {}, shows=True),
    ("GET", "/threads/{thread_id}/stream"): Door(headers=_ALL, shows=True, endless=True),
    ("POST", "/threads/{thread_id}/stream/events"): Door(
        body=lambda t: {"channels": ["values"]}, shows=True, endless=True
    ),
    # the event protocol
    ("POST", "/threads/{thread_id}/commands"): Door(
        body=lambda t: {"id": 1, "method": "run.start", "params": run()}
    ),
    # runs on threads
    ("GET", "/threads/{thread_id}/runs"): _SHOWS,
    ("POST", "/threads/{thread_id}/runs"): Door(body=lambda t: run(), shows=True),
    ("POST", "/threads/{thread_id}/runs/wait"): Door(body=lambda t: run(), shows=True),
    ("POST", "/threads/{thread_id}/runs/stream"): Door(body=lambda t: run(), shows=True),
    ("POST", "/threads/{thread_id}/runs/crons"): Door(body=lambda t: cron(), shows=True),
    ("GET", "/threads/{thread_id}/runs/{run_id}"): _SHOWS,
    ("DELETE", "/threads/{thread_id}/runs/{run_id}"): Door(),
    ("POST", "/threads/{thread_id}/runs/{run_id}/cancel"): Door(ids=_BUSY),
    ("GET", "/threads/{thread_id}/runs/{run_id}/join"): _SHOWS,
    ("GET", "/threads/{thread_id}/runs/{run_id}/stream"): Door(headers=_ALL, shows=True),
    # runs on threads of their own
    ("POST", "/runs"): _owns(lambda t: run(), lambda t: run(assistant_id=t.assistant_id)),
    ("POST", "/runs/wait"): _owns(lambda t: run(), lambda t: run(assistant_id=t.assistant_id)),
    ("POST", "/runs/stream"): _owns(lambda t: run(), lambda t: run(assistant_id=t.assistant_id)),
    ("POST", "/runs/batch"): _owns(lambda t: [run()], lambda t: [run(assistant_id=t.assistant_id)]),
    ("POST", "/runs/cancel"): Door(
        body=lambda t: {"thread_id": t.busy_thread, "run_ids": [t.busy_run]}
    ),
    ("GET", "/runs/{run_id}"): Door(ids=_LONE, shows=True),
    ("GET", "/runs/{run_id}/join"): Door(ids=_LONE, shows=True, waits=True),
    ("GET", "/runs/{run_id}/stream"): Door(ids=_LONE, headers=_ALL, shows=True, endless=True),
    # crons
    ("POST", "/runs/crons"): _owns(lambda t: cron(), lambda t: cron(assistant_id=t.assistant_id)),
    ("POST", "/runs/crons/count"): _lists(0, lambda t: {}, "cron_id"),
    ("POST", "/runs/crons/search"): _lists([], lambda t: {}, "cron_id", shows=True),
    ("GET", "/runs/crons/{cron_id}"): _SHOWS,
    ("PATCH", "/runs/crons/{cron_id}"): Door(body=lambda t: {"enabled": False}, shows=True),
    ("DELETE", "/runs/crons/{cron_id}"): Door(),
    # the store
    ("PUT", "/store/items"): _owns(
        lambda t: {"namespace": ["a", "b"], "key": "k", "value": {}}, shows=False
    ),
    ("DELETE", "/store/items"): _owns(lambda t: {"namespace": ["a", "b"], "key": "k"}, shows=False),
    ("GET", "/store/items"): _lists(
        None,
        lambda t: None,
        "item",
        query=lambda t: {"namespace": "a.b", "key": "k"},
        shows=True,
    ),
    ("POST", "/store/items/search"): _lists({"items": []}, lambda t: {}, "item", shows=True),
    ("POST", "/store/namespaces"): _lists({"namespaces": []}, lambda t: {}, "item"),
}
NOT_IN_OPENAPI = ("/docs", "/docs/{asset}", "/openapi.json", "/page/{path:path}")
