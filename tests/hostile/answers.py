"""A grammar of what a model's provider may send: JSON, events, HTTP, and how they are torn.

Each part is mostly as it should be, so that most answers are wrong in few places: what is wrong
everywhere is refused by the first reader and tests no other.
"""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.provider.script import Ending, Transmission

T = TypeVar("T")
JSON = Any
Body = dict[str, JSON]


class Written(str):
    """A JSON value as it is written: no Python object is written so."""


MARK = "everturn-written-"


def encode(value: JSON) -> str:
    """Write JSON, with what no encoder writes."""
    found: list[str] = []

    def hide(value: JSON) -> JSON:
        if isinstance(value, Written):
            found.append(str(value))
            return f"{MARK}{len(found) - 1}."
        if isinstance(value, dict):
            return {key: hide(each) for key, each in value.items()}
        return [hide(each) for each in value] if isinstance(value, list) else value

    text = json.dumps(hide(value))
    for number, written in enumerate(found):
        text = text.replace(f'"{MARK}{number}."', written)
    return text


# Values

HOSTILE_TEXTS = (
    "",
    " ",
    "\0",
    "\ud83d",
    "\ude00 alone",
    "a\nb\r\n{}",
    '{"event": "api_request", "level": "info"}\n{"event": "forged"}',
    "\x1b[31mred\x1b[0m\x07",
    "\u202eright to left",
    "<script>alert(1)</script>",
    "<html><body>Bad gateway</body></html>",
    "<think>never closed",
    "</think>",
    "[DONE]",
    "null",
    "__remove_all__",
    "__everturn",
    "__interrupt__",
    "__start__",
    "../../etc/passwd",
    "x" * 3_000,
    "é" * 70,
)
HOSTILE_NUMBERS = (
    *(-1, 0, 2**31, 2**53, 2**63, 2**64, 2**70, -(2**70), 10**100, 0.5, 1e308),
    *(math.nan, math.inf, -math.inf),
)
WRITTEN = (
    Written("1e999"),
    Written("-1e999"),
    Written("9" * 5_000),
    Written("1e-400"),
    Written("[" * 200 + "]" * 200),
    Written("[" * 5_000 + "]" * 5_000),
    Written('{"a":' * 900 + "1" + "}" * 900),
    Written('{"a": 1, "a": 2}'),
    Written('"\\ud800\\u0000"'),
)

texts = st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=8)
numbers = st.sampled_from(HOSTILE_NUMBERS)
leaves = st.none() | st.booleans() | numbers | texts | st.sampled_from(WRITTEN)
names = st.sampled_from(("type", "text", "id", "message", "content", "role", "", "\ud83d", "\0"))
odd: st.SearchStrategy[JSON] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names | texts, inner, max_size=4)
    ),
    max_leaves=6,
)


@st.composite
def rarely(draw: st.DrawFn, usual: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> T:
    """Draw what is usual, seven times of eight."""
    return draw(other if draw(st.integers(0, 7)) == 7 else usual)


def mostly(*values: JSON) -> st.SearchStrategy[JSON]:
    """One of these, or something odd."""
    return rarely(st.sampled_from(values), odd)


@st.composite
def members(
    draw: st.DrawFn,
    always: Mapping[str, st.SearchStrategy[JSON]],
    **sometimes: st.SearchStrategy[JSON],
) -> Body:
    """Draw an object that has some of these members; rarely one is missing, or stranger."""
    made = {name: draw(value) for name, value in always.items()}
    if sometimes:
        for name in draw(st.lists(st.sampled_from(sorted(sometimes)), max_size=2, unique=True)):
            made[name] = draw(sometimes[name])
    if draw(st.integers(0, 15)) == 15:
        made.pop(draw(st.sampled_from(sorted(made))), None)
    if draw(st.integers(0, 15)) == 15:
        made[draw(texts)] = draw(odd)
    return made


# What a model says

words = mostly("Hello", " world", "", "é", "two\nlines", None)
arguments = mostly(
    "{}",
    '{"expression": "1+1"}',
    '{"expression": "1',
    '+1"}',
    '{"a": 1e999}',
    '{"a": NaN}',
    '{"city": "Oslo"}',
    '{"url": "http://169.254.169.254/"}',
    "[]",
    "7",
    "null",
    '"text"',
    "{" * 40,
    "[" * 300 + "]" * 300,
    '{"expression": "' + "1+" * 20_000 + '1"}',
    '{"n": ' + "9" * 5_000 + "}",
    '{"a": "\\ud83d"}',
    '{"a": "\\u0000"}',
    '{"__everturn": {}, "config": {"configurable": {"thread_id": "x"}}}',
    {"expression": "1+1"},
    ["1+1"],
)
tool_names = mostly(
    "calculator",
    "calculator",
    "get_weather",
    "current_time",
    "fetch_page",
    "no_such_tool",
    "calc",
    "",
    "__remove_all__",
    "__class__",
    "a b\nc",
    "n" * 5_000,
)
call_ids = mostly("call_1", "call_2", "", None, "a\nb", "\0", "i" * 5_000, "i" * 70_000)
indexes = mostly(0, 0, 1, 2, -1, 2**70, None, "0", 1.5)
functions = members({"name": tool_names, "arguments": arguments}, description=odd)
call_entries = members(
    {"index": indexes, "id": call_ids, "type": mostly("function"), "function": functions},
    extra_content=odd,
    custom=odd,
)
calls = rarely(
    st.lists(rarely(call_entries, odd), min_size=1, max_size=3),
    odd | call_entries.map(lambda each: [each] * 40) | call_entries,
)

blocks = st.lists(
    rarely(
        members(
            {"type": mostly("text", "output_text", "thinking", "image_url", "video", "unknown")},
            text=words,
            thinking=words,
            signature=words,
            index=indexes,
            image_url=odd,
            content=odd,
        ),
        odd,
    ),
    max_size=3,
)
roles = mostly("assistant", "assistant", "user", "system", "tool", "remove", "function", "")
deltas = members(
    {"role": roles, "content": words | blocks},
    tool_calls=calls,
    function_call=functions,
    refusal=words,
    reasoning=words | blocks,
    reasoning_content=words | blocks,
    reasoning_details=blocks | odd,
    thinking_blocks=blocks | odd,
    extra_content=odd,
    annotations=odd,
    audio=odd,
    id=mostly("__remove_all__", "m1"),
    name=texts,
    type=mostly("remove", "human", "system"),
    additional_kwargs=odd,
    response_metadata=odd,
    usage_metadata=odd,
    tool_call_id=odd,
)
calling = members({"role": roles, "content": words, "tool_calls": calls})
counts = mostly(0, 1, 7, 2**40, -5, "7", True)
usages = members(
    {"prompt_tokens": counts, "completion_tokens": counts, "total_tokens": counts},
    cost=mostly(0.01, -1, 1e300, "free", True, math.nan, math.inf),
    prompt_tokens_details=members({"cached_tokens": counts}, audio_tokens=counts) | odd,
    completion_tokens_details=members({"reasoning_tokens": counts}, audio_tokens=counts) | odd,
    cost_details=odd,
)
errors = rarely(
    members(
        {
            "message": mostly(
                "Provider returned error",
                "key sk-test is wrong",
                "<html><h1>502</h1></html>",
                "line\n{\"event\": \"forged\"}",
                "please try again in 2s",
            ),
            "code": mostly(400, 401, 402, 403, 404, 413, 429, 500, 503, "insufficient_quota", 2**70),
        },
        metadata=odd | members({"headers": odd, "raw": odd}),
        type=odd,
        param=odd,
        status=odd,
        details=odd,
        retry_after=odd,
        retryDelay=odd,
    ),
    odd,
)


def choices(form: str) -> st.SearchStrategy[JSON]:
    """The `choices` of a chunk (`delta`) or of a whole answer (`message`)."""
    finish = (
        mostly(None, None, None, "stop")
        if form == "delta"
        else mostly("stop", "tool_calls", "length", "content_filter", "error", "null")
    )
    one = members(
        {"index": indexes, form: rarely(deltas | calling, odd), "finish_reason": finish},
        logprobs=odd,
        usage=usages,
        error=errors,
        native_finish_reason=odd,
        message=odd,
    )
    return rarely(one.map(lambda each: [each]), st.lists(one | odd, max_size=3) | odd)


def completions(form: str) -> st.SearchStrategy[JSON]:
    """A chunk, or a whole answer."""
    return rarely(
        members(
            {
                "id": mostly("gen-1", "a\nb", "__remove_all__", "i" * 5_000),
                "model": mostly("m", "other/model", 'm\n{"event": "forged"}', "x" * 5_000),
                "created": mostly(1_750_000_000, -1, 2**70, "yesterday"),
                "choices": choices(form),
            },
            object=odd,
            usage=usages | odd,
            error=errors,
            x_groq=members({"usage": usages}) | odd,
            service_tier=odd,
            system_fingerprint=odd,
            message=odd,
            detail=odd,
        ),
        errors.map(lambda error: {"error": error}) | odd,
    )


# How it is written

finished = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
ends = members({"choices": st.just(finished)}, usage=usages | odd, model=texts)
GARBAGE = (
    b": comment\n\n",
    b"data\n\n",
    b"data:\n\n",
    b"data: \n\n",
    b"data: not json\n\n",
    b'data: {"choices": [{"delta": {"cont\n\n',
    b"data: <html>\n\n",
    b"data: [DONE]\n\n",
    b"event: error\ndata: {}\n\n",
    b"event: error\ndata: key sk-test is wrong\n\n",
    b"event: ping\n\n",
    b"error: {\"message\": 7}\n\n",
    b"id: \0\nretry: 1e999\n\n",
    b"\xff\xfe\x00\n\n",
    b"\xed\xa0\x80\n\n",
    b"data: \xed\xa0\x80\n\n",
    b"\xef\xbb\xbf",
    b"\r\r\r\n",
    b"\n" * 200,
    b": \n\n" * 300,
    b"x" * 20_000,
    b"data: " + b"[" * 5_000 + b"\n\n",
    b"data: []\n\n" * 50,
    b"data: null\n\n",
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """A stream of events."""
    chunks = draw(st.lists(completions("delta"), max_size=4))
    frames = [f"data: {encode(chunk)}\n\n".encode("utf-8", "surrogatepass") for chunk in chunks]
    if draw(st.integers(0, 3)):
        frames.append(f"data: {encode(draw(ends))}\n\n".encode())
        frames.append(b"data: [DONE]\n\n")
    for garbage in draw(rarely(st.just([]), st.lists(st.sampled_from(GARBAGE), max_size=3))):
        frames.insert(draw(st.integers(0, len(frames))), garbage)
    line_end = draw(rarely(st.just(b"\n"), st.sampled_from([b"\r\n", b"\r", b"\n\r"])))
    start = draw(rarely(st.just(b""), st.sampled_from([b"\xef\xbb\xbf", b" \n", b"\0", b"\xef"])))
    return start + b"".join(frames).replace(b"\n", line_end)


documents = completions("message").map(lambda body: encode(body).encode("utf-8", "surrogatepass"))
pages = st.sampled_from(
    [b"", b"<html><body>sk-test</body></html>", b"null", b"[]", b"{", b"\0" * 100, b"Bad gateway"]
)
bodies = rarely(events(), documents | pages)

# How it is sent

STATUSES = (200, 201, 204, 206, 300, 302, 304, 400, 401, 402, 403, 404, 407, 408, 413, 418, 422)
MORE_STATUSES = (429, 451, 499, 500, 502, 503, 504, 520, 529, 599, 999)
statuses = rarely(st.just(200), st.sampled_from(STATUSES + MORE_STATUSES))
types = rarely(
    st.just(b"text/event-stream"),
    st.sampled_from(
        [b"application/json", b"text/html", b"", b"text/event-stream; charset=utf-16", b"\xff/x"]
    ),
)
header_lines = st.lists(
    st.sampled_from(
        [
            b"Retry-After: 1",
            b"Retry-After: -1",
            b"Retry-After: 1e400",
            b"Retry-After: " + b"9" * 400,
            b"Retry-After: Fri, 31 Dec 9999 23:59:59 -2359",
            b"Retry-After: 0001-01-01T00:00:00",
            b"retry-after-ms: nan",
            b"X-RateLimit-Reset: 99999999999999999999",
            b"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 9999999999d",
            b"Set-Cookie: a=b; Domain=localhost",
            b"Location: http://127.0.0.1:9/",
            b"Location: /v1/chat/completions",
            b"Location: file:///etc/passwd",
            b"Alt-Svc: h3=\":443\"",
            b"X: " + b"y" * 20_000,
            b"\r\n".join(b"X-%d: y" % n for n in range(150)),
            b"X\xff: \xff",
            b"no colon",
            b"Trailer: x",
        ]
    ),
    max_size=2,
)


def _stored(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


ENCODINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": _stored,
    b"x-gzip": _stored,
    b"deflate": zlib.compress,
    b"gzip, gzip": lambda data: _stored(_stored(data)),
    b"br": lambda data: data,
    b"zstd": lambda data: data,
    b"rot13": lambda data: data,
    b"identity": lambda data: data,
}
LIES = (b"gzip", b"deflate")


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Split bytes anywhere: in the middle of a line, of a character, of a number."""
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    pieces = [data[a:b] for a, b in pairwise([0, *at, len(data)])]
    return [piece for piece in pieces if piece]


@st.composite
def transmissions(draw: st.DrawFn) -> Transmission:
    """All that the socket of a client may see after its request."""
    body, coding = draw(bodies), draw(rarely(st.just(b""), st.sampled_from([*ENCODINGS, b"lie"])))
    lines = draw(rarely(st.just([]), header_lines))
    if coding == b"lie":
        lines = [*lines, b"Content-Encoding: " + draw(st.sampled_from(LIES))]
    elif coding:
        body = ENCODINGS[coding](body)
        lines = [*lines, b"Content-Encoding: " + coding]
    pieces = draw(cut(body))
    framing = draw(
        st.sampled_from(["chunked"] * 6 + ["length"] * 4 + ["close"] * 2)
        | st.sampled_from(["short", "long", "bad chunk", "no end", "both", "negative"])
    )
    head = [b"HTTP/1.1 %d OK" % draw(statuses), b"Content-Type: " + draw(types), *lines]
    sent: list[bytes] = []
    if framing in {"chunked", "bad chunk", "no end", "both"}:
        head.append(b"Transfer-Encoding: chunked")
        sent = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
        sent.append({"bad chunk": b"zz\r\n", "no end": b""}.get(framing, b"0\r\n\r\n"))
    else:
        sent = pieces
    if framing in {"length", "both"}:
        head.append(b"Content-Length: %d" % len(body))
    elif framing == "short":
        head.append(b"Content-Length: %d" % (len(body) // 2))
    elif framing == "long":
        head.append(b"Content-Length: %d" % (len(body) + 1_000))
    elif framing == "negative":
        head.append(b"Content-Length: -1")
    first = draw(
        rarely(
            st.just(b""),
            st.sampled_from(
                [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"\r\n"]
                + [b"HTTP/9.9 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", b"\0", b"\x16\x03\x01"]
            ),
        )
    )
    ending: Ending = draw(
        rarely(st.just("cut"), st.sampled_from(["cut", "reset", "reset", "stall"]))
    )
    pause = draw(rarely(st.just(0.0), st.sampled_from([0.0, 0.01])))
    wire = [first + b"\r\n".join(head) + b"\r\n\r\n", *sent]
    return Transmission(None, pieces=[(pause, piece) for piece in wire if piece], ending=ending)


scripts = st.lists(transmissions(), min_size=1, max_size=2)
"""What one turn meets: the answers of the first calls, until the provider behaves."""
