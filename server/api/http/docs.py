"""`/docs`: every route, to read and to try. All of it comes from the service: no network is needed.

The page is Swagger UI. Its content policy lets no other origin add to it, or show it in a frame.
"""

from importlib.resources import files
from typing import Annotated, Literal

from fastapi import Path
from fastapi.responses import HTMLResponse, Response

from everturn.server.api.http.strict_json import Router

router = Router(include_in_schema=False)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}

# Relative addresses, so that it works below a prefix, too.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Everturn: the API</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
_TYPES = {"css": "text/css", "js": "text/javascript", "png": "image/png"}

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png", "start.js"]


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get("/docs/{asset}")
def asset(asset: Annotated[Asset, Path()]) -> Response:
    """A part of the page; read in a thread of its own, for it is large."""
    data = _START if asset == "start.js" else _swagger_ui(asset)
    headers = {**_HEADERS, "Cache-Control": "max-age=3600"}
    return Response(data, media_type=_TYPES[asset.rpartition(".")[2]], headers=headers)


def _swagger_ui(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()
