"""Why an answer is an offline one: in the provider's words, with the setting, and in the log."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.certificates import Authority
from tests.provider import FakeProvider
from tests.provider.between import ForwardProxy, TlsFront, running
from tests.provider.script import Fault
from tests.server.test_environment import KEY
from tests.service import Client, Process, process, serving

pytestmark = pytest.mark.slow


def logged(service: Process, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.log if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize(
    ("fault", "says", "setting"),
    [
        (Fault(429), "HTTP 429 Too Many Requests: Provider returned error", "EVERTURN_MODELS"),
        (Fault(402), "the account has no credit left", "EVERTURN_MODELS"),
        (Fault(404), "HTTP 404 Not Found", "EVERTURN_BASE_URL"),
        (Fault("reset"), "the connection to the provider failed", "HTTPS_PROXY"),
        (Fault("silent"), "the turn's time was up", "EVERTURN_TURN_TIMEOUT"),
    ],
    ids=lambda value: str(getattr(value, "kind", value))[:20],
)
def test_the_reason_names_the_providers_words_and_the_setting(
    fault: Fault, says: str, setting: str, data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", fault)
    settings = {"base_url": fake_provider.url, "models": "a,b", "openai_api_key": "sk-test"}
    with serving(data_dir, **settings, first_token_timeout=0.3, turn_timeout=8) as client:
        route = client.ask("hello")["route"]
        again = client.ask("hello")
    assert route["mode"] == again["route"]["mode"] == "offline"
    for reason in (route["reason"], again["route"]["reason"], again["response"]):
        assert says in reason
        assert setting in reason
        assert "sk-test" not in reason


def test_a_trusted_authority_in_the_env_file(
    tmp_path: Path, data_dir: Path, fake_provider: FakeProvider
) -> None:
    """Without it the reason and the log say so."""
    authority = Authority(tmp_path)
    port = urlsplit(fake_provider.url).port or 0
    front, proxy = TlsFront(port, authority.sign("127.0.0.1")), ForwardProxy()
    env = f"OPENAI_BASE_URL='{front.url}'\nOPENAI_API_KEY=\"sk-test\"\nEVERTURN_MODELS=m\n"
    with running(front), running(proxy):
        (data_dir.parent / ".env").write_text(env)
        with process(data_dir) as service, Client(base_url=service.url()) as client:
            route = client.ask("hello")["route"]
            service.stop()
        assert "is signed by an authority that is not trusted here" in route["reason"]
        assert "SSL_CERT_FILE" in route["reason"]
        (said,) = {line["reason"] for line in logged(service, "offline_answer")}
        assert route["reason"].startswith(said)

        trusted = f"SSL_CERT_FILE='{authority.file}'\r\nhttps_proxy={proxy.url}\r\n"
        (data_dir.parent / ".env").write_text(env + trusted, encoding="utf-16")
        with process(data_dir) as service, Client(base_url=service.url()) as client:
            assert client.ask("hello")["response"] == "You said: hello"
        assert f"CONNECT 127.0.0.1:{front.server_address[1]}" in proxy.asked


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE: '/nowhere.pem' cannot be used"),
        ({"SSL_CERT_DIR": "/nowhere"}, "SSL_CERT_DIR: '/nowhere' holds no certificate"),
        ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "ALL_PROXY: a SOCKS proxy needs one more package"),
        ({"HTTP_PROXY": "http://me:hunter2@a:b"}, "HTTP_PROXY: is no URL of a proxy"),
        (
            {"OPENAI_BASE_URL": "http://me:hunter2@127.0.0.1:1/v1"},
            "the provider http://********@127.0.0.1:1/v1 has a user and password in its URL",
        ),
    ],
)
def test_what_keeps_it_from_its_provider_is_said_at_the_start_in_one_line(
    environment: dict[str, str], says: str, data_dir: Path
) -> None:
    provider = {
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "m",
    }
    with (
        process(data_dir, **{**provider, **environment}) as refused,
        pytest.raises(RuntimeError) as ended,
    ):
        refused.url()
    lines = str(ended.value).removeprefix("the service ended: ").splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"everturn: {says}")
    assert "hunter2" not in lines[0]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OPENAI_API_KEY": KEY}, "name the models to ask in EVERTURN_MODELS"),
        ({"EVERTURN_MODELS": "m"}, "set OPENAI_API_KEY"),
    ],
)
def test_a_setting_that_wants_a_provider_is_not_silently_ignored(
    environment: dict[str, str], says: str, data_dir: Path
) -> None:
    with (
        process(data_dir, **environment) as service,
        Client(base_url=service.url()) as client,
    ):
        answer = client.ask("Calculate 10 * 20")
        service.stop()
    assert "200" in answer["response"]
    assert says in answer["response"]
    (line,) = logged(service, "no_model_is_asked")
    assert says in line["reason"]
    assert KEY not in "".join(service.log)
