"""The tools of the moment: those that files define, and those of sources that come and go."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Protocol

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from structlog import get_logger

from everturn.tools.kit.answers import AnswerStore
from everturn.tools.kit.arguments import flaws
from everturn.tools.kit.cache import ResultStore, ToolCache
from everturn.tools.kit.declare import declared
from everturn.tools.kit.discovery import Discovery, UnknownTool, objection
from everturn.tools.kit.execution import Execution
from everturn.tools.kit.health import Health
from everturn.tools.kit.meter import Counter, Meter
from everturn.tools.kit.offered import offered_name, offered_schema
from everturn.tools.kit.settings import ToolSettings

log = get_logger(__name__)

_OFFERS_KEPT = 64


class ToolSource(Protocol):
    """Where tools come from that are not in a file, such as a server of tools.

    All methods answer at once, from what is known; the source keeps itself up to date.
    """

    @property
    def name(self) -> str:
        """Names the source to people, as in `mcp:github`."""
        ...

    def tools(self) -> Sequence[BaseTool]:
        """Return the tools there are now; the same sequence as long as they are the same."""
        ...

    def health(self) -> Health:
        """Return whether the source works, and if not, why."""
        ...

    def misses(self, name: str) -> bool:
        """Say whether this source is down and may have had a tool of this name."""
        ...


@dataclass(frozen=True)
class Offer:
    """Some tools, as the nodes of a graph need them."""

    tools: tuple[BaseTool, ...]
    execution: Execution

    @cached_property
    def schemas(self) -> list[dict[str, Any]]:
        """What a model is shown: OpenAI's function schemas, which every provider takes."""
        return [offered_schema(tool) for tool in self.tools]

    @cached_property
    def by_name(self) -> Mapping[str, BaseTool]:
        """The tools by their names."""
        return {tool.name: tool for tool in self.tools}

    @cached_property
    def real_names(self) -> Mapping[str, str]:
        """The tools' own names by those under which they are offered."""
        return {offered_name(tool.name): tool.name for tool in self.tools}

    @cached_property
    def node(self) -> ToolNode:
        """The node of LangGraph that executes their calls."""
        return ToolNode(self.tools, handle_tool_errors=False, awrap_tool_call=self.execution.call)


class Toolbox:
    """All tools of a process, with their health and counts."""

    def __init__(
        self,
        found: Discovery,
        sources: Sequence[ToolSource] = (),
        *,
        settings: ToolSettings,
        store: ResultStore | None = None,
        answers: AnswerStore | None = None,
        meter: Meter | None = None,
        without: Collection[str] = (),
    ) -> None:
        """Join the tools of files and sources.

        Args:
            found: the tools that files define.
            sources: where more come from; of two tools with one name the earlier one is served.
            settings: what calls may cost, and which a person must approve.
            store: keeps cached results; this process's memory if there is none.
            answers: keeps what calls have answered while others of their step go on; without it
                they are made again where the process dies.
            meter: counts each call.
            without: tools that are left out, though files define them.
        """
        self._found = found
        self._without = frozenset(without)
        self._sources = tuple(sources)
        self._approve = settings.approve_tools
        self.answers = answers
        self.execution = Execution(settings, ToolCache(store), Counter(meter))
        self._snapshots: tuple[Sequence[BaseTool], ...] | None = None
        self._tools: dict[str, tuple[BaseTool, ToolSource | None]] = {}
        self._offers: dict[tuple[str, ...] | None, Offer] = {}
        self._warned: set[tuple[str, str]] = set()

    def offer(self, names: Sequence[str] | None = None, *, without: Collection[str] = ()) -> Offer:
        """Return the tools there are now, sorted by name: all, or those named that there are."""
        tools = self._now()
        if without:
            names = [name for name in (tools if names is None else names) if name not in without]
        wanted = None if names is None else tuple(sorted(set(names) & tools.keys()))
        if wanted not in self._offers:
            if len(self._offers) >= _OFFERS_KEPT:
                self._offers.clear()
            chosen = tools if wanted is None else wanted
            self._offers[wanted] = Offer(tuple(tools[n][0] for n in chosen), self.execution)
        return self._offers[wanted]

    def check(self, names: Sequence[str] | None) -> None:
        """Raise UnknownTool where one of `names` is no tool there is now, or will be again."""
        for name in names or ():
            if name not in self._now() and not any(each.misses(name) for each in self._sources):
                raise UnknownTool(name, self._now())

    def needs_approval(self, tool: BaseTool) -> bool:
        """Say whether a person must approve each call of a tool."""
        named = any(fnmatchcase(tool.name, pattern) for pattern in self._approve)
        return named or declared(tool).get("approval", False)

    def flaws(self, name: str, args: Mapping[str, Any]) -> str | None:
        """Say what is wrong with arguments; `None` for nothing, or a tool that there is not now."""
        tool, _ = self._now().get(name, (None, None))
        call = ToolCall(name=name, args=dict(args), id=None)
        return None if tool is None else flaws(call, tool)

    def unmatched_approvals(self) -> list[str]:
        """Return what the settings want approved and is no tool; none while more may come."""
        if any(source.health().status == "down" for source in self._sources):
            return []
        names = list(self._now())
        return [p for p in self._approve if not any(fnmatchcase(name, p) for name in names)]

    def overview(self) -> Iterator[dict[str, Any]]:
        """Describe every tool there is now; fit for JSON."""
        offer = self.offer()
        for tool, schema in zip(offer.tools, offer.schemas, strict=True):
            function = schema["function"]
            _, source = self._now()[tool.name]
            counts, said = self.execution.counter.counts[tool.name], declared(tool)
            health = self._health(tool, source)
            yield {
                "name": tool.name,
                "description": function["description"],
                "parameters": function["parameters"],
                "origin": source.name if source else self._origin(tool.name),
                "health": health.status,
                "reason": health.reason,
                "approval": self.needs_approval(tool),
                "cache_seconds": said.get("cache"),
                "calls": counts.calls,
                "errors": counts.errors,
                "cache_hits": counts.cache_hits,
            }

    def sources(self) -> Iterator[dict[str, Any]]:
        """Describe every source, those without a tool now included; fit for JSON."""
        for source in self._sources:
            health = source.health()
            yield {
                "name": source.name,
                "health": health.status,
                "reason": health.reason,
                "tools": len(source.tools()),
            }

    def _health(self, tool: BaseTool, source: ToolSource | None) -> Health:
        if self.execution.stuck(tool.name):
            return Health("degraded", "calls of it do not end")
        if source and (of_source := source.health()).status != "healthy":
            return of_source
        return self.execution.counter.counts[tool.name].health

    def _now(self) -> dict[str, tuple[BaseTool, ToolSource | None]]:
        """The tools by name, with where each came from; read anew where a source has changed."""
        snapshots = tuple(source.tools() for source in self._sources)
        known = self._snapshots
        if known is None or any(a is not b for a, b in zip(known, snapshots, strict=True)):
            tools: dict[str, tuple[BaseTool, ToolSource | None]]
            own = self._found.tools.items()
            tools = {name: (tool, None) for name, tool in own if name not in self._without}
            names = set(map(offered_name, tools))
            for source, snapshot in zip(self._sources, snapshots, strict=True):
                for tool in snapshot:
                    name = offered_name(tool.name)
                    taken = f"the name {tool.name!r} is taken" if name in names else None
                    if reason := taken or objection(tool):
                        self._warn(source.name, reason)
                    else:
                        tools[tool.name] = tool, source
                        names.add(name)
            self._tools = dict(sorted(tools.items()))
            self._snapshots = snapshots
            self._offers.clear()
        return self._tools

    def _origin(self, name: str) -> str:
        file = self._found.origins.get(name)
        return f"{file.parent.name}/{file.name}" if file else ""

    def _warn(self, source: str, reason: str) -> None:
        if (source, reason) not in self._warned:
            self._warned.add((source, reason))
            log.warning("tool_left_out", origin=source, reason=reason)
