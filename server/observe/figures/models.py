"""Figures of models: what their calls came to, what they took, and whom not to ask."""

from collections.abc import Mapping

from everturn.server.observe.figures.declare import Figures, Names

_STATES = {"closed": 0, "half_open": 1, "doubtful": 2, "open": 3}


class ModelFigures:
    """Of calls of models, in all turns."""

    def __init__(self, figures: Figures) -> None:
        self.names, self.kinds = Names("none", "offline"), Names()
        self.failures = figures.counter(
            "model_failures_total",
            "Times a model did not answer, or was kept from being asked by what it or its key had "
            "done before (circuit_open, invalid_api_key), by model and class of failure.",
            *("model", "failure"),
        )
        self.tokens = figures.counter(
            "model_tokens_total",
            "Tokens of model calls, failed ones included where known, by direction; also those "
            "that vectors of memories took. The offline model has none.",
            *("model", "direction"),
        )
        self.cost = figures.counter(
            "model_cost_dollars_total",
            "US dollars for model calls, failed ones included where known.",
            "model",
        )
        self.fallbacks = figures.counter(
            "everturn_fallbacks_total",
            "Times another model was asked, by the class of failure of the one before.",
            "failure",
        )
        self.cache = figures.counter(
            "everturn_response_cache_total",
            "Looks into the cache of answers: hit, miss, joined (another caller was asking the "
            "same), bypassed (a new answer was wanted) or uncached (the store did not answer).",
            "result",
        )
        self.summaries = figures.counter(
            "everturn_summaries_total",
            "Summaries of long conversations: made by a model, failed, or simple (without one).",
            "result",
        )
        self.circuits = figures.gauge(
            "everturn_breaker_state",
            "The circuit of a model, or of an account's key: 0 closed, 1 half open, 2 doubtful, "
            "3 open. One that never opened is not there.",
            "model",
            of_all="livemax",
        )
        self._opened: set[str] = set()

    def count_embeddings(self, model: str, tokens: int, dollars: float) -> None:
        """Count what vectors of texts took."""
        name = self.names(model)
        self.tokens.labels(name, "input").inc(tokens)
        if dollars:
            self.cost.labels(name).inc(dollars)

    def say_circuits(self, states: Mapping[str, str]) -> None:
        """Say which circuits are not closed; all others are."""
        named = {self.names(subject): _STATES[state] for subject, state in states.items()}
        self._opened |= named.keys()
        for name in self._opened:
            self.circuits.labels(name).set(named.get(name, 0))
