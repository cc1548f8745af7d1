"""The team, as the tools of the model that leads it, and what it may still take in a turn."""

from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from typing import Annotated, NamedTuple

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_config
from pydantic import Field, create_model

from everturn.graph.context import Context, TeamContext
from everturn.graph.services import current_toolbox
from everturn.graph.specialists import find_specialists
from everturn.graph.specialists.kit.specialist import Specialist
from everturn.graph.state import ModelCall, State
from everturn.graph.steps.delegation import spent_in
from everturn.graph.steps.route import calls_of
from everturn.tools.kit.toolbox import Offer

DEPTH = "team_depth"
"""Key of a run's metadata: how many specialists have asked each other for it, also elsewhere."""
ASKED = "asked"
"""Key of an answer's `response_metadata`: how many specialists were asked for it, with itself."""

_MAX_TASK = 16_000


class Left(NamedTuple):
    """What specialists may still take in this turn."""

    calls: int
    tokens: int | None
    cost: float | None

    @property
    def refusal(self) -> str:
        """Why none is asked any more; empty while they are."""
        if self.calls <= 0:
            return "No more specialists may be asked in this turn"
        if self.tokens is not None and self.tokens <= 0:
            return "The specialists took all tokens that they may take in this turn"
        if self.cost is not None and self.cost <= 0:
            return "The specialists took all the money that they may take in this turn"
        return ""

    def share(self, number: int) -> "Left":
        """Return the part of one of several that are asked at once, after they are asked."""
        return Left(
            (self.calls - number) // number,
            None if self.tokens is None else max(1, self.tokens // number),
            None if self.cost is None else self.cost / number,
        )


async def offered_team(state: State, context: Context) -> Offer:
    """Offer the specialists that may be asked, and the tools that the asking model has itself."""
    own = await offered_own_tools(state, context)
    return Offer((*specialists_of(context), *own.tools), own.execution)


async def offered_own_tools(state: State, context: Context) -> Offer:
    """Offer the tools that the asking model has itself."""
    toolbox = await current_toolbox()
    if not isinstance(context, TeamContext) or not context.use_tools:
        return toolbox.offer(())
    allowed = context.tools
    own = [name for name in context.own_tools if allowed is None or name in allowed]
    taken = {tool.name for tool in specialists_of(context)}
    return toolbox.offer([name for name in own if name not in taken])


def specialists_of(context: Context) -> list[BaseTool]:
    """Return the tools by which specialists are asked; none below the lowest level."""
    if not isinstance(context, TeamContext) or not context.use_tools:
        return []
    if depth() >= context.max_depth or context.max_calls == 0:
        return []
    wanted = context.specialists
    return [
        _tool(specialist)
        for name, specialist in find_specialists().items()
        if wanted is None or name in wanted
    ]


def depth() -> int:
    """Return how many specialists have asked each other until this run; other servers count too."""
    said = get_config().get("metadata", {}).get(DEPTH)
    return said if isinstance(said, int) and said > 0 else 0


def left(messages: Sequence[AnyMessage], context: TeamContext) -> Left:
    """Return what the specialists of a turn may still take."""
    turn = takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages))
    answers = [message for message in turn if isinstance(message, ToolMessage)]
    calls: list[ModelCall] = [call for answer in answers for call in calls_of(answer)]
    asked = sum(answer.response_metadata.get(ASKED, 0) for answer in answers)
    tokens, cost = spent_in(calls)
    return Left(
        context.max_calls - asked,
        None if context.max_team_tokens is None else context.max_team_tokens - tokens,
        None if context.max_team_cost is None else context.max_team_cost - cost,
    )


@cache
def _tool(specialist: Specialist) -> BaseTool:
    task = Annotated[
        str,
        Field(
            min_length=1,
            max_length=_MAX_TASK,
            description="What to do, with all that it has to know.",
        ),
    ]
    return StructuredTool.from_function(
        coroutine=_never,
        name=specialist.name,
        description=specialist.purpose,
        args_schema=create_model(specialist.name, task=(task, ...)),
    )


async def _never(**_: str) -> str:
    """Stand for the nodes that are the specialists: the tool itself is never called."""
    return ""
