"""The service's metrics, in a registry of their own so that two apps can live in one process."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest


class Metrics:
    """What Prometheus scrapes at `/metrics`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "chat_requests_total",
            "Chat turns, by endpoint, model and how they ended.",
            ["endpoint", "model", "status"],
            registry=self._registry,
        )
        self.duration = Histogram(
            "chat_response_duration_seconds",
            "Seconds from the request to the end of its answer.",
            ["endpoint", "model"],
            registry=self._registry,
        )

    def exposition(self) -> bytes:
        """All figures in the Prometheus text format."""
        return generate_latest(self._registry)
