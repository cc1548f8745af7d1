"""Answers, made comparable: ids, times and the words of errors are not."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(r"^[0-9a-f]{32}$")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?$")
_HEADERS = ("content-type", "location", "content-location", "x-pagination-total")
_ERROR = 400


def comparable(value: Any) -> Any:
    """Replace ids and times in an answer by what they are."""
    if isinstance(value, Mapping):
        return {comparable(str(key)): comparable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if not isinstance(value, str):
        return value
    if _TIME.match(value):
        return "<time>"
    if _HEX.match(value):
        return "<id>"
    return _ID.sub("<id>", value)


def described(answer: httpx.Response) -> dict[str, Any]:
    """Describe an answer: its status, some headers, and its body or its events.

    Of an error only what clients look for in it.
    """
    if answer.status_code >= _ERROR:
        body = _body(answer)
        detail = body.get("detail") if isinstance(body, dict) else None
        gone = {"says": "not found"} if "not found" in str(detail).lower() else {}
        return {"status": answer.status_code, **gone, **({} if detail else {"detail": "none"})}
    found = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
    kind = found.pop("content-type", "").partition(";")[0]
    if not answer.content:  # of nothing, the type does not matter
        kind = ""
    body = _events(answer.text) if kind == "text/event-stream" else _body(answer)
    return {
        "status": answer.status_code,
        "content-type": kind,
        **{name: comparable(value) for name, value in found.items()},
        "body": comparable(body),
    }


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text


def _events(text: str) -> list[Any]:
    """The events of a stream; tokens that follow one another are one, as are their ids."""
    events: list[Any] = []
    for block in re.split(r"\r?\n\r?\n", text):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line[1:])
        if "event" not in fields:
            continue
        data = httpx.Response(200, text=fields.get("data", "null")).json()
        event = {"event": fields["event"], "data": data, "has id": "id" in fields}
        if not (events and event["event"].startswith("messages") and _same(events[-1], event)):
            events.append(event)
    return events


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["event"] == other["event"])


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each place in which two answers differ."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            place = f"{path}.{key}"
            if key not in ours:
                yield f"{place}: {_short(theirs[key])} -> is missing"
            elif key not in theirs:
                yield f"{place}: is missing -> {_short(ours[key])}"
            else:
                yield from differences(theirs[key], ours[key], place)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif theirs != ours or type(theirs) is not type(ours):
        yield f"{path}: {_short(theirs)} -> {_short(ours)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]} ... {text[-80:]}"
