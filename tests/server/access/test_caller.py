"""Callers: what authenticators return, as graphs and rules see it."""

import copy
import json
import pickle
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import pytest
from langgraph_sdk.auth.types import BaseUser
from pydantic import BaseModel

from everturn.server.access.caller import (
    Caller,
    InvalidCaller,
    acting_as,
    caller_of,
    current_caller,
    without_caller,
)

ID = UUID(int=1)


@dataclass
class Person:
    identity: str = "ada"
    permissions: set[str] = field(default_factory=lambda: {"b", "a"})
    team: UUID = ID

    def may(self, what: str) -> bool:
        return what in self.permissions


class Model(BaseModel):
    identity: str = "ada"
    team: UUID = ID


class Plain:
    def __init__(self) -> None:
        self._secret = "x"
        self.team = ID

    @property
    def identity(self) -> str:
        return "ada"


@pytest.mark.parametrize(
    ("user", "more"),
    [
        ("ada", {}),
        ({"identity": "ada", "team": ID}, {"team": str(ID)}),
        (Person(), {"team": str(ID), "permissions": ["a", "b"]}),
        (Model(), {"team": str(ID)}),
        (Plain(), {"team": str(ID)}),
    ],
)
def test_a_user_is_plain_json_whatever_it_was(user: object, more: dict[str, Any]) -> None:
    caller = caller_of(user)
    plain = {"identity": "ada", "is_authenticated": True, "display_name": "ada", "permissions": []}
    assert caller == {**plain, **more}
    assert json.loads(orjson.dumps(caller)) == caller
    assert isinstance(caller, BaseUser)
    assert (caller.identity, caller["identity"], "identity" in caller) == ("ada", "ada", True)
    for copied in (copy.deepcopy(caller), pickle.loads(pickle.dumps(caller)), Caller(caller)):
        assert copied == caller
        assert copied.display_name == "ada"


def test_a_rule_may_call_what_the_projects_own_user_can_do() -> None:
    assert caller_of(Person()).may("a")
    with pytest.raises(AttributeError, match="the user has no 'may'"):
        _ = Caller(caller_of(Person())).may


@pytest.mark.parametrize("user", [None, 1, "", {}, {"identity": ""}, {"identity": 1}, object()])
def test_without_an_identity_there_is_no_user(user: object) -> None:
    with pytest.raises(InvalidCaller, match="identity"):
        caller_of(user)


def test_what_is_done_in_a_block_is_done_for_its_caller() -> None:
    ada = caller_of("ada")
    with acting_as(ada):
        with acting_as(None):
            assert current_caller() is None
        assert current_caller() is ada
    assert current_caller() is None


def test_what_names_the_caller_is_taken_away_and_nothing_else() -> None:
    said = {"langgraph_auth_user": 1, "langgraph_auth_user_id": 2, "langgraph": 3, "user_id": 4}
    assert without_caller(said) == {"langgraph": 3, "user_id": 4}
