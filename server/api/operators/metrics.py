"""What Prometheus scrapes, unless EVERTURN_METRICS_PORT has it at a port of its own."""

from fastapi import Response

from everturn.server.api.http.deps import MetricsDep, RunsDep
from everturn.server.api.http.strict_json import Router

router = Router(tags=["system"])


@router.get(
    "/metrics",
    summary="Metrics",
    description="All figures in the Prometheus text format.",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(metrics: MetricsDep, runs: RunsDep) -> Response:
    await runs.measure()
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
