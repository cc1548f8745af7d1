"""Vectors of texts by the provider's `/embeddings`, counted as calls of a model are."""

import asyncio

from everturn.graph.budget import Budget
from everturn.graph.models.embeddings import (
    OFFLINE,
    EmbeddingsMissing,
    OfflineEmbeddings,
    RecentEmbeddings,
)
from everturn.graph.models.provider import Models
from everturn.graph.services import current_budget
from everturn.graph.steps.tokens import reckoned


class ProviderEmbeddings(RecentEmbeddings):
    """Those of a model of the provider.

    In a run they count in its budget; where that is spent, none are made.
    """

    def __init__(self, models: Models, name: str) -> None:
        super().__init__()
        self._models = models
        self.model = name

    async def _vectors(self, texts: list[str]) -> list[list[float]]:
        # A task has a context of its own: what a budget notes there is of this call alone, and
        # not of other calls that the node makes.
        return await asyncio.create_task(self._counted(texts))

    async def _counted(self, texts: list[str]) -> list[list[float]]:
        budget, most = _budget(), sum(map(reckoned, texts))
        settle = await budget.reserve(most, self._price(most)) if budget else None
        tokens, dollars = 0, 0.0
        try:
            made = await self._models.embed(self.model, texts)
            tokens = most if made.tokens is None else made.tokens
            dollars = self._price(tokens) if made.cost is None else made.cost
        finally:
            if settle:
                await asyncio.shield(settle(tokens, dollars))
        self._models.embedded(self.model, tokens, dollars)
        return made.vectors

    def _price(self, tokens: int) -> float:
        """Return US dollars for so many tokens; 0 where the catalogue has no price."""
        catalogue = self._models.catalogue
        return catalogue[self.model].cost(tokens, 0) if self.model in catalogue else 0.0


def _budget() -> Budget | None:
    """Return what the run that asks may spend; outside of a run, as at a search by the API, any."""
    try:
        return current_budget()
    except RuntimeError:
        return None


def embeddings_of(models: Models) -> RecentEmbeddings | None:
    """Return what the settings name; `None` where they name none.

    Raises:
        EmbeddingsMissing: it cannot be used.
    """
    name = models.settings.embeddings
    if name == OFFLINE:
        return OfflineEmbeddings()
    if not name:
        return None
    if models.settings.provider_url is None:
        raise EmbeddingsMissing(
            f"EVERTURN_EMBEDDINGS={name} needs a provider: set OPENAI_API_KEY, OPENROUTER_API_KEY "
            "or EVERTURN_BASE_URL; or take EVERTURN_EMBEDDINGS=offline"
        )
    return ProviderEmbeddings(models, name)
