"""One graph for each kind of context schema; each says what its node was given."""

from dataclasses import dataclass
from typing import Any, TypedDict

import typing_extensions
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel


class State(TypedDict, total=False):
    seen: dict[str, Any]


def node(state: State, config: RunnableConfig, runtime: Runtime[Any]) -> State:
    chosen = {
        key: value
        for key, value in config.get("configurable", {}).items()
        if key in {"who", "count", "other"}
    }
    kind = type(runtime.context).__name__
    shown = runtime.context if isinstance(runtime.context, dict | None) else repr(runtime.context)
    return {"seen": {"kind": kind, "context": shown, "configurable": chosen}}


def build(schema: Any) -> Any:
    builder = StateGraph(State, context_schema=schema)
    return builder.add_node(node).add_edge(START, "node").compile()


class Typed(TypedDict):
    who: str
    count: int


class TypedExt(typing_extensions.TypedDict, total=False):
    who: str
    count: int


@dataclass
class Data:
    who: str
    count: int = 1


@dataclass
class DataDefaults:
    who: str = "nobody"
    count: int = 1


class Model(BaseModel):
    who: str
    count: int = 1


class ModelDefaults(BaseModel):
    who: str = "nobody"
    count: int = 1


typed, typed_ext = build(Typed), build(TypedExt)
data, data_defaults = build(Data), build(DataDefaults)
model, model_defaults = build(Model), build(ModelDefaults)
none = build(None)


class Closed(BaseModel):
    model_config = {"extra": "forbid"}
    who: str = "nobody"


class Thing:
    """A type that pydantic does not know."""


@dataclass
class Opaque:
    who: str = "nobody"
    thing: Thing | None = None

    def __post_init__(self) -> None:
        if self.who == "bad":
            raise ValueError("a bad who")


closed, opaque = build(Closed), build(Opaque)


def made() -> Any:
    return build(DataDefaults)
