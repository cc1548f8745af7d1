"""An identity provider with a page on which people sign in by a click, and a token endpoint."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.server.access.identity_provider import IdentityProvider

CLIENT = "everturn-page"


class Login(IdentityProvider):
    """A provider that takes codes with PKCE alone, each code once."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.discovery |= {
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "code_challenge_methods_supported": ["S256"],
        }
        self.lifetime = 600
        """Of its tokens, in seconds."""
        self._asked_for: dict[str, Mapping[str, str]] = {}

    def page(self, asked: Mapping[str, str]) -> bytes:
        """Two links that lead back: to let the page in, and not to."""
        code = f"code-{len(self._asked_for)}"
        self._asked_for[code] = asked
        back, state = asked["redirect_uri"], asked["state"]
        yes = urlencode({"code": code, "state": state})
        no = urlencode({"error": "access_denied", "error_description": "Not you.", "state": state})
        return f'<a href="{back}?{yes}">Yes</a> <a href="{back}?{no}">No</a>'.encode()

    def exchange(self, sent: Mapping[str, str]) -> tuple[int, bytes]:
        """Give a token for a code, to who began the sign-in."""
        asked = self._asked_for.pop(sent.get("code", ""), {})
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        expected = {
            "client_id": CLIENT,
            "redirect_uri": sent.get("redirect_uri"),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        }
        fits = all(asked.get(name) == value for name, value in expected.items())
        if sent.get("grant_type") != "authorization_code" or not fits:
            return 400, b'{"error": "invalid_grant"}'
        token = self.token(exp=int(time.time()) + self.lifetime)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        return 200, json.dumps(answer).encode()


@contextmanager
def login() -> Iterator[Login]:
    """Serve one."""
    server = _Server(("127.0.0.1", 0), _Answers)
    server.login = Login(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.login
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    login: Login


class _Answers(BaseHTTPRequestHandler):
    @property
    def _login(self) -> Login:
        assert isinstance(self.server, _Server)
        return self.server.login

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/authorize":
            self._answer(200, self._login.page(dict(parse_qsl(query))), "text/html")
        elif path == "/favicon.ico":
            self._answer(404, b"")
        else:
            self._answer(200, self._login.answer(self.path))

    def do_POST(self) -> None:
        assert urlsplit(self.path).path == "/token"
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(*self._login.exchange(dict(parse_qsl(sent))))

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in `http`
        pass
