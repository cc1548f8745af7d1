"""What gateways and proxies make of a stream, all of it legal or at least common.

The format allows a byte order mark, CRLF, comments, an event in several lines, and no blank line at
the end: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
JSON allows a character in two escaped halves: https://www.rfc-editor.org/rfc/rfc8259#section-7.
The rest (another content type, packed bodies, no `finish_reason`, the usage after the end, objects
as arguments, no ids) is what users of small servers report; see the bug reports beside `vllm.py`,
`ollama.py` and `sglang.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, choice
from tests.provider.script import Reply, Request, ToolCall


class Gateway(Profile):
    """Every legal liberty at once."""

    name = "gateway"
    comment = b": proxied\r\n\r\n"
    lead = b"\xef\xbb\xbf" + comment
    content_type = "text/plain"
    gzip = True

    def frame(self, body: Any) -> bytes:
        lines = json.dumps(body, indent=1).splitlines()
        half = len(lines) // 2
        parts = ["".join(lines[:half]), "".join(lines[half:])]
        return "".join(f"data:{part}\r\n" for part in parts).encode() + b"id: 1\r\nretry: 3\r\n\r\n"

    def opening(self, request: Request) -> list[Body]:
        return [self.chunk(request, choice({"role": "assistant"}))]

    def thought(self, word: str) -> Body:
        return {"thinking": word}

    def thoughts(self, request: Request, reply: Reply) -> Body:
        return {"thinking": reply.reasoning}

    def deltas(self, request: Request, reply: Reply) -> Iterator[Body]:
        for delta in super().deltas(request, reply):
            text = delta.get("content") or ""
            halves = text.encode("utf-16-be", "surrogatepass")
            odd = next((n for n in range(0, len(halves), 2) if 0xD8 <= halves[n] <= 0xDB), None)
            if odd is None:
                yield delta
                continue
            for part in (halves[: odd + 2], halves[odd + 2 :]):
                yield self.said(part.decode("utf-16-be", "surrogatepass"))

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        yield {"tool_calls": [{"function": {"name": call.name, "arguments": call.args}}]}

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        ends = [] if reply.finish_reason == "auto" else [choice({}, reply.finish_reason)]
        return [self.chunk(request, end) for end in ends]

    def tail(self, request: Request, reply: Reply, offer: Offer) -> list[bytes]:
        usage = self.chunk(request, usage=self.usage(request, reply, offer))
        return [b"data: [DONE]\r\n\r\n", self.frame(usage).rstrip()]


PROFILE = Gateway()
