"""The models a caller may name, and how each of them stands."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from everturn.server.api.http.deps import ModelsDep
from everturn.server.api.http.strict_json import Router

router = Router(prefix="/api/chat", tags=["models"])


class ModelStatus(BaseModel):
    """One model: what is known of it, and its health as this service sees it."""

    name: str
    configured: bool = Field(description="In the chain that is asked when a caller names none.")
    tools: bool = Field(description="Can call tools, as far as is known.")
    pictures: bool = Field(description="Can be shown pictures, as far as is known.")
    free: bool = Field(description="Costs nothing: the offline model, and names in `:free`.")
    context: int | None = Field(description="Tokens it reads at most; null where no provider says.")
    price: float | None = Field(
        description="US dollars a million tokens, of those read or those written, whichever cost "
        "more; null where no provider says."
    )
    circuit: Literal["closed", "doubtful", "open", "half_open"] = Field(
        description="The breaker: closed, it is asked in its turn; doubtful, it failed and is "
        "asked when no other is left; open, it is not asked; half_open, one caller tries it."
    )
    retry_after: float | None = Field(
        description="Seconds until the circuit is tried again; null where nothing keeps it."
    )
    latency: float | None = Field(
        description="Seconds to its first token, an average of its calls lately; null before any."
    )
    failing: float = Field(
        description="Share of its calls that failed, an average of those lately: 0 is healthy."
    )


@router.get(
    "/models",
    summary="List the models",
    description="The catalogue: the configured chain in its order, the offline model, and what "
    "the provider lists, read anew every hour; with price, context length, breaker state, latency "
    "and health as this service has measured them. A message may name any of them as its `model`.",
)
async def list_models(models: ModelsDep) -> list[ModelStatus]:
    found: list[dict[str, Any]] = await models.overview()
    return [ModelStatus.model_validate(model) for model in found]
