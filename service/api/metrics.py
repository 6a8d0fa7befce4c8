"""Metrics for Prometheus."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.observe.exposition import MEDIA_TYPE, exposition

router = APIRouter(tags=["probes"])
_TEXT = {"description": "Prometheus's text format", "content": {"text/plain": {}}}


@router.get("/metrics", response_class=Response, responses={200: _TEXT})
def metrics(request: Request) -> Response:
    """How this process, the store and the queue stand; docs/observability.md names every metric."""
    return Response(exposition(request.app.state.metrics), media_type=MEDIA_TYPE)
