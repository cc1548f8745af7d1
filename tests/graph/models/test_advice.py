"""What an operator is told to change about a failure."""

import re

import pytest

from everturn.graph.models.advice import _ADVICE, explained
from everturn.graph.models.failures import Failure, Kind
from everturn.server.environment import TRANSPORT
from everturn.server.settings import FIELDS


@pytest.mark.parametrize("kind", _ADVICE)
def test_every_setting_that_is_named_is_one(kind: Kind) -> None:
    named = re.findall(r"[A-Z]+(?:_[A-Z]+)+", _ADVICE[kind])
    assert named
    known = {f"EVERTURN_{field.upper()}" for field in FIELDS}
    assert set(named) <= known | {*TRANSPORT, "OPENAI_API_KEY", "OPENROUTER_API_KEY"}


def test_the_providers_words_are_said_once_and_on_one_line() -> None:
    said = explained(Failure("not_found", "HTTP 404 Not Found", "no model\n  'm'"))
    assert said == ("HTTP 404 Not Found: no model 'm'; check EVERTURN_MODELS and EVERTURN_BASE_URL")
    assert explained(Failure("empty", "the model said nothing")) == "the model said nothing"
    again = explained(Failure("circuit_open", "all models have failed a moment ago", said))
    assert again == f"all models have failed a moment ago: {said}"
    own = Failure("timeout", "the turn's time was up (EVERTURN_TURN_TIMEOUT)")
    assert explained(own) == own.message
