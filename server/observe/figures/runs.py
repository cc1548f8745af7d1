"""Figures of runs: what is under way, what waits, and what went on elsewhere."""

from everturn.server.observe.figures.declare import Figures

_RECOVERY_SECONDS = (1, 2, 3, 4, 5, 7.5, 10, 20, 30, 60, 120, 300)


class RunFigures:
    """Of runs, and of the webhooks that report their ends."""

    def __init__(self, figures: Figures) -> None:
        self.running = figures.gauge(
            "everturn_runs_running", "Runs under way; EVERTURN_MAX_RUNS at most in a process."
        )
        self.limit = figures.gauge(
            "everturn_runs_limit", "Runs that may be under way at once: EVERTURN_MAX_RUNS."
        )
        self.waiting = figures.gauge(
            "everturn_runs_waiting",
            "Runs of clients that wait for a place among those under way.",
        )
        self.waiting_age = figures.gauge(
            "everturn_runs_oldest_waiting_seconds",
            "Since when the next of them waits.",
            of_all="livemax",
        )
        self.queue = figures.gauge(
            "everturn_background_runs_waiting",
            "Runs of the background that are due and wait for a process: of all processes, each "
            "says the same.",
            of_all="livemax",
        )
        self.queue_limit = figures.gauge(
            "everturn_background_runs_limit",
            "Runs of the background that may wait, in all processes together: EVERTURN_MAX_QUEUED.",
            of_all="livemax",
        )
        self.queue_age = figures.gauge(
            "everturn_background_runs_oldest_waiting_seconds",
            "Since when the first of them waits.",
            of_all="livemax",
        )
        self.recovered = figures.counter(
            "everturn_runs_recovered_total",
            "Runs that were taken over after their process died or ended, or that began anew.",
        )
        self.recovery = figures.histogram(
            "everturn_recovery_seconds",
            "Seconds from the last heartbeat of a process that died to when its run could go on in "
            "another one, of each run it left. Not where no process was there to see it die.",
            buckets=_RECOVERY_SECONDS,
        )
        self.lost = figures.counter(
            "everturn_runs_lost_total",
            "Runs that were given up without an answer: their process died each time, or what they "
            "need is gone.",
        )
        self.webhooks = figures.counter(
            "everturn_webhooks_total",
            "Webhooks, by status: delivered, failed (sent again later) or dead (sent no more).",
            "status",
        )
        for status in ("delivered", "failed", "dead"):
            self.webhooks.labels(status)  # there from the start: else the first is no increase
