"""The store: items and namespaces."""

from tests.compare.exchanges.server import Server, shapes


def store(server: Server) -> None:
    items = "/store/items"
    item = {"namespace": ["a", "b"], "key": "k", "value": {"x": 1}}
    for name, body in shapes(
        {
            "item": item,
            "again": item,
            "no key": {"namespace": ["a"], "value": {}},
            "no namespace": {"key": "k", "value": {}},
            "empty namespace": {"namespace": [], "key": "k", "value": {}},
            "empty label": {"namespace": [""], "key": "k", "value": {}},
            "dotted": {"namespace": ["a.b"], "key": "k", "value": {}},
            "text value": {"namespace": ["a"], "key": "k", "value": "text"},
            "null value": {"namespace": ["n"], "key": "k", "value": None},
            "empty key": {"namespace": ["e"], "key": "", "value": {}},
            "text namespace": {"namespace": "a.t", "key": "k", "value": {}},
            "langgraph": {"namespace": ["langgraph"], "key": "k", "value": {}},
            "ttl": {"namespace": ["t"], "key": "k", "value": {}, "ttl": 5},
            "no index": {"namespace": ["t"], "key": "i", "value": {}, "index": False},
        }
    ):
        server.ask(f"store put, {name}", "PUT", items, json=body)
    for query in (
        "key=k&namespace=a.b",
        "key=nothing&namespace=a.b",
        "namespace=a.b",
        "key=k",
        "key=k&namespace=",
        "key=k&namespace=a&namespace=b",
        "key=k&namespace=a.b&refresh_ttl=1",
        "key=k&namespace=a.b&refresh_ttl=maybe",
    ):
        server.ask(f"store get, {query}", "GET", f"{items}?{query}")
    for name, body in shapes(
        {
            "prefix": {"namespace_prefix": ["a"]},
            "nothing": {},
            "unknown": {"namespace_prefix": ["z"]},
            "filter": {"namespace_prefix": ["a", "b"], "filter": {"x": 1}},
            "operator": {"namespace_prefix": ["a", "b"], "filter": {"x": {"$gt": 0}}},
            "wrong operator": {"namespace_prefix": ["a", "b"], "filter": {"x": {"$no": 0}}},
            "limit 0": {"namespace_prefix": ["a"], "limit": 0},
            "wrong limit": {"namespace_prefix": ["a"], "limit": "x"},
            "query": {"namespace_prefix": ["a", "b"], "query": "x"},
            "null": {"namespace_prefix": None},
        }
    ):
        server.ask(f"store search, {name}", "POST", f"{items}/search", json=body)
    for name, body in shapes(
        {
            "all": {},
            "prefix": {"prefix": ["a"]},
            "suffix": {"suffix": ["b"]},
            "depth": {"max_depth": 1},
            "wrong depth": {"max_depth": "x"},
            "depth 0": {"max_depth": 0},
            "wildcard": {"prefix": ["*", "b"]},
            "limit 0": {"limit": 0},
        }
    ):
        server.ask(f"store namespaces, {name}", "POST", "/store/namespaces", json=body)
    for name, body in shapes(
        {
            "item": {"namespace": ["a", "b"], "key": "k"},
            "unknown": {"namespace": ["a", "b"], "key": "nothing"},
            "no key": {"namespace": ["a"]},
            "no namespace": {"key": "k"},
        }
    ):
        server.ask(f"store deleted, {name}", "DELETE", items, json=body)
