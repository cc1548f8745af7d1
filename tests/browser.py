"""A real browser, Chromium, driven by its DevTools protocol: pages of any origin, and what they do.

No name leads off this machine. Pages are given by the test, at any address; what they ask for is
asked of whoever listens there: names are 127.0.0.1 to this browser, as after a DNS rebinding.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.waiting import PATIENCE, eventually_sync

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_FLAGS = (
    "--headless",
    "--no-sandbox",  # needs rights that root in a container has not
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # The service's own guard is tested, not the browser's.
    "--disable-features=LocalNetworkAccessChecks,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
    "--remote-debugging-port=0",
)

Message = dict[str, Any]


class Browser:
    """A running browser."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @contextmanager
    def page(self) -> Iterator["Page"]:
        """Open an empty page."""
        target = self._http.put("/json/new?about:blank").json()
        url = target["webSocketDebuggerUrl"]
        with connect(url, proxy=None, max_size=None, open_timeout=PATIENCE) as connection:
            yield Page(connection)
        self._http.get(f"/json/close/{target['id']}")


class Page:
    """One page: where it is, what it asked for, and what its console says."""

    def __init__(self, connection: ClientConnection) -> None:
        self.requested: list[str] = []
        """The URLs of all that it asked for."""
        self.console: list[str] = []
        """Errors, warnings and violations of policies."""
        self._connection = connection
        self._numbers = itertools.count(1)
        self._given: dict[str, str] = {}
        self._loaded = False
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def give(self, url: str, html: str = "<!doctype html><title>A page</title>") -> None:
        """Go to a page of this text, which no server is asked for."""
        self._given[url] = html
        self._call("Fetch.enable", patterns=[{"urlPattern": each} for each in self._given])
        self.go(url)

    def go(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self._loaded = False
        self._call("Page.navigate", url=url)
        while not self._loaded:
            self._take()

    def run(self, script: str, *arguments: object) -> Any:
        """Call a function, asynchronous or not, in the page; return what it returns, as JSON."""
        given = ", ".join(map(json.dumps, arguments))
        answer = self._call(
            "Runtime.evaluate",
            expression=f"({script})({given})",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def _call(self, method: str, **params: Any) -> Message:
        number = next(self._numbers)
        self._send(number, method, params)
        while True:
            message = self._take()
            if message.get("id") == number:
                assert "error" not in message, message
                result: Message = message["result"]
                return result

    def _send(self, number: int, method: str, params: Message) -> None:
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))

    def _take(self) -> Message:
        message: Message = json.loads(self._connection.recv(timeout=PATIENCE))
        params = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requested.append(params["request"]["url"])
            case "Log.entryAdded":
                self.console.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.console.append(str(params["exceptionDetails"]))
            case "Fetch.requestPaused":
                self._fulfil(params)
        return message

    def _fulfil(self, paused: Message) -> None:
        html = self._given[paused["request"]["url"]]
        answer = {
            "requestId": paused["requestId"],
            "responseCode": 200,
            "responseHeaders": [{"name": "content-type", "value": "text/html; charset=utf-8"}],
            "body": base64.b64encode(html.encode()).decode(),
        }
        self._send(next(self._numbers), "Fetch.fulfillRequest", answer)


@contextmanager
def browser(folder: Path, names: Sequence[str]) -> Iterator[Browser]:
    """Start a browser to which each of the `names` is 127.0.0.1, and no other is anything."""
    assert CHROMIUM is not None
    rules = [f"MAP {name} 127.0.0.1" for name in names]
    rules += ["MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1", "EXCLUDE localhost"]
    running = subprocess.Popen(
        [
            CHROMIUM,
            *_FLAGS,
            f"--user-data-dir={folder}",
            f"--host-resolver-rules={', '.join(rules)}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        port_file = folder / "DevToolsActivePort"
        eventually_sync(lambda: port_file.exists() and port_file.read_text().count("\n"))
        url = f"http://127.0.0.1:{port_file.read_text().split()[0]}"
        with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http:
            yield Browser(http)
    finally:
        running.terminate()
        running.wait(PATIENCE)


def origin_of(url: str) -> str:
    """The origin of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
