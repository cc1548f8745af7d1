"""Which setting is wrong where a model does not answer, with real servers that are not as meant."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import HttpUrl, SecretStr

from everturn.graph.models.check import check_models
from everturn.graph.models.diagnosis import Problem
from everturn.graph.models.provider import open_models
from everturn.graph.models.settings import ModelSettings
from tests.certificates import Authority
from tests.graph.conftest import BareModelSettings
from tests.provider import KEY, FakeProvider, Fault
from tests.provider.between import TlsFront, running
from tests.provider.offer import Offer


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as found:
        found.offer(Offer("model-a"), Offer("model-b"), Offer("other"))
        yield found


def settings(url: str, *, name: str = "model-a", **keys: str | None) -> ModelSettings:
    keys = {"openai_api_key": KEY, **keys}
    given = {setting: SecretStr(key) for setting, key in keys.items() if key}
    return BareModelSettings(base_url=HttpUrl(url), models=[name], **given)  # type: ignore[arg-type]


async def problem(made: ModelSettings) -> Problem:
    async with open_models(made) as models:
        [check], _ = await check_models(models, made.models)
    assert check.problem
    return check.problem


async def test_a_wrong_key(provider: FakeProvider) -> None:
    found = await problem(settings(provider.url, openai_api_key="sk-wrong"))
    assert found.setting == "openai_api_key"
    assert "HTTP 401" in found.text


async def test_a_wrong_key_of_the_other_setting(provider: FakeProvider) -> None:
    made = settings(provider.url, openai_api_key=None, openrouter_api_key="sk-wrong")
    assert (await problem(made)).setting == "openrouter_api_key"


async def test_no_key(provider: FakeProvider) -> None:
    found = await problem(settings(provider.url, openai_api_key=None))
    assert found.setting == "openai_api_key"
    assert "none is set" in found.text


async def test_a_key_that_the_provider_repeats_is_masked(provider: FakeProvider) -> None:
    provider.script("model-a", Fault(400, message="I do not like hunter two, hunter2"))
    provider.key = "hunter2"
    found = await problem(settings(provider.url, openai_api_key="hunter2"))
    assert "I do not like hunter two, …" in found.text


@pytest.mark.parametrize("path", ["", "/", "/v1/chat/completions", "/v1/models", "/v1/completions"])
async def test_the_address_that_was_meant_is_found(provider: FakeProvider, path: str) -> None:
    root = provider.url.removesuffix("/v1")
    found = await problem(settings(root + path))
    assert found.setting == "base_url"
    assert f"They do at {root}/v1: " in found.text


async def test_an_address_without_any_api(provider: FakeProvider) -> None:
    found = await problem(settings(provider.url.replace("/v1", "/elsewhere")))
    assert found.setting == "base_url"
    assert "no OpenAI-compatible API answers at" in found.text
    assert "HTTP 404" in found.text


class Site(BaseHTTPRequestHandler):
    """Pages for people, whatever is asked."""

    status = 200

    def do_GET(self) -> None:
        page = b"<!DOCTYPE html><html><body>Welcome</body></html>"
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@pytest.mark.parametrize("status", [200, 403, 404, 405, 502])
async def test_a_site_for_people(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Site, "status", status)
    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    with running(site):
        found = await problem(settings(f"http://127.0.0.1:{site.server_address[1]}/v1"))
    assert found.setting == "base_url"
    assert "a page of HTML" in found.text
    assert "<" not in found.text


async def test_where_nothing_listens(provider: FakeProvider) -> None:
    found = await problem(settings(provider.refused_url))
    assert found.setting == "base_url"
    assert "nothing listens" in found.text
    by_name = provider.refused_url.replace("127.0.0.1", "localhost")
    assert "nothing listens" in (await problem(settings(by_name))).text


async def test_http_where_tls_is_spoken(provider: FakeProvider, tmp_path: Path) -> None:
    front = TlsFront(urlsplit(provider.url).port or 0, Authority(tmp_path).sign("127.0.0.1"))
    with running(front):
        plain = await problem(settings(front.url.replace("https:", "http:")))
        untrusted = await problem(settings(front.url))
    assert plain.setting == untrusted.setting == "base_url"
    assert "Check host, port and http(s)" in plain.text
    assert "SSL_CERT_FILE" in untrusted.text


async def test_https_where_no_tls_is_spoken(provider: FakeProvider) -> None:
    found = await problem(settings(provider.url.replace("http:", "https:")))
    assert found.setting == "base_url"
    assert "does not speak TLS" in found.text


@pytest.mark.parametrize("kind", ["unknown_model", 404, 400, 500])
async def test_a_wrong_name(provider: FakeProvider, kind: int) -> None:
    provider.script("*", Fault(kind))
    found = await problem(settings(provider.url, name="Model_B"))
    assert found.setting == "models"
    assert "the provider has no model 'Model_B'" in found.text
    assert "It lists model-b, model-a, other" in found.text


async def test_many_names_are_not_all_listed(provider: FakeProvider) -> None:
    provider.offer(*(Offer(f"qwen-{size}b") for size in range(20)))
    provider.script("*", Fault("unknown_model"))
    found = await problem(settings(provider.url, name="qwen-7"))
    assert "It lists qwen-7b, " in found.text
    assert found.text.endswith(" and 13 more")


@pytest.mark.parametrize("kind", [400, 402, 404, 429, 500])
async def test_what_no_setting_explains_is_said_in_the_providers_words(
    provider: FakeProvider, kind: int
) -> None:
    provider.script("model-a", Fault(kind, message="Not today"))
    found = await problem(settings(provider.url))
    assert found.setting is None
    assert "Not today" in found.text
