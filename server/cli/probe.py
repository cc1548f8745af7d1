"""`everturn ready`: ask the running service whether it is ready, for what watches over it.

It is asked every few seconds, so it imports little.
"""

import http.client
import sys
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

_PATIENCE = 4
"""Seconds; `/ready` answers within two. An image's health check has five."""


def probe(url: str) -> int:
    """Say whether the service at a URL is ready; returns the exit code, 0 if it is."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        print(f"{url!r} is no URL: write http://127.0.0.1:2024", file=sys.stderr)
        return 1
    asked = f"{parts.scheme}://{parts.netloc}/ready"  # which is below no prefix
    opener = build_opener(ProxyHandler({}))  # it is on this machine
    try:
        with opener.open(asked, timeout=_PATIENCE) as answer:
            answer.read()
    except HTTPError as error:
        print(f"not ready: {asked} answers {error.code}: {_detail(error)}", file=sys.stderr)
        return 1
    except (OSError, http.client.HTTPException) as error:
        print(f"not ready: {asked} does not answer: {error}", file=sys.stderr)
        return 1
    print("ready")
    return 0


def _detail(error: HTTPError) -> str:
    return error.read(1000).decode(errors="replace")
