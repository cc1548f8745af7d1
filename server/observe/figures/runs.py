"""Figures of runs: what is under way, what waits, and what went on elsewhere."""

from everturn.server.observe.figures.declare import Figures


class RunFigures:
    """Of runs, and of the webhooks that report their ends."""

    def __init__(self, figures: Figures) -> None:
        self.running = figures.gauge(
            "everturn_runs_running", "Runs under way; EVERTURN_MAX_RUNS at most in a process."
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
        self.queue_age = figures.gauge(
            "everturn_background_runs_oldest_waiting_seconds",
            "Since when the first of them waits.",
            of_all="livemax",
        )
        self.recovered = figures.counter(
            "everturn_runs_recovered_total",
            "Runs that were taken over after their process died or ended, or that began anew.",
        )
        self.webhooks = figures.counter(
            "everturn_webhooks_total",
            "Webhooks, by status: delivered, failed (sent again later) or dead (sent no more).",
            "status",
        )
