"""The models a caller may name, and how each of them stands."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from server.api.deps import ModelsDep
from server.api.errors import problems

router = APIRouter(prefix="/api/chat", tags=["models"])


class ModelStatus(BaseModel):
    """One model: what is known of it, and its health as this service sees it."""

    name: str
    configured: bool = Field(description="In the chain that is asked when a caller names none.")
    tools: bool = Field(description="Can call tools.")
    free: bool
    context: int | None = Field(description="Tokens it reads at most; null where nobody says.")
    price: float | None = Field(description="US dollars a million tokens; null where unknown.")
    circuit: str = Field(description="closed: it is asked; open: not now; half-open: tried.")
    retry_after: float | None = Field(description="Seconds until an open circuit is tried.")
    latency: float | None = Field(description="Seconds to its first token, lately.")
    failing: float = Field(description="Share of its calls that failed lately.")


@router.get(
    "/models",
    summary="List the models",
    description="The catalogue: the configured chain in its order, the offline model, and what "
    "the provider lists; with breaker state and latency.",
    responses=problems(500),
)
async def list_models(models: ModelsDep) -> list[ModelStatus]:
    found: list[dict[str, Any]] = await models.overview()
    return [ModelStatus.model_validate(model) for model in found]
