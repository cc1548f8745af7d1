"""Choosing the next model: gathers the situation, asks the policy, follows its step."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from langchain_core.messages import AnyMessage

from everturn.graph.context import Context
from everturn.graph.errors import NoModelFits
from everturn.graph.models.advice import explained
from everturn.graph.models.blocks import MEDIA, Medium
from everturn.graph.models.catalogue import OFFLINE, Model
from everturn.graph.models.circuits import media_of
from everturn.graph.models.content import media_in, shows, start_of_turn
from everturn.graph.models.failures import Failure, Kind
from everturn.graph.models.provider import Models
from everturn.graph.state import Mode, Route
from everturn.graph.steps.policy import Ask, GiveUp, Situation, Step, Stop, next_step

_RESERVE, _RESERVE_SHARE = 1.0, 0.1
"""Of a turn's time, seconds at most and a share, are kept for the offline model's answer."""


def new_route(messages: Sequence[AnyMessage], turn_timeout: float, *, tools: bool) -> Route:
    """Start a run that may take so many seconds: no model was asked yet."""
    turn_start = start_of_turn(messages)
    now = asyncio.get_running_loop().time()
    return Route(
        model=OFFLINE,
        mode="primary",
        tried=[],
        degraded=False,
        since=0,
        tools=tools,
        media=sorted(media_in(messages[turn_start:])),
        older_media=any(map(shows, messages[:turn_start])),
        without_older_media=False,
        deadline=now + turn_timeout - min(_RESERVE, turn_timeout * _RESERVE_SHARE),
        trimmed=False,
        corrections=0,
    )


def candidates(route: Route, context: Context, models: Models) -> list[Model]:
    """List the models to ask; where none takes what the user shows, all: the policy stops then.

    Raises:
        UnknownModel, NoModelFits: the caller's choice leaves none.
    """
    try:
        return models.select(context, require_tools=route["tools"], media=route["media"])
    except NoModelFits:
        return models.select(context, require_tools=route["tools"])


async def situation(route: Route, context: Context, models: Models) -> Situation:
    """Gather all that the next step depends on."""
    return Situation(
        candidates=candidates(route, context, models),
        circuits=await models.breaker.view(),
        tried=route["tried"][route["since"] :],
        tools=route["tools"],
        media=route["media"],
        older_media=route["older_media"],
        time_left=route["deadline"] - asyncio.get_running_loop().time(),
        trimmed=route["trimmed"],
        fallback=context.use_fallback,
        chance=random.random(),
    )


def left_out(model: Model, route: Route, now: Situation) -> frozenset[Medium]:
    """Return what a model is not shown of earlier turns: what it does not take, or all."""
    if route["without_older_media"]:
        return frozenset(MEDIA)
    learned: set[Medium] = {
        medium for medium in MEDIA if media_of(model.name, medium) in now.circuits
    }
    return model.lacks | learned


async def choose(route: Route, context: Context, models: Models) -> Step:
    """Decide on the next step. Where the step says so, wait first and claim a half-open circuit.

    Raises:
        UnknownModel, NoModelFits: the caller's choice leaves no model to ask.
    """
    now = await situation(route, context, models)
    while True:
        step = next_step(now)
        if not isinstance(step, Ask):
            return step
        await asyncio.sleep(step.wait)
        if not step.probe or await models.breaker.claim(step.probe):
            return step
        now = replace(await situation(route, context, models), chance=now.chance)


def follow(route: Route, step: Step, *, first: str, offline_answer: bool) -> Route:
    """Return the route that a step leads to; `first` is the run's first choice."""
    after = route.copy()
    after["failed"] = False
    match step:
        case Ask(model=model):
            after["mode"] = _mode(route, model, first)
            after["model"], after["corrections"] = model.name, 0
            after["trimmed"] = after["trimmed"] or step.trim
            same = step.correct and route["without_older_media"]
            after["without_older_media"] = step.without_older_media or same
            after["correct"] = step.correct
        case Stop(kind=kind):
            after["mode"], after["stopped"] = "stopped", kind
        case GiveUp(kind=kind, expected_back=seconds):
            after["reason"] = _why(route, kind)
            if seconds is not None:
                back = datetime.now(UTC) + timedelta(seconds=seconds)
                after["expected_back"] = back.isoformat(timespec="seconds")
            if offline_answer:
                return offline_route(after, after["reason"])
            after["mode"], after["stopped"] = "stopped", kind
    return after


def _mode(route: Route, model: Model, first: str) -> Mode:
    """Name what asking this model is: `retry` where the first choice alone was asked before."""
    if model.name == OFFLINE:
        return "offline"
    if not route["tried"]:
        return "primary" if model.name == first else "fallback"
    same = all(attempt["model"] == model.name for attempt in route["tried"])
    return "retry" if same and route["mode"] in {"primary", "retry"} else "fallback"


def _why(route: Route, kind: Kind) -> str:
    """Explain why no model is asked any more: by the newest failure, or by the lack of time."""
    newest = route.get("explained", "")
    if newest and kind != "out_of_time":
        return newest
    words = "the turn has no time left" if kind == "out_of_time" else kind.replace("_", " ")
    return explained(Failure(kind, words, newest))


def offline_route(route: Route, reason: str) -> Route:
    """Leave the answer to the offline model, and say why."""
    return {
        **route,
        "failed": False,
        "model": OFFLINE,
        "mode": "offline",
        "degraded": True,
        "reason": reason,
    }
