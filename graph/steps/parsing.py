"""An answer that has to fit a schema: read, checked, and what its model is told of a wrong one."""

from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from everturn.graph.context import Context
from everturn.graph.models.response_schema import schema_of
from everturn.graph.state import Misfit, Route
from everturn.graph.steps.attempt import Prompt
from everturn.graph.steps.window import calls_tools

PARSED = "parsed"
"""Key of an answer's `response_metadata`: what it says, where it had to fit a schema."""

_MAX_SHOWN = 16_384
"""Characters of a wrong answer that its model is shown again."""
_MAX_FLAW = 500


def parse(answer: AIMessage, context: Context) -> Misfit | None:
    """Write into an answer what it says as a value, or return what is wrong with it.

    Where no schema is given, and while tools are called, nothing is.
    """
    if context.response_schema is None or calls_tools(answer):
        return None
    value, flaw = schema_of(context.response_schema).read(answer.text)
    if flaw is None:
        answer.response_metadata[PARSED] = value
        return None
    if answer.response_metadata.get("finish_reason") == "length":
        flaw = "it was cut where the limit of tokens was reached (max_tokens)"
    return Misfit(text=answer.text[:_MAX_SHOWN], flaw=flaw[:_MAX_FLAW])


def with_correction(prompt: Prompt, route: Route) -> Prompt:
    """Return a prompt in which a model sees its wrong answer, where it is to correct it.

    The thread never holds these two messages.
    """
    misfit = route.get("misfit")
    if misfit is None or not route.get("correct"):
        return prompt
    said = misfit["text"] if misfit["text"].strip() else "(nothing)"
    told: list[Any] = [
        AIMessage(said),
        HumanMessage(
            f"That does not fit the JSON Schema: {misfit['flaw']}. Write the whole answer again: "
            "JSON that fits it, and nothing else."
        ),
    ]
    return replace(prompt, messages=[*prompt.messages, *told])
