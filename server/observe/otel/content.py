"""What people and models say, in spans: only where an operator asks for it.

The form is that of the conventions: a JSON text of messages with a role and parts.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_YES = {"true", "span_only", "span_and_event"}
"""The first is the older way to say it, and the one that most tools still document."""
_ROLES = {"human": "user", "ai": "assistant"}


def captured() -> bool:
    """Whether spans hold prompts, answers, and arguments and results of tools."""
    return os.environ.get(CAPTURE, "").strip().lower() in _YES


def asked(messages: Sequence[BaseMessage]) -> dict[str, str]:
    """What a model is shown."""
    system = [_text(m) for m in messages if isinstance(m, SystemMessage)]
    others = [_message(m) for m in messages if not isinstance(m, SystemMessage)]
    instructions = {"gen_ai.system_instructions": _json(system)} if system else {}
    return {**instructions, "gen_ai.input.messages": _json(others)}


def said(answer: AIMessage) -> dict[str, str]:
    """What a model has answered."""
    reason = answer.response_metadata.get("finish_reason") or "stop"
    return {"gen_ai.output.messages": _json([{**_message(answer), "finish_reason": reason}])}


def result_of(output: Any) -> str:
    """What a tool has returned."""
    return output.text if isinstance(output, ToolMessage) else str(output)


def _message(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, ToolMessage):
        answer = {"type": "tool_call_response", "id": message.tool_call_id}
        return {"role": "tool", "parts": [{**answer, "response": message.text}]}
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    parts = [
        *([_text(message)] if message.text else []),
        *(
            {"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]}
            for call in calls
        ),
    ]
    return {"role": _ROLES.get(message.type, message.type), "parts": parts}


def _text(message: BaseMessage) -> dict[str, str]:
    return {"type": "text", "content": message.text}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
