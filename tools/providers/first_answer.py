"""Asking one service after the other, until one answers."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from structlog import get_logger

from everturn.tools.kit.web import WebError

log = get_logger(__name__)

Service = TypeVar("Service")
Answer = TypeVar("Answer")


class NoServiceAnswered(Exception):
    """No service answered; the text says of each why."""


async def first_answer(
    services: Iterable[Service], ask: Callable[[Service], Awaitable[Answer]]
) -> Answer:
    """Return the first answer there is, or raise NoServiceAnswered."""
    reasons = []
    for service in services:
        try:
            return await ask(service)
        except WebError as error:
            reasons.append(str(error))
            log.info("service_passed_over", reason=str(error))
    raise NoServiceAnswered("; ".join(reasons))
