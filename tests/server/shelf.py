"""Values that no request can carry: a test puts them here, and a node of `any_graph` takes them."""

from typing import Any

SHELF: dict[str, Any] = {}
