"""What the engine is asked: the turn that a run's request, its assistant and its caller make."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langgraph.types import Command, Send

from everturn.checkpoints.sql.assistants import Assistant
from everturn.server.access.allowance import allowance_of
from everturn.server.access.caller import caller_config, without_caller
from everturn.server.projects.graphs import Graphs
from everturn.server.runs.injection import StopForMessages
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run
from everturn.server.streams.modes import graph_modes
from everturn.server.turns.turn import Turn


def turn_of(run: Run, graphs: Graphs, *, goes_on: bool) -> Turn:
    """Return the turn of a run: with its input, or to go on from where it was left."""
    request = run.request
    return Turn(
        graph=run.assistant.graph_id,
        input=None if goes_on else input_of(request),
        thread_id=None if request.without_memory else run.thread_id,
        context=context_of(graphs, request, run.assistant),
        config=_config_of(run),
        services={"budget": run.budget} if run.budget else {},
        stream_modes=graph_modes(request.stream_mode),
        ttl=run.ttl,
        events="events" in request.stream_mode,
        subgraphs=request.stream_subgraphs,
        interrupt_before=request.interrupt_before,
        interrupt_after=request.interrupt_after,
        durability=request.durability or ("exit" if run.on_own_thread else None),
        timeout=allowance_of(run.caller).turn_timeout,
        control=StopForMessages(run.inbox) if request.lasting else None,
    )


def context_of(graphs: Graphs, request: RunRequest, assistant: Assistant) -> dict[str, Any]:
    """What the graph may choose from: clients from before LangGraph 0.6 say it in the config.

    A graph that does not say what it takes is given everything.
    """
    if request.interactive:
        return {**assistant.context, **request.context}
    takes = graphs.context_fields(assistant.graph_id)
    said = _without_place(request.config.get("configurable", {}))
    chosen = {key: value for key, value in said.items() if not takes or key in takes}
    return {**assistant.context, **chosen, **request.context}


def _config_of(run: Run) -> dict[str, Any]:
    request, config = run.request, {**run.assistant.config, **run.request.config}
    callbacks = [*(run.budget.callbacks if run.budget else ()), *run.callbacks]
    about = {
        "run_id": run.row.run_id,
        "graph_id": run.assistant.graph_id,
        "assistant_id": run.assistant.assistant_id,
    }
    place = {"checkpoint_id": request.checkpoint_id, **(request.checkpoint or {})}
    configurable = {
        # What a client says of this one counts, as with LangGraph's server.
        **({"user_id": run.caller.identity} if run.caller else {}),
        **configurable_of(run.assistant, request),
        **caller_config(run.caller),
        **about,
        **{key: value for key, value in place.items() if value and key != "thread_id"},
    }
    metadata = {
        **run.of_thread,
        **run.row.metadata,
        **config.get("metadata", {}),
        "run_id": run.row.run_id,  # by which what it did is found again, and undone
        "run_attempt": run.feed.attempt,
    }
    return {
        **config,
        "configurable": configurable,
        "metadata": metadata,
        "run_id": UUID(run.row.run_id),
        "run_name": config.get("run_name") or run.assistant.graph_id,
        **({"callbacks": callbacks} if callbacks else {}),
    }


def updates_latest(request: RunRequest) -> bool:
    """Whether it is a command that changes the latest state of its thread."""
    forks = request.checkpoint_id or (request.checkpoint or {}).get("checkpoint_id")
    return bool(request.command and request.command.get("update") and not forks)


def has_blocks(given: Any) -> bool:
    """Whether a message of an input has blocks, such as pictures."""
    messages = given.get("messages") if isinstance(given, dict) else None
    several = messages if isinstance(messages, list) else [messages]
    return any(isinstance(m, dict) and isinstance(m.get("content"), list) for m in several)


def configurable_of(assistant: Assistant, request: RunRequest) -> dict[str, Any]:
    """What an assistant and a request say in `config.configurable`.

    Graphs from before LangGraph 0.6 look for their context here. It would be in the metadata of
    each checkpoint, too; the routes of our own are younger than that.
    """
    context = {} if request.interactive else _without_place(request.context)
    return {
        **_without_place(assistant.config.get("configurable", {})),
        **context,
        **without_caller(request.config.get("configurable", {})),
    }


def _without_place(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant is of no thread, and of no caller: only a request says where to run."""
    place = {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}
    said = without_caller(configurable)
    return {key: value for key, value in said.items() if key not in place}


def input_of(request: RunRequest) -> Any:
    """Return a request's input for the graph: a command, or what is said."""
    return _command(request.command) if request.command else request.input


def _command(asked: Mapping[str, Any]) -> Command[Any]:
    goto = asked.get("goto") or ()
    several = goto if isinstance(goto, list) else [goto] if goto else []
    targets = [Send(to["node"], to.get("input")) if isinstance(to, dict) else to for to in several]
    update = asked.get("update")
    if isinstance(update, list) and all(isinstance(pair, list) for pair in update):
        update = [tuple(pair) for pair in update]
    chosen = {key: asked[key] for key in ("resume",) if key in asked}
    return Command(goto=targets, update=update, **chosen)
