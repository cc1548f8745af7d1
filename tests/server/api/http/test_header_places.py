"""Headers that become `configurable` values: never a secret, and never where or whose a run is."""

from starlette.datastructures import Headers

from everturn.server.api.http.configurable_headers import ConfigurableHeaders
from everturn.server.projects.config import Headers as Patterns


def test_what_is_never_taken() -> None:
    middleware = ConfigurableHeaders(app=None, patterns=Patterns(includes=["*"]))  # type: ignore[arg-type]
    ours = ("thread_id", "run_id", "checkpoint_id", "checkpoint_ns", "__fence", "__everturn")
    secret = ("authorization", "x-api-key", "cookie", "proxy-authorization")
    names: list[str] = [*ours, *secret, "langgraph_auth_user_id", "x-team", "cookies"]
    sent = dict.fromkeys(names, "v")
    assert middleware._chosen(Headers(sent)) == {"x-team": "v", "cookies": "v"}
