"""The states of threads in the Agent Server API: shown, listed, changed and forked."""

from typing import Annotated, Any, Self

from fastapi import Query, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from everturn.server.api.agent_server.bodies import (
    SELECTED,
    CheckpointRef,
    ThreadId,
    json_response,
    large_json_response,
)
from everturn.server.api.agent_server.state_json import (
    FIELDS,
    MADE_BY,
    OUTLINE_FIELDS,
    outline_as_json,
    state_as_json,
)
from everturn.server.api.http.deps import ThreadsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import MAX_FEW, Few, FewMessages, Name, Wanted, at_most
from everturn.server.turns.places import LATEST, Place, place_as_json

router = Router(prefix="/threads", tags=["threads"])

_MAX = 1000


def _split(names: list[str] | None) -> list[str] | None:
    """Take one name with commas for several, as some clients send them."""
    return names and [name for each in names for name in each.split(",")]


def _state_field(name: str) -> str:
    if name not in FIELDS and not name.startswith("values."):
        raise ValueError(f"must be {', '.join(FIELDS)} or values.<key>")
    return name


def _history_field(name: str) -> str:
    return name if name == MADE_BY else _state_field(name)


StateField = Annotated[Name, AfterValidator(_state_field)]
HistoryField = Annotated[Name, AfterValidator(_history_field)]
Subgraphs = Annotated[bool, Query(description="With the states of subgraphs that wait.")]
Select = Annotated[
    list[StateField] | None,
    at_most(MAX_FEW),
    BeforeValidator(_split),
    Query(description="Only these fields; `values.<key>` is one value."),
]


class StateUpdate(BaseModel):
    """A change to a thread's state."""

    values: Annotated[dict[str, Any] | list[Any] | None, FewMessages] = Field(
        default=None, description="What the node is taken to have written."
    )
    as_node: Name | None = Field(
        default=None,
        description="The node; none is the last that ran. `__copy__` copies the checkpoint.",
    )
    checkpoint: CheckpointRef | None = Field(default=None, description="Fork there.")
    checkpoint_id: Name | None = Field(default=None, description="The same, by id alone.")

    def place(self) -> Place:
        """Put it in the engine's words."""
        if self.checkpoint:
            return self.checkpoint.place()
        return Place(checkpoint_id=self.checkpoint_id)


class StateAt(BaseModel):
    """Which state to show."""

    checkpoint: CheckpointRef
    subgraphs: bool = False
    select: Few[StateField] | None = None


class HistorySearch(BaseModel):
    """Which states to show."""

    limit: int = Field(default=1, ge=1, le=_MAX)
    before: CheckpointRef | None = Field(default=None, description="Only states before this one.")
    metadata: Wanted | None = Field(default=None, description="Contained in the state's.")
    checkpoint: CheckpointRef | None = Field(default=None, description="Whose subgraph's states.")
    select: Few[HistoryField] | None = Field(
        default=None,
        description=f"Only these fields. Where only {', '.join(OUTLINE_FIELDS)} are selected, no "
        "state is read: the list of a long conversation is as quick as that of a short one. "
        f"`{MADE_BY}`, the nodes whose step made the state, goes with these only.",
    )

    @property
    def reads_no_state(self) -> bool:
        """Whether all that is selected is known without reading a state."""
        return bool(self.select) and set(OUTLINE_FIELDS).issuperset(self.select or ())

    @model_validator(mode="after")
    def _made_by_alone(self) -> Self:
        if MADE_BY in (self.select or ()) and not self.reads_no_state:
            raise ValueError(
                f"select: {MADE_BY} goes with {', '.join(OUTLINE_FIELDS)} only: ask twice"
            )
        return self


class ThreadStateModel(BaseModel):
    """A state of a thread."""

    values: Any
    next: list[str] = Field(description="The nodes that would run; empty when it is finished.")
    tasks: list[dict[str, Any]]
    metadata: dict[str, Any] | None
    created_at: str | None
    checkpoint: dict[str, Any] | None
    parent_checkpoint: dict[str, Any] | None
    interrupts: list[dict[str, Any]]
    checkpoint_id: str | None
    parent_checkpoint_id: str | None


class SelectedState(ThreadStateModel):
    """A state of a thread, or the fields of it that were selected."""

    model_config = SELECTED


class ListedState(SelectedState):
    """A state in a list."""

    made_by: list[str] = Field(description="The nodes whose step made it.")


class UpdateResult(BaseModel):
    """Where the changed state lies; three times the same, as different clients look for it."""

    checkpoint: dict[str, Any]
    configurable: dict[str, Any]
    checkpoint_id: str


@router.get(
    "/{thread_id}/state",
    summary="Show the state of a thread",
    description="Its latest values, what would run next, and what it waits for.",
    responses={200: {"model": SelectedState}, **problems(404, 409, 503)},
)
async def show_state(
    thread_id: ThreadId,
    threads: ThreadsDep,
    subgraphs: Subgraphs = False,
    select: Select = None,
) -> Response:
    thread = await threads.row(str(thread_id))
    state = await threads.states.read(thread, subgraphs=subgraphs)
    return json_response(state_as_json(state, select))


@router.post(
    "/{thread_id}/state",
    summary="Change the state of a thread",
    description="Writes as if a node had: onto the latest state, or as a fork at a checkpoint.",
    responses={200: {"model": UpdateResult}, **problems(400, 404, 409, 503)},
)
async def update_state(thread_id: ThreadId, body: StateUpdate, threads: ThreadsDep) -> Response:
    thread = await threads.row(str(thread_id))
    configurable = await threads.states.update(
        thread, body.values, as_node=body.as_node, place=body.place()
    )
    place = place_as_json(configurable)
    return json_response(
        {"checkpoint": place, "configurable": place, "checkpoint_id": place["checkpoint_id"]}
    )


@router.post(
    "/{thread_id}/state/checkpoint",
    summary="Show the state at a checkpoint",
    description="The checkpoint in the body may be a subgraph's, with its `checkpoint_ns` and "
    "`checkpoint_map`. Of one that is not there the state is empty.",
    responses={200: {"model": SelectedState}, **problems(404, 409, 503)},
)
async def show_state_at(thread_id: ThreadId, body: StateAt, threads: ThreadsDep) -> Response:
    thread = await threads.row(str(thread_id))
    place = body.checkpoint.place()
    state = await threads.states.read(thread, place, subgraphs=body.subgraphs)
    return json_response(state_as_json(state, body.select))


@router.get(
    "/{thread_id}/state/{checkpoint_id}",
    summary="Show the state at a checkpoint, by its id",
    description="Of a checkpoint that is not there the state is empty.",
    responses={200: {"model": SelectedState}, **problems(404, 409, 503)},
)
async def show_state_by_id(
    thread_id: ThreadId,
    checkpoint_id: str,
    threads: ThreadsDep,
    subgraphs: Subgraphs = False,
    select: Select = None,
) -> Response:
    place = Place(checkpoint_id=checkpoint_id)
    thread = await threads.row(str(thread_id))
    state = await threads.states.read(thread, place, subgraphs=subgraphs)
    return json_response(state_as_json(state, select))


@router.get(
    "/{thread_id}/history",
    summary="List the states of a thread",
    description="Newest first; `before` is the id of a checkpoint.",
    responses={200: {"model": list[ThreadStateModel]}, **problems(404, 409, 503)},
)
async def list_history(
    thread_id: ThreadId,
    threads: ThreadsDep,
    limit: Annotated[int, Query(ge=0, le=_MAX)] = 10,
    before: str | None = None,
) -> Response:
    thread = await threads.row(str(thread_id))
    states = await threads.states.history(thread, limit=limit, before=before)
    return await large_json_response([state_as_json(state) for state in states])


@router.post(
    "/{thread_id}/history",
    summary="Search the states of a thread",
    description="Newest first: of a subgraph, before a checkpoint, with certain metadata.",
    responses={200: {"model": list[ListedState]}, **problems(404, 409, 503)},
)
async def search_history(thread_id: ThreadId, body: HistorySearch, threads: ThreadsDep) -> Response:
    thread = await threads.row(str(thread_id))
    place = body.checkpoint.place() if body.checkpoint else LATEST
    which: Any = {
        "limit": body.limit,
        "before": body.before.checkpoint_id if body.before else None,
        "metadata": body.metadata,
    }
    if body.select and body.reads_no_state:
        outlines = await threads.states.outlines(thread, place, **which)
        return json_response([outline_as_json(each, body.select) for each in outlines])
    states = await threads.states.history(thread, place, **which)
    return await large_json_response([state_as_json(state, body.select) for state in states])
