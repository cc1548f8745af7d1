"""The composition root: what a request goes through is the one list that `app.py` shows."""

from starlette.middleware import Middleware

from everturn.server.app import create_app, request_path
from everturn.server.projects.config import Http
from everturn.server.settings import Settings


def name(layer: Middleware) -> str:
    return getattr(layer.cls, "__name__", repr(layer.cls))


def test_the_request_path_is_the_list() -> None:
    settings = Settings.read({})
    listed = [name(layer) for layer in request_path(settings.server, Http())]
    assert listed == [name(layer) for layer in create_app(settings).user_middleware]
    # Foreign names and pages come no further; then CORS, else a page could not read an error.
    assert listed[:4] == ["RequestId", "SecurityHeaders", "OwnPagesOnly", "PageOrigins"]
