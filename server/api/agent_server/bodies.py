"""What all routes of the Agent Server API have in common: ids, bodies, and pages."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from everturn.server.api.http.json import dumps
from everturn.server.api.http.values import MAX_FEW, MAX_MANY, MAX_NAME, JsonObject, Name, at_most
from everturn.server.turns.places import Place

Responses = dict[int | str, dict[str, Any]]
"""What a route answers, for OpenAPI, by status."""
_JSON = "application/json"

AssistantId = Annotated[
    str, Path(description="The assistant, a UUID; the name of a graph is its own assistant's.")
]
ThreadId = Annotated[UUID, Path(description="The thread, a UUID.")]


def _none_required(schema: dict[str, Any]) -> None:
    schema.pop("required", None)


SELECTED = ConfigDict(json_schema_extra=_none_required)
"""For the models of answers to `select`: each of the fields may be left out."""


class CheckpointRef(BaseModel):
    """Names a state of a thread; its `thread_id` is the path's, whatever it says here."""

    checkpoint_ns: Name = Field(default="", description="The subgraph; empty for the graph itself.")
    checkpoint_id: Name | None = Field(default=None, description="None is the latest.")
    checkpoint_map: Annotated[dict[Name, Name], at_most(MAX_FEW)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Take a config for the checkpoint that it names, and an id for its checkpoint."""
        if isinstance(value, str):
            return {"checkpoint_id": value}
        if isinstance(value, dict) and isinstance(inner := value.get("configurable"), dict):
            value = inner
        if isinstance(value, dict):
            return {name: each for name, each in value.items() if each is not None}
        return value

    def place(self) -> Place:
        """Put it in the engine's words."""
        return Place(**self.model_dump())


def _of_the_graph(value: dict[str, Any]) -> dict[str, Any]:
    if internal := [key for key in value if key.startswith("__")]:
        raise ValueError(f"{internal[0]}: names with `__` are internal")
    return value


_TAGS = f"tags must be a list of at most {MAX_FEW} texts, each of at most {MAX_NAME} characters"
"""LangChain merges the tags of each step into those around it, one by one."""


_KEYS = f" of at most {MAX_MANY} keys"
"""LangGraph copies them for each step."""


def _has_few_keys(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= MAX_MANY


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NAME


def _run_config(value: dict[str, Any]) -> dict[str, Any]:
    value = {key: each for key, each in value.items() if each is not None}
    tags, limit = value.get("tags", []), value.get("recursion_limit", 1)
    run_name = value.get("run_name", "")
    at_once = value.get("max_concurrency", 1)
    configurable, metadata = value.get("configurable", {}), value.get("metadata", {})
    checks = {
        f"configurable must be an object{_KEYS}": _has_few_keys(configurable),
        f"metadata must be an object{_KEYS}": _has_few_keys(metadata),
        _TAGS: isinstance(tags, list) and len(tags) <= MAX_FEW and all(map(_is_name, tags)),
        f"run_name must be a text of at most {MAX_NAME} characters": _is_name(run_name),
        "callbacks are functions: a client cannot send them": "callbacks" not in value,
        "recursion_limit must be a whole number from 1 on": type(limit) is int and limit >= 1,
        "max_concurrency must be a whole number from 1 on": type(at_once) is int and at_once >= 1,
    }
    for claim, holds in checks.items():
        if not holds:
            raise ValueError(claim)
    # A `RemoteGraph` sends on what LangGraph keeps there for the run around it.
    ours = {key: each for key, each in configurable.items() if not key.startswith("__pregel_")}
    _of_the_graph(ours)
    return {**value, "configurable": ours} if configurable else value


Config = Annotated[JsonObject, AfterValidator(_run_config)]
"""LangGraph's run config, as far as it is a client's; what is null was not said."""

Context = Annotated[JsonObject, AfterValidator(_of_the_graph)]
"""What a graph may choose from."""


def json_response(value: Any, headers: dict[str, str] | None = None) -> Response:
    """Answer with LangGraph's values as JSON."""
    return Response(dumps(value), media_type=_JSON, headers=headers)


async def large_json_response(value: Any, headers: dict[str, str] | None = None) -> Response:
    """Do the same beside the event loop, for pages of states: their messages take their time."""
    return Response(await asyncio.to_thread(dumps, value), media_type=_JSON, headers=headers)


def page_headers(offset: int, shown: int, *, more: bool) -> dict[str, str]:
    """Say where a page lies: the total as far as it is known, and where the next one begins."""
    end = offset + shown
    headers = {"X-Pagination-Total": str(end + more)}
    return headers | {"X-Pagination-Next": str(end)} if more else headers
