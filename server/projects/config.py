"""`langgraph.json`, described once: every key of LangGraph's own schema, and what it does here.

The start, `everturn doctor` and the documentation say the same, as all of them read this.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from everturn.server.projects.sections import (
    Section,
    honoured,
    ignored,
    refused,
    without_meaning,
)

Minutes = Annotated[float, Field(gt=0)]
Modules = list[list[str]] | bool


class GraphEntry(Section):
    """One of `graphs`; a text is its `path`."""

    path: str | None = honoured("the graph, or the factory that makes it")
    description: str | None = honoured("describes its assistant, from when that is made")


class StoreIndex(Section):
    """`store.index`."""

    dims: int = Field(
        gt=0, description="the length of a vector", json_schema_extra={"treatment": "honoured"}
    )
    embed: str = Field(
        description="what makes the vectors: `provider:model`, or a function of the project",
        json_schema_extra={"treatment": "honoured"},
    )
    fields: list[str] | None = honoured("what of an item is searched; all of it, if not said")


class StoreTTL(Section):
    """`store.ttl`."""

    refresh_on_read: bool = honoured("reading an item renews its ttl, unless false", default=True)
    default_ttl: Minutes | None = honoured("minutes that an item lives, unless it says its own")
    sweep_interval_minutes: Minutes | None = honoured(
        "expired items are deleted so often; they are hidden at once"
    )


class Store(Section):
    """`store`."""

    path: str | None = honoured("a store of the project's own is used in place of the service's")
    index: StoreIndex | None = honoured("items are searched by meaning")
    ttl: StoreTTL | None = honoured("items expire")


class ThreadTTL(Section):
    """`checkpointer.ttl`."""

    strategy: Literal["delete", "keep_latest"] = honoured(
        "what happens to a thread at its end", default="delete"
    )
    default_ttl: Minutes | None = honoured(
        "minutes that a thread lives after its last change, unless it says its own"
    )
    sweep_interval_minutes: Minutes | None = honoured("how often ends are looked for; 1 minute")
    sweep_limit: int | None = honoured("threads that one look ends, at most", gt=0)

    @property
    def for_new_threads(self) -> dict[str, Any] | None:
        """The ttl of a thread that says none, as its row keeps it."""
        if self.default_ttl is None:
            return None
        return {"ttl": self.default_ttl, "strategy": self.strategy}

    @property
    def sweeps(self) -> dict[str, Any]:
        """How `sweep` is called: in seconds, where something is said."""
        minutes = self.sweep_interval_minutes
        return {"limit": self.sweep_limit} | ({"seconds": minutes * 60} if minutes else {})


class Serde(Section):
    """`checkpointer.serde`."""

    allowed_json_modules: Modules | None = honoured("types of the project's own, from JSON")
    allowed_msgpack_modules: Modules | None = honoured("types of the project's own, from msgpack")
    pickle_fallback: bool = honoured("what msgpack cannot store is pickled", default=False)


class Checkpointer(Section):
    """`checkpointer`."""

    path: str | None = ignored(
        "threads are kept by the service, whose checkpointer guards runs against a crash and "
        "against a second writer"
    )
    ttl: ThreadTTL | None = honoured("threads expire")
    serde: Serde | None = honoured("which types checkpoints may hold")


class AuthOpenAPI(Section):
    """`auth.openapi`: how to sign in, as the OpenAPI document says it."""

    securitySchemes: dict[str, dict[str, Any]] = honoured("how to sign in", default=dict)  # noqa: N815
    security: list[dict[str, list[str]]] = honoured("what every route needs", default=list)
    paths: dict[str, dict[str, list[dict[str, list[str]]]]] = honoured(
        "what single routes need", default=dict
    )


class AuthCache(Section):
    """`auth.cache`: how long a user is known by some headers; the authenticator is not asked."""

    cache_keys: list[str] = honoured("the headers that tell users apart", ..., min_length=1)
    ttl_seconds: float = honoured("how long", ..., gt=0)
    max_size: int = honoured("how many users at most", default=1000, ge=1)


class Auth(Section):
    """`auth`."""

    path: str | None = honoured("the project's `Auth` says who may call, and what they may do")
    disable_studio_auth: bool = without_meaning("no request passes by the project's `Auth`")
    openapi: AuthOpenAPI = honoured("is joined to the OpenAPI document", default=AuthOpenAPI)
    cache: AuthCache | None = honoured("how long an answer of the authenticator is kept")


class Headers(Section):
    """`http.configurable_headers` and `http.logging_headers`: patterns, with `*` for any part."""

    includes: list[str] | None = honoured("headers that match one of these")
    excludes: list[str] | None = honoured("but none of these")


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return value


class Cors(Section):
    """`http.cors`."""

    allow_origins: list[str] | None = honoured("origins of web pages that may call")
    allow_methods: list[str] | None = honoured("with which methods; all, if not said")
    allow_headers: list[str] | None = honoured("with which headers; all, if not said")
    allow_credentials: bool | None = honoured("with cookies, too")
    allow_origin_regex: Annotated[str, AfterValidator(_regex)] | None = honoured(
        "a pattern of origins"
    )
    expose_headers: list[str] | None = honoured("headers that web pages may read")
    max_age: int | None = honoured("seconds that a browser remembers this", ge=0)


def _prefix(value: str) -> str:
    if value != "" and (value[0] != "/" or value[-1] == "/" or "//" in value or "?" in value):
        raise ValueError("must begin with / and not end with it, as in /api")
    return value


MiddlewareOrder = Literal["auth_first", "middleware_first"]


class Http(Section):
    """`http`."""

    app: str | None = honoured("routes of the project's own; they come first")
    disable_assistants: bool = honoured("no /assistants", default=False)
    disable_threads: bool = honoured(
        "no /threads, but for their runs; no /api/chat, whose sessions are threads", default=False
    )
    disable_runs: bool = honoured(
        "no /runs, and none of threads; no /invoke, /stream and /api/chat", default=False
    )
    disable_store: bool = honoured("no /store", default=False)
    disable_meta: bool = honoured(
        "no /openapi.json, /docs, /info, /metrics, /api/now, /api/chat/models, /api/tools",
        default=False,
    )
    disable_webhooks: bool = honoured("runs run, webhooks are not sent", default=False)
    disable_mcp: bool = honoured("there is no /mcp", default=False)
    disable_a2a: bool = honoured("there is no /a2a", default=False)
    disable_ui: bool = honoured("there is no /ui, and no page", default=False)
    cors: Cors | None = honoured("what is said replaces the default of EVERTURN_CORS_ORIGINS")
    configurable_headers: Headers | None = honoured(
        "headers of a request become `configurable` values of its runs"
    )
    logging_headers: Headers | None = honoured("no header is ever logged")
    middleware_order: MiddlewareOrder = honoured(
        "whether the middleware of `http.app` comes before or behind `auth`",
        default="middleware_first",
    )
    enable_custom_route_auth: bool = honoured(
        "`auth` guards the routes of `http.app`, too", default=False
    )
    mount_prefix: Annotated[str, AfterValidator(_prefix)] = honoured(
        "all routes are below it; /ok, /ready and /metrics without it, too", default=""
    )


class WebhookUrl(Section):
    """`webhooks.url`."""

    require_https: bool = honoured("http:// is refused", default=False)
    allowed_domains: list[str] | None = honoured("hosts, and *.domain for those below it")
    allowed_ports: list[int] | None = honoured("ports; 443 and 80 where an address has none")
    max_url_length: int | None = honoured("characters of an address, at most", gt=0)
    disable_loopback: bool = honoured("an address of this service is refused", default=False)


class Webhooks(Section):
    """`webhooks`."""

    env_prefix: str = honoured(
        "begins the variables that `headers` may name", default="LG_WEBHOOK_"
    )
    url: WebhookUrl | None = honoured("which addresses may be called")
    headers: dict[str, str] | None = honoured("are sent with each webhook")


class Encryption(Section):
    """`encryption`."""

    path: str | None = refused(
        "the project's own encryption cannot be carried out: what it would encrypt would be "
        "stored as it is. Remove the key to serve the project without it"
    )


class Priority(Section):
    """`priority`."""

    path: str | None = ignored("runs have no priorities: they start in the order of their arrival")


def _entries(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("`graphs` must map names to graphs")  # noqa: TRY004 - pydantic's rule
    return value


def _entry(value: Any) -> Any:
    if isinstance(value, dict | GraphEntry):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must read './file.py:variable', not {value!r}")  # noqa: TRY004
    return {"path": value}


def _dependencies(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("must be a list of folders and packages")
    return value


Version = Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")]


def _env(value: Any) -> Any:
    if value is None or isinstance(value, str | dict):
        return value
    raise ValueError("must name a file or map names to values")


class LangGraphJson(Section):
    """The whole file."""

    graphs: Annotated[
        dict[str, Annotated[GraphEntry, BeforeValidator(_entry)]], BeforeValidator(_entries)
    ] = honoured("the graphs to serve", default=dict)
    dependencies: Annotated[list[str], BeforeValidator(_dependencies)] = honoured(
        "folders are importable; packages must be installed, which is checked",
        default=lambda: ["."],
    )
    env: Annotated[Any, AfterValidator(_env)] = honoured("variables, or the file that holds them")
    python_version: Version | None = honoured("a newer one than the running one is warned of")
    store: Store | None = honoured("long-term memory")
    checkpointer: Checkpointer | None = honoured("memory of threads")
    auth: Auth | None = honoured("who may call")
    http: Http = honoured("routes, and who may call them from where", default=Http)
    webhooks: Webhooks = honoured("how the end of a run is reported", default=Webhooks)
    encryption: Encryption | None = refused(
        "the project's own encryption cannot be carried out: what it would encrypt would be "
        "stored as it is. Remove the key to serve the project without it"
    )
    priority: Priority | None = ignored(
        "runs have no priorities: they start in the order of their arrival"
    )

    schema_url: Any = Field(
        default=None,
        alias="$schema",
        description="names the schema, for editors",
        json_schema_extra={"treatment": "no meaning"},
    )
    internal_docker_tag: Any = Field(
        default=None,
        alias="_INTERNAL_docker_tag",
        description="describes the image that LangGraph's command builds",
        json_schema_extra={"treatment": "no meaning"},
    )
    api_version: Any = without_meaning("names a version of LangGraph's server")
    base_image: Any = without_meaning()
    image_distro: Any = without_meaning()
    dockerfile_lines: Any = without_meaning()
    pip_config_file: Any = without_meaning()
    pip_installer: Any = without_meaning()
    keep_pkg_tools: Any = without_meaning()
    source: Any = without_meaning()
    node_version: Any = without_meaning("there are no graphs in JavaScript here")
    ui: Any = without_meaning("there are no UI components here")
