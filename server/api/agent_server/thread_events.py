"""The events of a thread by LangGraph's event protocol, as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import orjson
from fastapi import Header, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from everturn.server.api.agent_server.bodies import ThreadId
from everturn.server.api.agent_server.run_answers import EVENTS
from everturn.server.api.http.deps import ThreadEventsDep, ThreadsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.sse import HEARTBEAT, EventStream, frame, while_let_in
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import MAX_FEW, Name, at_most
from everturn.server.runs.thread_events import Since
from everturn.server.streams.protocol import ProtocolEvent
from everturn.server.streams.subscription import CHANNELS, Subscription

router = Router(tags=["event protocol"])

MAX_DEPTH = 100
_MAX_SEQ = (1 << 53) - 1


def _is_channel(name: str) -> str:
    if name in CHANNELS or (name.startswith("custom:") and len(name) > len("custom:")):
        return name
    raise ValueError(f"there is no channel {name!r}; there are: {', '.join(CHANNELS)}, custom:NAME")


Channel = Annotated[Name, AfterValidator(_is_channel)]
Namespace = Annotated[list[Name], at_most(MAX_DEPTH)]


class SubscribeBody(BaseModel):
    """Which events of a thread are wanted."""

    model_config = ConfigDict(extra="ignore")

    channels: Annotated[list[Channel], at_most(MAX_FEW)] = Field(
        description=f"Of {', '.join(CHANNELS)}, and `custom:NAME`."
    )
    namespaces: Annotated[list[Namespace], at_most(MAX_FEW)] | None = Field(
        default=None,
        description="Only from these parts of the graph, and what is below; a segment without `:` "
        "stands for all tasks of a node.",
    )
    depth: int | None = Field(
        default=None, ge=0, le=MAX_DEPTH, description="How many levels below; none is all."
    )
    since: int | None = Field(
        default=None,
        ge=0,
        le=_MAX_SEQ,
        description="The `seq` of the last event that was got: what came after it is sent.",
    )

    def subscription(self) -> Subscription:
        """Put it in the words of the streams."""
        return Subscription(frozenset(self.channels), self.namespaces, self.depth)


@router.post(
    "/threads/{thread_id}/stream/events",
    summary="Follow a thread by the event protocol",
    description="LangGraph's event protocol, version 2, as server-sent events: what all runs of "
    "the thread do, whoever starts them, until the client leaves or the thread is deleted. It "
    "begins with the run that is under way, or else with the newest; after `since` or "
    "`Last-Event-ID` with what came after that event. See docs/protocol.md.",
    response_class=StreamingResponse,
    responses={**EVENTS, **problems(404, 503)},
)
async def follow_events(
    thread_id: ThreadId,
    body: SubscribeBody,
    request: Request,
    threads: ThreadsDep,
    events: ThreadEventsDep,
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="The last event that was got."),
    ] = None,
) -> EventStream:
    thread = await threads.row(str(thread_id))
    since = Since.parse(last_event_id) if last_event_id else None
    if since is None and body.since is not None:
        since = Since(seq=body.since)
    written = _frames(events.follow(thread.thread_id, since), body.subscription())
    here = f"/threads/{thread.thread_id}/stream/events"
    return EventStream(request, while_let_in(request, written), headers={"Location": here})


async def _frames(
    following: AsyncGenerator[list[ProtocolEvent]], subscription: Subscription
) -> AsyncGenerator[bytes]:
    async with aclosing(following):
        async for events in following:
            wanted = [each for each in events if is_wanted(each, subscription)]
            written = b"".join(frame(e.method, e.as_json(), e.seq) for e in wanted)
            if written or not events:
                yield written or HEARTBEAT


def is_wanted(event: ProtocolEvent, subscription: Subscription) -> bool:
    """Say whether a subscription is for an event."""
    name = None
    if event.method == "custom" and subscription.wants_names():
        name = orjson.loads(event.data).get("name")
    return subscription.wants(event.method, event.namespace, name)
