"""What `/` and `/page/` answer, to whom, and what browsers may keep of it."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.access.own_keys import bearer, key_in
from tests.server.api.page.built import BROWSER, INDEX, PARTS, config, with_page
from tests.service import Client

SCRIPT = "/page/index-B1cD3fGh.js"
POLICY = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with with_page(tmp_path_factory.mktemp("page")) as client:
        yield client


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/html, application/json;q=0.9", True),
        ("text/*", True),
        ("text/html;q=0.2, */*;q=0.1", True),
        ("text/html;level=1", True),
        ("*/*", False),  # curl
        ("application/json", False),  # the SDKs
        ("application/json, text/plain, */*", False),  # axios
        ("text/html, application/json", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0, */*", False),
        ("application/*, text/html;q=0.9", False),
        ("text/html;q=2", False),
        ("text/html;q=x", False),
        ("text/plain", False),
        ("", False),
        (",;,;q=", False),
    ],
)
def test_who_is_shown_the_page(page: Client, accept: str, html: bool) -> None:
    answer = page.get("/", headers={"accept": accept})
    assert answer.status_code == 200
    assert "accept" in answer.headers["vary"].lower().split(", ")
    if html:
        assert answer.text == INDEX
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    else:
        assert answer.json() == {"ok": True}


def test_without_accept_it_is_json(page: Client) -> None:
    request = page.build_request("GET", "/")
    del request.headers["accept"]
    assert page.send(request).json() == {"ok": True}


def test_the_page_is_asked_for_each_time_and_sent_when_it_has_changed(page: Client) -> None:
    first = page.get("/", headers={"accept": BROWSER})
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for said in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = page.get("/", headers={"accept": BROWSER, "if-none-match": said})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["content-security-policy"] == POLICY
    assert page.get("/", headers={"accept": BROWSER, "if-none-match": '"x"'}).status_code == 200
    # What a client has of the JSON, if it kept it, has no tag.
    assert "etag" not in page.get("/").headers


def test_its_policy_lets_nothing_else_in(page: Client) -> None:
    answer = page.get("/", headers={"accept": BROWSER})
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    for path in (SCRIPT, "/page/icon.svg"):
        assert page.get(path).headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    ("name", "media_type", "cached"),
    [
        ("index-B1cD3fGh.js", "text/javascript; charset=utf-8", True),
        ("late-aB_-9xYz.js", "text/javascript; charset=utf-8", True),
        ("index-D4eF6gHi.css", "text/css; charset=utf-8", True),
        ("icon.svg", "image/svg+xml", False),
    ],
)
def test_the_parts(page: Client, name: str, media_type: str, cached: bool) -> None:
    answer = page.get(f"/page/{name}")
    assert answer.text == PARTS[name]
    assert answer.headers["content-type"] == media_type
    for_ever = "public, max-age=31536000, immutable"
    assert answer.headers["cache-control"] == (for_ever if cached else "no-cache")
    again = page.get(f"/page/{name}", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


def test_what_becomes_smaller_is_compressed_for_who_takes_it(page: Client) -> None:
    with page.stream("GET", SCRIPT, headers={"accept-encoding": "br, gzip"}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert gzip.decompress(sent).decode() == PARTS["index-B1cD3fGh.js"]
    assert len(sent) < len(PARTS["index-B1cD3fGh.js"])
    for refused in ("identity", "gzip;q=0", "br", "*;q=0"):
        plain = page.get(SCRIPT, headers={"accept-encoding": refused})
        assert "content-encoding" not in plain.headers, refused
        assert plain.headers["etag"] != answer.headers["etag"]
    short = page.get("/page/index-D4eF6gHi.css", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in short.headers


@pytest.mark.parametrize(("path", "accept"), [("/", BROWSER), ("/", "*/*"), (SCRIPT, "*/*")])
def test_a_head_is_answered_as_its_get(page: Client, path: str, accept: str) -> None:
    headers = {"accept": accept}
    got, asked = page.get(path, headers=headers), page.head(path, headers=headers)
    assert (asked.status_code, asked.content) == (200, b"")
    changing = {"date", "x-request-id"}
    assert {k: v for k, v in asked.headers.items() if k not in changing} == {
        k: v for k, v in got.headers.items() if k not in changing
    }


@pytest.mark.parametrize(
    "path",
    [
        "/page/none.js",
        "/page/",
        "/page/index.html",
        "/index.html",
        "/page/secret.json",
        "/page/page/icon.svg",
        "/page/../outside.js",
        "/page/..%2foutside.js",
        "/page/..%2f..%2fdata",
        "/page/%2e%2e/outside.js",
        "/page/..%5coutside.js",
        "/page//etc/passwd",
        "/page/icon.svg%00.js",
        "/page/icon.svg/",
    ],
)
def test_nothing_else_is_there(page: Client, path: str) -> None:
    # As it is written: a client would tidy the path up.
    url = page.base_url.copy_with(raw_path=path.encode())
    request = httpx.Request("GET", url, headers={"host": page.base_url.netloc.decode()})
    request.url = url
    answer = page.send(request)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "outside" not in answer.text.replace(path, "").replace("outside.js", "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_is_only_read(page: Client, method: str) -> None:
    answer = page.request(method, SCRIPT)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_what_it_has_to_know_where_nobody_signs_in(page: Client) -> None:
    answer = page.get("/page/config.json")
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said == {
        "version": page.get("/info").json()["everturn_version"],
        "mount_prefix": "",
        "auth": False,
    }


@pytest.mark.parametrize("way", ["setting", "key"])
def test_it_can_be_turned_off(tmp_path: Path, way: str) -> None:
    own = config(tmp_path, disable_ui=way == "key")
    with with_page(tmp_path, config=own, page=way != "setting") as client:
        answer = client.get("/", headers={"accept": BROWSER})
        assert answer.json() == {"ok": True}
        assert "accept" not in answer.headers.get("vary", "").lower()
        for path in (SCRIPT, "/page/config.json"):
            assert client.get(path).status_code == 404, path


def test_below_a_prefix(tmp_path: Path) -> None:
    with with_page(tmp_path, config=config(tmp_path, mount_prefix="/own/agent")) as client:
        assert client.get("/own/agent/", headers={"accept": BROWSER}).text == INDEX
        assert client.get(f"/own/agent{SCRIPT}").text == PARTS["index-B1cD3fGh.js"]
        said = client.get("/own/agent/page/config.json").json()
        assert said["mount_prefix"] == "/own/agent"
        assert client.get("/", headers={"accept": BROWSER}).status_code == 404
        assert client.get(SCRIPT).status_code == 404


def test_where_callers_sign_in_the_page_alone_needs_no_key(tmp_path: Path) -> None:
    with with_page(tmp_path, auth="on") as client:
        assert client.get("/", headers={"accept": BROWSER}).text == INDEX
        assert client.get(SCRIPT).status_code == 200
        assert client.get("/page/none.js").status_code == 404
        auth = client.get("/page/config.json").json()["auth"]
        assert auth == {"api_key": True, "oauth": None}
        for path in ("/threads/search", "/api/now", "/page", "/page/../threads", "/pages/x"):
            assert client.get(path).status_code == 401, path
        key = key_in(tmp_path / "data", "ada")
        assert client.get("/api/chat/sessions", headers=bearer(key)).status_code == 200
