"""Figures of stores: what they hold, and how fast they keep checkpoints."""

from everturn.server.observe.figures.declare import Figures

_CHECKPOINT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class StoreFigures:
    """Of the database, Redis, checkpoints and event logs."""

    def __init__(self, figures: Figures) -> None:
        self.stored = figures.gauge(
            "everturn_stored_bytes",
            "Bytes of a store, measured once a minute: sql, redis (all keys at the server) and aof "
            "(its append-only file).",
            "store",
            of_all="livemax",
        )
        self.event_log = figures.gauge(
            "everturn_event_log_bytes", "Bytes of what runs streamed, as far as it is kept."
        )
        self.response_cache = figures.gauge(
            "everturn_response_cache_bytes",
            "Bytes of answers that are kept, as they were at the last look into the cache.",
            of_all="livemax",
        )
        self.checkpoint_time = figures.histogram(
            "everturn_checkpoint_seconds",
            "Seconds of a call of the checkpointer, by operation: put and put_writes store, read "
            "and history load.",
            "operation",
            buckets=_CHECKPOINT_SECONDS,
        )
        moved = figures.counter(
            "everturn_checkpoint_bytes_total",
            "Bytes that the checkpointer sent to Redis (written) and got from it (read).",
            "direction",
        )
        self.written, self.read = moved.labels("written"), moved.labels("read")
