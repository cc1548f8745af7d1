"""What makes vectors of memories, as the settings name it."""

from langgraph.store.base import IndexConfig

from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.sql.store import Meaning
from everturn.graph.models.embeddings import EmbeddingsMissing
from everturn.graph.models.provider import Models
from everturn.graph.models.provider_embeddings import embeddings_of
from everturn.server.environment import WrongSetting
from everturn.server.projects.imports import off_the_loop

_SETTING = "EVERTURN_EMBEDDINGS"


async def meaning_of(models: Models) -> Meaning | None:
    """Return what compares memories by meaning; `None` where words are to find them.

    Raises:
        WrongSetting: what the settings name cannot be used.
    """

    def make() -> Meaning | None:
        embeddings = embeddings_of(models)
        if embeddings is None:
            return None
        # No fields: an item says itself which of its texts are searched.
        index = IndexConfig(dims=0, embed=embeddings, fields=[])
        return Meaning(index, setting=_SETTING)

    try:
        return await off_the_loop(make)
    except (EmbeddingsMissing, StoreMisconfigured) as error:
        raise WrongSetting(str(error)) from error
