"""Commands of the event protocol over HTTP: one in, its answer out."""

from json import JSONDecodeError
from typing import Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from everturn.server.api.agent_server.bodies import ThreadId, json_response
from everturn.server.api.agent_server.command_answers import (
    REPLAYED,
    Commands,
    ErrorCode,
    error_answer,
)
from everturn.server.api.agent_server.command_bodies import Command
from everturn.server.api.http import problems as http_problems
from everturn.server.api.http.deps import RunsDep, ThreadsDep
from everturn.server.api.http.idempotency import ClientDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router

router = Router(tags=["event protocol"])


class CommandAnswer(BaseModel):
    """The answer to a command, whether it was carried out or refused."""

    type: Literal["success", "error"]
    id: int | None = Field(description="The command's; null where it had none.")
    result: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None
    error: ErrorCode | None = None
    message: str | None = Field(default=None, description="Why it was refused, and what to do.")


@router.post(
    "/threads/{thread_id}/commands",
    summary="Send a command to a thread",
    description="Of the event protocol (`langchain-protocol`): `run.start`, `run.cancel`, "
    "`input.respond`, `input.inject`, `state.get`, `state.listCheckpoints`, `state.fork` and "
    "`agent.getTree`; see docs/protocol.md.",
    response_class=Response,
    responses={200: {"model": CommandAnswer}, **problems(404, 503)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Command.model_json_schema()}},
        }
    },
)
async def send_command(
    thread_id: ThreadId, request: Request, runs: RunsDep, threads: ThreadsDep, client: ClientDep
) -> Response:
    try:
        command = await request.json()
    except JSONDecodeError as error:
        return json_response(
            error_answer(None, "invalid_argument", f"The command is no JSON: {error.msg}.")
        )
    commands = Commands(runs, threads, request.app.state.error_kinds)
    answer = await commands.answer(str(thread_id), command, client)
    replayed = answer.get("meta", {}).get(REPLAYED)
    return json_response(answer, {http_problems.REPLAYED: "true"} if replayed else None)
