"""The steps a script is mostly made of: a model that echoes and calculates, and one that fails."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from tests.provider.script import Answer, Fault, FaultName, Reply, Request, ToolCall, resolve

# Digits, operators and brackets, from a number or bracket to a number or bracket: "10 * (20 + 1)".
ARITHMETIC = re.compile(r"[(\d][\d\s.()]*[-+*/^%][-+*/^%\d\s.()]*[\d)]")


def echo(request: Request) -> Reply:
    """Say what was said; ask a calculator on offer for arithmetic, and answer from its result."""
    last = request.messages[-1] if request.messages else {}
    text = text_of(last)
    if last.get("role") == "tool":
        return Reply(f"The result is {result_in(text)}.")
    expression = ARITHMETIC.search(text)
    calculator = request.tools.get("calculator")
    if expression and calculator and request.body.get("tool_choice") != "none":
        argument = next(iter(calculator["parameters"]["properties"]), "expression")
        return Reply(tool_calls=[ToolCall("calculator", {argument: expression[0]})])
    return Reply(f"You said: {text}")


def chaos(
    rate: float, *kinds: int | FaultName | Fault, seed: int = 0
) -> Callable[[Request], Answer]:
    """Fail this share of the calls, each with one of the `kinds`, and echo the others.

    Which calls fail follows from seed, model and the call's number alone, so that a run with many
    calls side by side fails in the same places again.
    """

    def step(request: Request) -> Answer:
        dice = random.Random(f"{seed}/{request.model}/{request.number}")
        if dice.random() >= rate:
            return resolve(echo, request)
        kind = dice.choice(kinds)
        return kind if isinstance(kind, Fault) else Fault(kind)

    return step


def text_of(message: dict[str, Any]) -> str:
    """A message's text, whether its content is a string or a list of blocks."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(block.get("text", "") for block in content)


def result_in(tool_output: str) -> str:
    """What a tool found, which it may have wrapped as `{"result": …}`."""
    try:
        parsed = json.loads(tool_output)
    except json.JSONDecodeError:
        return tool_output
    return str(parsed["result"]) if isinstance(parsed, dict) and "result" in parsed else tool_output
