"""Where the service fails, its answer and its log name the error alike."""

from collections.abc import Iterator

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware import Middleware

from everturn.checkpoints.errors import StoreUnavailable
from everturn.server.api.http.problems import UnexpectedErrors, answer_errors
from everturn.server.errors import Overloaded, SessionNotFound, ShuttingDown, error_id_of

RAISED = {
    "bug": ZeroDivisionError("hushed"),
    "away": StoreUnavailable("Redis does not answer."),
    "logged": StoreUnavailable("Redis does not answer."),
    "stopped": ShuttingDown("Come back."),
    "full": Overloaded("Come back.", 2),
    "nothing": SessionNotFound("There is none."),
}


@pytest.fixture(scope="module")
def asking() -> Iterator[TestClient]:
    app = FastAPI(middleware=[Middleware(UnexpectedErrors)])
    answer_errors(app, {})

    @app.get("/{name}")
    async def fail(name: str) -> None:
        raise RAISED[name]

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("name", "event"), [("bug", "unexpected_error"), ("away", "request_failed")]
)
def test_the_log_has_the_id_of_the_answer(
    asking: TestClient, name: str, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that was used before would go on writing as it was configured then.
    monkeypatch.setattr("everturn.server.api.http.problems.log", structlog.get_logger())
    with structlog.testing.capture_logs() as lines:
        problem = asking.get(f"/{name}").json()
    assert problem["status"] >= 500
    assert [(line["event"], line["error_id"]) for line in lines] == [(event, problem["error_id"])]


def test_what_a_run_has_logged_is_not_logged_again(asking: TestClient) -> None:
    known = error_id_of(RAISED["logged"])
    with structlog.testing.capture_logs() as lines:
        assert asking.get("/logged").json()["error_id"] == known
    assert lines == []


@pytest.mark.parametrize("name", ["stopped", "full", "nothing"])
def test_what_leaves_nothing_to_look_for_has_none(asking: TestClient, name: str) -> None:
    with structlog.testing.capture_logs() as lines:
        assert "error_id" not in asking.get(f"/{name}").json()
    assert lines == []
