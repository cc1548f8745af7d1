"""Settings of models: what is mended, and what is refused at the start."""

import pytest
from pydantic import SecretStr, ValidationError

from tests.graph.conftest import BareModelSettings


@pytest.mark.parametrize(("given", "sent"), [("sk-a\n", "sk-a"), (" sk-a ", "sk-a"), (" ", None)])
def test_white_space_around_a_key_is_no_part_of_it(given: str, sent: str | None) -> None:
    key = BareModelSettings(openrouter_api_key=SecretStr(given)).api_key
    assert (key and key.get_secret_value()) == sent


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nX-Header: b", "sk-é"])
def test_a_key_that_fits_no_header_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        BareModelSettings(openai_api_key=SecretStr(key))
    assert key not in str(refused.value)
