"""What to do next: one pure function from what happened to the next step.

The rows are those of a table of failures; what a failure says about the model's future is in
`graph.models.circuits`. Here only the state of the circuits matters.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from everturn.graph.models.blocks import Medium
from everturn.graph.models.catalogue import OFFLINE, Model
from everturn.graph.models.circuits import KEY, UNSUPPORTED, Circuit, View, media_of, worst
from everturn.graph.models.failures import Kind
from everturn.graph.state import Attempt

_AGREED: dict[str, bool] = {
    # When two models fail so, a third would too. True: it is the request that is wrong.
    "bad_request": True,
    "moderated": True,
    "unreadable_media": True,
    "empty": False,
    "filtered": False,
    "broken_tool_call": False,
}
_PASSES: frozenset[str] = frozenset(
    # May be gone at the next call. Not `broken_tool_call` or `empty`: the model would repeat it.
    # One that was only slower than another has not failed at all.
    {
        *("unavailable", "unreachable", "timeout", "stalled", "cut", "malformed", "rate_limited"),
        "outrun",
    }
)
_OF_CONTENT: frozenset[str] = frozenset({"bad_request", "unreadable_media", *UNSUPPORTED})
"""May be gone when a model is shown less. Not every provider says that it was a picture."""
_FINAL: frozenset[str] = frozenset({"moderated", "unreadable_media"})
"""The request is wrong, where no one is left who could say otherwise."""
_MAX_PASSES = 4
"""Calls of one model for one answer, at most."""
_JITTER = 0.2
"""Seconds before the second pass, doubled with each, half of it by chance."""
_WORTH_WAITING = 2.0
"""Seconds a caller waits for a model whose limit ends, when no other model is left."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the next step depends on."""

    candidates: Sequence[Model]
    """The models that fit the run, the first choice first."""
    circuits: View = field(default_factory=dict)
    tried: Sequence[Attempt] = ()
    """Attempts that failed since the last answer, the newest last."""
    tools: bool = False
    """Tools are bound."""
    media: Collection[Medium] = ()
    """What the user shows in this turn."""
    older_media: bool = False
    """Earlier turns show something."""
    time_left: float = float("inf")
    """Seconds."""
    trimmed: bool = False
    """The newest attempt was shown the current turn only."""
    fallback: bool = True
    """Whether another model may be asked after a failure."""
    chance: float = 0.0
    """Between 0 and 1: keeps callers from coming back together."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask this model, after so many seconds."""

    model: Model
    wait: float = 0.0
    trim: bool = False
    """Show it the current turn only."""
    without_older_media: bool = False
    """Show it nothing of earlier turns but text."""
    correct: bool = False
    """Show it its newest answer, and what is wrong with it."""
    probe: str = ""
    """The circuit to claim first, where one caller only may try; taken, it counts as open."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Ask no model: the offline model answers."""

    kind: Kind = "circuit_open"
    """Why, where no attempt says it."""
    expected_back: float | None = None
    """Seconds until the first model may be asked again."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End with an error: asking on is in vain and an answer would mislead."""

    kind: Kind


Step = Ask | GiveUp | Stop


def next_step(now: Situation) -> Step:
    """Decide which model to ask next, or how to end."""
    if not now.candidates:
        return GiveUp("no_candidate")
    if KEY in now.circuits and all(KEY in m.circuits(tools=now.tools) for m in now.candidates):
        return Stop("invalid_api_key")
    decided = _unsupported(now) or _lighter(now) or _corrected(now) or _end(now)
    if decided is not None:
        return decided
    if now.time_left <= 0:
        return GiveUp("out_of_time")
    return _more_room(now) or _untried(now) or _again(now) or _wait(now) or _give_up(now)


def _end(now: Situation) -> Stop | GiveUp | None:
    """End where, after the newest failure, no other model would answer either."""
    if not now.tried:
        return None
    last = now.tried[-1]["failure"]
    if last == "invalid_api_key" or (last == "context_too_long" and now.trimmed):
        return Stop(cast("Kind", last))
    if last in _AGREED and len({a["model"] for a in now.tried if a["failure"] == last}) > 1:
        return Stop(cast("Kind", last)) if _AGREED[last] else _give_up(now)
    return None if now.fallback else _give_up(now)


def _unsupported(now: Situation) -> Stop | None:
    """Stop where no model takes what the user shows."""
    refused = [
        [kind for kind, medium in UNSUPPORTED.items() if _refuses(now, model, medium)]
        for model in now.candidates
    ]
    return Stop(cast("Kind", refused[0][0])) if all(refused) else None


def _refuses(now: Situation, model: Model, medium: Medium) -> bool:
    if medium not in now.media or model.name == OFFLINE:
        return False
    return medium in model.lacks or media_of(model.name, medium) in now.circuits


def _lighter(now: Situation) -> Ask | None:
    """Where a request is refused, the same model once more, without what earlier turns show."""
    if not (now.tried and now.older_media) or now.time_left <= 0:
        return None
    last = now.tried[-1]
    refusals = [a for a in now.tried if a["model"] == last["model"] and a["failure"] in _OF_CONTENT]
    if last["failure"] not in _OF_CONTENT or len(refusals) > 1:
        return None
    if UNSUPPORTED.get(last["failure"]) in now.media:
        return None
    same = (model for model in now.candidates if model.name == last["model"])
    return next((Ask(model, without_older_media=True) for model in same), None)


def _corrected(now: Situation) -> Ask | None:
    """Where an answer does not fit the caller's schema, the same model once more, told why."""
    if not now.tried or now.time_left <= 0:
        return None
    name = now.tried[-1]["model"]
    kinds = [attempt["failure"] for attempt in now.tried if attempt["model"] == name]
    if kinds[-1] != "schema_mismatch" or kinds.count("schema_mismatch") > 1 or name == OFFLINE:
        return None
    same = (model for model in now.candidates if model.name == name)
    return next((Ask(model, correct=True) for model in same), None)


def rivals_of(model: Model, now: Situation) -> list[Model]:
    """List the models that may be asked beside one that is slow to start; none where it is free."""
    if model.free:
        return []
    return [
        other
        for other in _untried_beside(model, now)
        if not other.free and _circuit(now, other).state == "closed"
    ]


def has_successor(model: Model, now: Situation) -> bool:
    """Say whether anyone else could answer if this model does not begin in time.

    A single model has no successor: one that needs a minute to load is better waited for than asked
    again. Those that were silent or out of reach a moment ago are not expected back sooner.
    """
    if not now.fallback:
        return False
    passes = _passes(now)
    silent = {a["model"] for a in now.tried if a["failure"] in {"timeout", "unreachable"}}
    others = [other for other in now.candidates if other.name != model.name]
    return any(
        other.name not in silent
        and passes[other.name] < _MAX_PASSES
        and _circuit(now, other).state in {"closed", "half_open"}
        for other in others
    )


def _untried_beside(model: Model, now: Situation) -> list[Model]:
    tried = {model.name, *(attempt["model"] for attempt in now.tried)}
    return [other for other in now.candidates if other.name not in tried]


def _more_room(now: Situation) -> Ask | None:
    """After a context that was too long: a larger one, else less to read."""
    if not now.tried or now.tried[-1]["failure"] != "context_too_long":
        return None
    rooms = {model.name: model.context or 0 for model in now.candidates}
    room = rooms.get(now.tried[-1]["model"], 0)
    larger = [model for model in now.candidates if rooms[model.name] > room]
    same = [model for model in now.candidates if model.name == now.tried[-1]["model"]]
    return _untried(replace(now, candidates=larger)) or (Ask(same[0], trim=True) if same else None)


def _untried(now: Situation) -> Ask | None:
    """The first who was not asked yet; those in doubt come last."""
    tried = {attempt["model"] for attempt in now.tried}
    fresh = [model for model in now.candidates if model.name not in tried]
    for states in ({"closed", "half_open"}, {"doubtful"}):
        for model in fresh:
            circuit = _circuit(now, model)
            if circuit.state in states:
                return Ask(model, probe=_probe(circuit))
    return None


def _again(now: Situation) -> Ask | None:
    """Another pass: what failed may have passed."""
    passes = _passes(now)
    for model in sorted(now.candidates, key=lambda model: passes[model.name]):
        circuit, earlier = _circuit(now, model), passes[model.name]
        wait = _JITTER * 2 ** (earlier - 1) * (1 + now.chance) / 2
        if 0 < earlier < _MAX_PASSES and circuit.state != "open" and wait < now.time_left:
            return Ask(model, wait, probe=_probe(circuit))
    return None


def _wait(now: Situation) -> Ask | None:
    """A limit that ends in a moment is waited for."""
    passes = _passes(now)
    soon = [
        (circuit.seconds, number, model)
        for number, model in enumerate(now.candidates)
        if (circuit := _circuit(now, model)).state == "open"
        and circuit.seconds <= min(_WORTH_WAITING, now.time_left)
        and passes[model.name] < _MAX_PASSES
    ]
    if not soon:
        return None
    seconds, _, model = min(soon)
    return Ask(model, seconds, probe=_circuit(now, model).subject)


def _give_up(now: Situation) -> GiveUp | Stop:
    if now.tried and (last := now.tried[-1]["failure"]) in _FINAL:
        return Stop(cast("Kind", last))
    waits = [_circuit(now, model).seconds for model in now.candidates]
    return GiveUp(expected_back=min((wait for wait in waits if wait > 0), default=None))


def _passes(now: Situation) -> dict[str, int]:
    """Count each model's calls; one whose last failure will not pass counts as asked out."""
    passes = {model.name: 0 for model in now.candidates}
    for attempt in now.tried:
        name = attempt["model"]
        if name in passes:
            passing = attempt["failure"] in _PASSES
            passes[name] = passes[name] + 1 if passing else _MAX_PASSES
    return passes


def _circuit(now: Situation, model: Model) -> Circuit:
    return worst(now.circuits, model.circuits(tools=now.tools, media=now.media))


def _probe(circuit: Circuit) -> str:
    return circuit.subject if circuit.state == "half_open" else ""
