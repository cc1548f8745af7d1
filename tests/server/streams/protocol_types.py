"""Events and answers of the event protocol, held against the types that its authors publish."""

from typing import Any

import langchain_protocol as protocol
from pydantic import TypeAdapter
from typing_extensions import TypedDict


class _Answered(TypedDict):
    """Of protocol 0.0.21, which JavaScript's client has and Python's package has not yet."""

    interrupt_ids: list[str]


_EVENT: TypeAdapter[Any] = TypeAdapter(protocol.Event)
_DATA: dict[str, TypeAdapter[Any]] = {
    "lifecycle": TypeAdapter(protocol.LifecycleData),
    "messages": TypeAdapter(protocol.MessagesData),
    "tools": TypeAdapter(protocol.ToolsData),
    "input.answered": TypeAdapter(_Answered),
    "input.requested": TypeAdapter(protocol.InputRequestedData),
    "updates": TypeAdapter(protocol.UpdatesData),
    "checkpoints": TypeAdapter(protocol.Checkpoint),
    "custom": TypeAdapter(protocol.CustomData),
}


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event that is of its type, and whose data is.

    Raises:
        ValidationError: it is not.
    """
    if event["method"] != "input.answered":
        _EVENT.validate_python(event, strict=True)
    if data := _DATA.get(event["method"]):
        data.validate_python(event["params"]["data"], strict=True)
    return event
