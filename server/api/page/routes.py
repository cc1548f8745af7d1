"""The routes of the page. They need no key: they hold nobody's data."""

from http import HTTPStatus

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from everturn.server.api.http.strict_json import Router
from everturn.server.api.page.config import PageConfig
from everturn.server.api.page.page import Page

router = Router(prefix="/page", tags=["system"])


@router.get(
    "/config.json",
    summary="What the page has to know",
    description="Version, prefix and how to sign in: what the page at `/` asks for first. Needs no "
    "key.",
)
async def get_config(request: Request, response: Response) -> PageConfig:
    response.headers["Cache-Control"] = "no-store"
    return await _page(request).config()


@router.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
async def get_part(request: Request, path: str) -> Response:
    """A part of the page."""
    found = await _page(request).part(request, path)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found


def _page(request: Request) -> Page:
    page: Page = request.app.state.page
    return page
