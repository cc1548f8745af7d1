"""Figures of turns: how many, how long, and how they ended."""

from everturn.server.observe.figures.declare import Figures, Names

_FIRST_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)


class TurnFigures:
    """See `docs/observability.md`, as for all figures."""

    def __init__(self, figures: Figures) -> None:
        self.names = Names()
        self.requests = figures.counter(
            "chat_requests_total",
            "Turns of all routes, by route, model and how they ended.",
            *("endpoint", "model", "status"),
        )
        self.errors = Names()
        self.failed = figures.counter(
            "everturn_failed_turns_total",
            "Turns that ended with an error, by its class.",
            "error",
        )
        self.duration = figures.histogram(
            "chat_response_duration_seconds",
            "Seconds from the request to the end of its answer.",
            *("endpoint", "model"),
        )
        self.first_token = figures.histogram(
            "everturn_first_token_seconds",
            "Seconds from the request to the first token of its answer, of turns that stream.",
            "model",
            buckets=_FIRST_TOKEN_SECONDS,
        )
        self.limits_hit = figures.counter(
            "everturn_limits_hit_total",
            "Times a caller reached a limit: of turns or requests, of runs at once, or a budget.",
            "limit",
        )
        self.refusals = Names()
        self.refused = figures.counter(
            "everturn_refused_requests_total",
            "Requests that were answered with a problem and became no turn, by its type.",
            "type",
        )
        self.guard_verdicts = figures.counter(
            "everturn_guard_verdicts_total",
            "What guards said of what they were shown, by guard and verdict.",
            *("guard", "verdict"),
        )
