"""The summary of a thread in its turns: found where it was made, begun where it is due."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.config import get_config

from everturn.graph.cache.key import caller_name, owner_part
from everturn.graph.context import Context
from everturn.graph.models.provider import Models
from everturn.graph.services import (
    current_budget,
    current_guards,
    current_models,
    current_summaries,
)
from everturn.graph.state import State, Summary
from everturn.graph.steps.tokens import reckoned
from everturn.graph.steps.window import start_of_window
from everturn.graph.summaries.block import digest_of, next_block, still_of, transcript
from everturn.graph.summaries.simple import simple_summary
from everturn.graph.summaries.summaries import Make, Summaries
from everturn.graph.summaries.writer import Writer

Update = dict[str, Any]

_SHORT = 6
"""Messages: a thread that has no more needs no summary."""
_OWNER = "langgraph_auth_user_id"
_AT_ONCE = 3
"""Blocks that one turn takes over, should more be ready."""


async def summed_up(state: State, context: Context) -> tuple[State, Update]:
    """Return the state with the summary there is, and what of it is new to the thread.

    Where one is due it is begun beside the turn. Without models it is made at once, and simple.
    """
    summaries = await current_summaries()
    if not summaries.settings.summary:
        return {**state, "summary": None}, {}
    messages = state["messages"]
    before = still_of(state.get("summary"), messages)
    summary = before
    if len(messages) > _SHORT and isinstance(messages[-1], HumanMessage):
        models = await current_models()
        for _ in range(_AT_ONCE):
            newer = await _newer(summary, messages, context, models, summaries)
            if newer is None:
                break
            summary = newer
    return {**state, "summary": summary}, {} if summary is before else {"summary": summary}


async def _newer(
    summary: Summary,
    messages: Sequence[AnyMessage],
    context: Context,
    models: Models,
    summaries: Summaries,
) -> Summary | None:
    """Return the next summary, if it is there; where it is due and is not, have it made."""
    start = start_of_window(messages, context.window, _least_room(models, context))
    covered = summary["messages"]
    end = next_block(messages, covered, context.window, start)
    if end is None:
        return None
    if models.settings.provider_url is None:
        summaries.count("simple")
        text = simple_summary(summary["text"], messages[covered:end])
        return _of(text, messages, end, by="offline")
    name = digest_of("\0".join([summary["text"], str(messages[covered].id), str(covered)]))
    owner = get_config().get("configurable", {}).get(_OWNER)
    key = f"{owner_part(caller_name(owner))}summary:{name}"
    if found := await summaries.made(key):
        ends = int(found["messages"])
        if covered < ends < len(messages) and found["of"] == digest_of(
            transcript(messages[covered:ends])
        ):
            return _of(str(found["text"]), messages, ends, by=str(found["by"]))
    if summaries.failed(key):
        if covered >= start:  # all that is not summed up is still shown
            return None
        summaries.count("simple")
        text = simple_summary(summary["text"], messages[covered:end])
        return _of(text, messages, end, by="offline")
    make = await _make(summary, messages[covered:end], context, models, summaries)
    # What was found and did not do is of messages that were removed or changed since.
    summaries.begin(key, make, anew=found is not None)
    return None


async def _make(
    summary: Summary,
    block: Sequence[AnyMessage],
    context: Context,
    models: Models,
    summaries: Summaries,
) -> Make:
    wanted = summaries.settings.summary_model
    writer = Writer(models, context, current_budget(), await current_guards(), wanted)
    notes, said, end = summary["text"], transcript(block), summary["messages"] + len(block)

    async def make() -> dict[str, Any]:
        text, by = await writer.write(notes, block)
        return {"text": text, "messages": end, "of": digest_of(said), "by": by}

    return make


def _of(text: str, messages: Sequence[AnyMessage], end: int, *, by: str) -> Summary:
    through = str(messages[end - 1].id)
    return Summary(text=text, through=through, messages=end, tokens=reckoned(text), by=by)


def _least_room(models: Models, context: Context) -> int | None:
    """Tokens that the smallest model of the chain reads, as far as is known."""
    known = [
        model.context
        for model in models.catalogue.models
        if model.context is not None and model.name in models.catalogue.names
    ]
    answer = context.max_tokens or 0
    return max(1, min(known) - answer - reckoned(context.system_prompt)) if known else None
