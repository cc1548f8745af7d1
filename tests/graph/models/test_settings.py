"""Settings of models: what is mended, and what is refused at the start."""

import pytest
from pydantic import HttpUrl, SecretStr, ValidationError

from tests.graph.conftest import BareModelSettings


@pytest.mark.parametrize(("given", "sent"), [("sk-a\n", "sk-a"), (" sk-a ", "sk-a"), (" ", None)])
def test_white_space_around_a_key_is_no_part_of_it(given: str, sent: str | None) -> None:
    key = BareModelSettings(openrouter_api_key=SecretStr(given)).api_key
    assert (key and key.get_secret_value()) == sent


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nX-Header: b", "sk-é", '"sk-a', "sk-a'"])
def test_a_key_that_fits_no_header_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        BareModelSettings(openai_api_key=SecretStr(key))
    assert key not in str(refused.value)


def test_a_provider_needs_a_key_or_a_url_and_models_where_it_has_no_chain() -> None:
    key = SecretStr("sk-a")
    openai = BareModelSettings(openai_api_key=key, models=["m"])
    assert (openai.provider_url, openai.api_key) == ("https://api.openai.com/v1", key)
    router = BareModelSettings(openai_api_key=SecretStr("sk-b"), openrouter_api_key=key)
    assert (router.provider_url, router.api_key) == ("https://openrouter.ai/api/v1", key)
    keyless = BareModelSettings(base_url=HttpUrl("http://127.0.0.1:1/v1"), models=["m"])
    assert (keyless.provider_url, keyless.api_key) == ("http://127.0.0.1:1/v1", None)
    for finished in (openai, router, keyless, BareModelSettings()):
        assert finished.unfinished == ""


def test_what_is_missing_is_named() -> None:
    alone = BareModelSettings(openai_api_key=SecretStr("sk-a"))
    assert (alone.provider_url, alone.api_key) == (None, None)
    assert alone.chain == []
    assert "name the models to ask in EVERTURN_MODELS" in alone.unfinished
    assert "set OPENAI_API_KEY" in BareModelSettings(models=["m"]).unfinished


@pytest.mark.parametrize("user", ["me:hunter2", "hunter2", ":hunter2"])
@pytest.mark.parametrize("name", ["openai_api_key", "openrouter_api_key"])
def test_one_request_carries_one_authorization(user: str, name: str) -> None:
    url = HttpUrl(f"http://{user}@127.0.0.1:1/v1")
    assert BareModelSettings(base_url=url, models=["m"]).provider_url == str(url)
    with pytest.raises(ValidationError, match="only one of the two") as refused:
        BareModelSettings(base_url=url, models=["m"], **{name: SecretStr("sk-a")})  # type: ignore[arg-type]
    assert "hunter2" not in str(refused.value.errors(include_input=False)[0]["msg"])


@pytest.mark.parametrize("text", ["a, b,,a", '["a", " b "]', "a,b,"])
def test_models_are_a_comma_list_or_a_json_list(text: str) -> None:
    assert BareModelSettings.model_validate({"models": text}).models == ["a", "b"]
