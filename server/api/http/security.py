"""How to sign in, in the OpenAPI document: which routes need a user, and how one is refused."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI

from everturn.server.api.http.authentication import Gate
from everturn.server.api.http.problems import problems

_BEARER = {"bearer": {"type": "http", "scheme": "bearer"}}


def document_auth(app: FastAPI) -> None:
    """Put the security schemes of `auth.openapi` into OpenAPI; without any, a bearer token."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        gate: Gate | None = getattr(app.state, "gate", None)
        if gate is not None:
            _add_security(document, gate, _open_routes(gate))
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _add_security(document: dict[str, Any], gate: Gate, open_paths: Collection[str]) -> None:
    said = gate.auth.openapi
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes.update(said.get("securitySchemes") or _BEARER)
    document["security"] = said.get("security") or [{name: []} for name in schemes]
    by_path = said.get("paths") or {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in open_paths or gate.is_open(path):
                operation["security"] = []
            else:
                for status, answer in problems(401, 403).items():
                    operation.setdefault("responses", {}).setdefault(str(status), answer)
            for named in {method, method.upper()} & by_path.get(path, {}).keys():
                operation["security"] = by_path[path][named]


def _open_routes(gate: Gate) -> Collection[str]:
    """Return the paths of the project's own routes that need no user, as far as it says."""
    if gate.auth.custom_routes or not isinstance(gate.users_app, FastAPI):
        return ()
    return list(gate.users_app.openapi().get("paths", {}))
