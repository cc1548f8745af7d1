"""From an answer to what happens on the socket: a head, bytes at their pace, and an ending."""

from __future__ import annotations

import zlib
from dataclasses import replace

from tests.provider.echo import echo
from tests.provider.errors import status_of
from tests.provider.offer import Offer
from tests.provider.profile import Profile, choice, encode
from tests.provider.rules import Refusal
from tests.provider.script import (
    Answer,
    Ending,
    Fault,
    Reply,
    Request,
    ToolCall,
    Transmission,
)

JSON = {"Content-Type": "application/json"}
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


def transmit(
    request: Request, answer: Answer | Refusal, offer: Offer, profile: Profile
) -> Transmission:
    """How this answer of this provider looks on the wire."""
    if isinstance(answer, Transmission):
        return answer
    sent = _transmission(request, answer, offer, profile)
    takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
    return _packed(sent) if profile.gzip and takes_gzip and sent.pieces else sent


def _transmission(
    request: Request, answer: Reply | Fault | Refusal, offer: Offer, profile: Profile
) -> Transmission:
    if isinstance(answer, Refusal):
        return Transmission.whole(answer.status, JSON, encode(profile.error(answer)))
    if isinstance(answer, Fault):
        answer = UNUSABLE.get(answer.kind, answer)
    if isinstance(answer, Reply):
        return transmit_reply(request, answer, offer, profile)
    if status := status_of(answer):
        body = encode(profile.failure(answer, status, request))
        return Transmission.whole(status, {**JSON, **profile.limits(answer)}, body)
    if answer.kind == "html":
        return Transmission.whole(answer.code or 200, HTML, PAGE)
    if answer.kind in WITHOUT_HEAD:
        return Transmission(ending=WITHOUT_HEAD[answer.kind])
    broken = broken_stream if request.streamed else broken_json
    return broken(request, answer, offer, profile)


def transmit_reply(request: Request, reply: Reply, offer: Offer, profile: Profile) -> Transmission:
    if not request.streamed:
        body = encode(profile.completion(request, reply, offer))
        pause = reply.first_token + reply.between * len(list(profile.deltas(request, reply)))
        return replace(Transmission.whole(200, JSON, body), pieces=[(pause, body)])
    pieces = opening_pieces(request, reply, offer, profile)
    closing = profile.closing(request, reply, offer)
    pieces += [(0.0, profile.frame(chunk)) for chunk in closing]
    pieces += [(0.0, event) for event in profile.tail(request, reply, offer)]
    return Transmission(200, _events(profile), pieces)


def opening_pieces(
    request: Request, reply: Reply, offer: Offer, profile: Profile, limit: int | None = None
) -> list[tuple[float, bytes]]:
    """A stream up to its last piece of content: a comment, the role, at most `limit` deltas."""
    lead = [(0.0, profile.lead)] if profile.lead else []
    if limit == 0:
        return lead
    opening = profile.opening(request)
    deltas = list(profile.deltas(request, reply))[:limit]
    said = [*opening, *(profile.chunk(request, choice(delta)) for delta in deltas)]
    counted = profile.counted(request, said, profile.usage(request, reply, offer))
    pauses = [reply.between] * len(said)
    pauses[: len(opening) or 1] = [reply.first_token, *[0.0] * (len(opening) - 1)]
    frames = [profile.frame(chunk) for chunk in counted]
    return [*lead, *zip(pauses, frames, strict=False)]


def broken_stream(request: Request, fault: Fault, offer: Offer, profile: Profile) -> Transmission:
    if fault.kind == "no_choices":
        usage = profile.chunk(request, usage=profile.usage(request, Reply(), offer))
        end = [(0.0, event) for event in Profile.tail(profile, request, Reply(), offer)]
        return Transmission(200, _events(profile), [(0.0, profile.frame(usage)), *end])
    limit = 0 if fault.kind == "error_in_200" else fault.after
    pieces = opening_pieces(request, fault.reply or echo(request), offer, profile, limit)
    if fault.kind in {"error_in_200", "error_in_stream"}:
        error = profile.failure(fault, fault.code or 502, request)
        pieces.append((0.0, profile.error_frame(request, error)))
    if fault.kind == "not_json":
        pieces.append((0.0, b'data: {"choices": [{"delta": {"cont\n\n'))
    ending = ENDINGS.get(fault.kind, "complete")
    return Transmission(200, _events(profile), pieces, ending, profile.comment)


def broken_json(request: Request, fault: Fault, offer: Offer, profile: Profile) -> Transmission:
    answer = profile.completion(request, fault.reply or echo(request), offer)
    match fault.kind:
        case "stall" | "keepalive":
            return Transmission(200, JSON, ending=ENDINGS[fault.kind])
        case "cut" | "reset_in_stream":
            whole = encode(answer)
            half = [(0.0, whole[: len(whole) // 2])]
            headers = {**JSON, "Content-Length": str(len(whole))}
            return Transmission(200, headers, half, ENDINGS[fault.kind])
        case "error_in_200" | "error_in_stream":
            answer = profile.failure(fault, fault.code or 502, request)
        case "no_choices":
            answer["choices"] = []
        case "no_finish":
            answer["choices"][0]["finish_reason"] = None
        case "not_json":
            return Transmission.whole(200, JSON, encode(answer)[:-20])
    return Transmission.whole(200, JSON, encode(answer))


def _events(profile: Profile) -> dict[str, str]:
    return {"Content-Type": profile.content_type, "Cache-Control": "no-cache"}


def _packed(sent: Transmission) -> Transmission:
    """The same bodies as gzip, each piece readable as soon as it is there."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    pieces = [
        (pause, packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH))
        for pause, piece in sent.pieces
    ]
    if sent.ending == "complete":
        pieces.append((0.0, packer.flush()))
    stored = zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)  # readable however often it is sent
    filler = stored.compress(sent.filler) + stored.flush(zlib.Z_SYNC_FLUSH)
    headers = {k: v for k, v in sent.headers.items() if k != "Content-Length"}
    headers["Content-Encoding"] = "gzip"
    return replace(sent, headers=headers, pieces=pieces, filler=filler)
