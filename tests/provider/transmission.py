"""From an answer to what happens on the socket: a head, bytes at their pace, and an ending."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.provider import wire
from tests.provider.echo import echo
from tests.provider.errors import error_body, return_headers, status_of
from tests.provider.script import Answer, Fault, Reply, Request, ToolCall
from tests.provider.wire import Offer

Ending = Literal["complete", "cut", "reset", "stall", "keepalive"]

JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
HTML = {"Content-Type": "text/html"}
PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"

# Whole answers, well formed on the wire, that nobody can use.
UNUSABLE: dict[int | str, Reply] = {
    "empty": Reply(""),
    "content_filter": Reply("I am afraid that", finish_reason="content_filter"),
    "broken_tool_json": Reply(tool_calls=[ToolCall("calculator", '{"expression": "10 *')]),
    "unknown_tool": Reply(tool_calls=[ToolCall("no_such_tool", {"x": 1})]),
    "wrong_arguments": Reply(tool_calls=[ToolCall("calculator", {"no_such_argument": 1})]),
}

WITHOUT_HEAD: dict[int | str, Ending] = {"silent": "stall", "reset": "reset"}
ENDINGS: dict[int | str, Ending] = {
    "cut": "cut",
    "reset_in_stream": "reset",
    "stall": "stall",
    "keepalive": "keepalive",
}


@dataclass(frozen=True)
class Transmission:
    """What the client's socket sees; without a `status`, no byte of an answer at all."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)  # (seconds before it, bytes)
    ending: Ending = "complete"
    filler: bytes = b" "  # what a keepalive repeats

    @classmethod
    def whole(cls, status: int, headers: dict[str, str], body: bytes) -> Transmission:
        return cls(status, {**headers, "Content-Length": str(len(body))}, [(0.0, body)])


def transmit(request: Request, answer: Answer, offer: Offer) -> Transmission:
    """How this answer looks on the wire."""
    if isinstance(answer, Fault):
        answer = UNUSABLE.get(answer.kind, answer)
    if isinstance(answer, Reply):
        return transmit_reply(request, answer, offer)
    if status := status_of(answer):
        body = encode(error_body(answer, status, request))
        return Transmission.whole(status, {**JSON, **return_headers(answer)}, body)
    if answer.kind == "html":
        return Transmission.whole(answer.code or 200, HTML, PAGE)
    if answer.kind in WITHOUT_HEAD:
        return Transmission(ending=WITHOUT_HEAD[answer.kind])
    broken = broken_stream if request.streamed else broken_json
    return broken(request, answer, offer)


def transmit_reply(request: Request, reply: Reply, offer: Offer) -> Transmission:
    if not request.streamed:
        body = encode(wire.completion(request, reply, offer))
        pause = reply.first_token + reply.between * len(list(wire.deltas(request, reply)))
        return dataclasses.replace(Transmission.whole(200, JSON, body), pieces=[(pause, body)])
    closing = [
        wire.chunk(request, wire.choice({}, wire.finish_reason(reply))),
        wire.chunk(request, usage=wire.usage(request, reply, offer)),
        wire.DONE,
    ]
    pieces = [*opening_pieces(request, reply), *((0.0, event) for event in closing)]
    return Transmission(200, EVENTS, pieces)


def opening_pieces(
    request: Request, reply: Reply, limit: int | None = None
) -> list[tuple[float, bytes]]:
    """A stream up to its last piece of content: a comment, the role, at most `limit` deltas."""
    deltas = list(wire.deltas(request, reply))[:limit]
    comment = (0.0, wire.COMMENT)
    if limit == 0:
        return [comment]
    role = (reply.first_token, wire.chunk(request, wire.choice({"role": "assistant"})))
    chunks = [wire.chunk(request, wire.choice(delta)) for delta in deltas]
    return [comment, role, *((reply.between, chunk) for chunk in chunks)]


def broken_stream(request: Request, fault: Fault, offer: Offer) -> Transmission:
    if fault.kind == "no_choices":
        usage = wire.usage(request, Reply(), offer)
        return Transmission(
            200, EVENTS, [(0.0, wire.chunk(request, usage=usage)), (0.0, wire.DONE)]
        )
    limit = 0 if fault.kind == "error_in_200" else fault.after
    pieces = opening_pieces(request, fault.reply or echo(request), limit)
    if fault.kind in {"error_in_200", "error_in_stream"}:
        error = error_body(fault, fault.code or 502, request)
        end = {**wire.choice({"content": ""}), "finish_reason": "error"}
        pieces.append((0.0, wire.chunk(request, end, **error)))
    if fault.kind == "not_json":
        pieces.append((0.0, b'data: {"choices": [{"delta": {"cont\n\n'))
    return Transmission(200, EVENTS, pieces, ENDINGS.get(fault.kind, "complete"), wire.COMMENT)


def broken_json(request: Request, fault: Fault, offer: Offer) -> Transmission:
    answer = wire.completion(request, fault.reply or echo(request), offer)
    match fault.kind:
        case "stall" | "keepalive":
            return Transmission(200, JSON, ending=ENDINGS[fault.kind])
        case "cut" | "reset_in_stream":
            whole = encode(answer)
            half = [(0.0, whole[: len(whole) // 2])]
            headers = {**JSON, "Content-Length": str(len(whole))}
            return Transmission(200, headers, half, ENDINGS[fault.kind])
        case "error_in_200" | "error_in_stream":
            answer = error_body(fault, fault.code or 502, request)
        case "no_choices":
            answer["choices"] = []
        case "no_finish":
            answer["choices"][0]["finish_reason"] = None
        case "not_json":
            return Transmission.whole(200, JSON, encode(answer)[:-20])
    return Transmission.whole(200, JSON, encode(answer))


def encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
