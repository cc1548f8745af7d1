"""How a request to the engine can fail, named by what the caller should do next.

RunError
  x ConfigError       the operator: `langgraph.json` cannot be served; says file, key and reason
  x GraphNotFound     the caller: names the graphs there are
  x InvalidInput      the caller: says which part of the input is wrong
    x InvalidAnswer   the caller: answer again, what waits waits still
  x InvalidUpdate     the caller: says which part of the state's update does not fit the graph
  x AssistantNotFound the caller: make the assistant first
  x InvalidAssistant  the caller: say an assistant's id, or one of the graphs' names
  x AssistantExists   the caller: take another id, or the assistant as it is
  x AssistantOfGraph  the caller: leave a graph's own assistant as it is, or make another one
  x ContextTwice      the caller: say the context only once
  x SessionNotFound   the caller: begin a new session
  x ThreadExists      the caller: take another id, or the thread as it is
  x ThreadHasNoGraph  the caller: run a graph on the thread first
  x CheckpointNotFound  the caller: take one that the thread's history lists
  x StateUnreadable   the caller: write the thread's state anew, or delete the thread
    x MemoryLost      the caller: read the history, and go on in a new thread
  x ThreadNotFound    the caller: make the thread first, or say `if_not_exists: "create"`
  x UserNotFound      the caller: nothing is kept of this user, or it is somebody else
  x RunNotFound       the caller: there is no such run, or no longer
    x NothingToCancel the caller: the runs have ended, or never were
  x WebhookNotFound   the caller: there is no such webhook, or it is kept no longer
  x WebhookDelivered  the caller: its receiver has it, and its content is kept no longer
  x NothingWaits      the caller: look at the session, it was answered meanwhile
  x Forbidden         the caller: ask somebody who may do it, or for the permission
  x InvalidRule       the operator: a handler of the project's `auth` is wrong; nothing was done
  x KeyReused         the caller: send a new request with a key of its own
  x AnswerGone        the caller: the run is over; run it anew with another key, if it is wanted
  x RunCancelled      the caller: send the message again, if it is still wanted
  x TurnTimeout       try again: the turn did not end in its time
  x BudgetExceeded    try again when `retry_after` says: the text names the budget that is spent
  x Overloaded        try again when `retry_after` says: more runs wait than start soon
  x TooManyRuns       try again when one of the caller's own runs has ended
  x ShuttingDown      try again soon: the service is being stopped or restarted
"""

import os
import re
from functools import cache
from pathlib import Path
from uuid import uuid4


class RunError(Exception):
    """Base of every error that the engine raises on purpose."""


class ConfigError(RunError):
    """`langgraph.json`, or a graph it names, cannot be loaded."""


class GraphNotFound(RunError):
    """No graph of this name is served."""


class InvalidInput(RunError):
    """The input, command, context or config does not fit the graph."""


class InvalidAnswer(InvalidInput):
    """The answer does not fit what waits, which waits still."""


class InvalidUpdate(RunError):
    """The update does not fit the graph, its node or its state."""


class ThreadNotFound(RunError):
    """No thread has this id."""


class ThreadExists(RunError):
    """There is a thread, or a chat session, of this id already."""


class ThreadHasNoGraph(RunError):
    """Nobody can say which graph the thread's state belongs to."""


class CheckpointNotFound(RunError):
    """The thread has no such checkpoint."""


class StateUnreadable(RunError):
    """What a thread holds cannot be made a state of its graph."""


class MemoryLost(StateUnreadable):
    """A thread that had turns remembers nothing: Redis has lost its data."""


class AssistantNotFound(RunError):
    """No assistant, or none of its versions, has this id."""


class InvalidAssistant(RunError):
    """What should name an assistant is neither a UUID nor the name of a graph."""


class AssistantExists(RunError):
    """There is an assistant of this id already."""


class AssistantOfGraph(RunError):
    """It is the assistant of a graph that is served: everybody who names the graph runs it."""


class ContextTwice(RunError):
    """Both `context` and `config.configurable` say what the graph may choose from."""


class SessionNotFound(RunError):
    """The session never was, was deleted, or has expired."""


class UserNotFound(RunError):
    """Nothing is kept of this user, or the caller is another one."""


class RunNotFound(RunError):
    """There is no run of this id on this thread."""


class CronNotFound(RunError):
    """There is no cron of this id."""


class WebhookNotFound(RunError):
    """No webhook of a run of this id is kept."""


class WebhookDelivered(RunError):
    """The webhook was delivered, and cannot be sent again."""


class NothingToCancel(RunNotFound):
    """None of the runs named is under way."""


class NothingWaits(RunError):
    """There is nothing to resume: no turn of the session waits for an answer, or not for this."""


class Forbidden(RunError):
    """The project's rules do not allow this caller to do it."""


class InvalidRule(RunError):
    """A rule of the project failed, or says what is not understood: so nothing is allowed."""


class KeyReused(RunError):
    """The key of a request was sent before, with another one."""


class AnswerGone(RunError):
    """A request was answered before, and its answer is not kept."""


class RunCancelled(RunError):
    """The run was cancelled by another request."""


class TurnTimeout(RunError):
    """The turn did not end in the time that one turn may take."""


class BudgetExceeded(RunError):
    """What a run, a thread, a caller or all together may spend is spent."""

    def __init__(self, text: str, retry_after: float) -> None:
        """Say which budget, and in how many seconds there is more of it."""
        super().__init__(text)
        self.retry_after = retry_after


class Overloaded(RunError):
    """The run could not start soon, because others wait."""

    def __init__(self, text: str, retry_after: float) -> None:
        """Say what is so, and in how many seconds it may be otherwise."""
        super().__init__(text)
        self.retry_after = retry_after


class TooManyRuns(RunError):
    """The caller has as many runs under way as one may."""

    retry_after = 2.0
    """Seconds: nobody knows when a run ends."""


class ShuttingDown(RunError):
    """The service is being stopped, and takes or finishes no more turns."""


def error_id_of(error: BaseException) -> str:
    """Return what names an error in the log and in answers from now on; who asks logs it."""
    found: str = vars(error).setdefault("everturn_error_id", uuid4().hex)
    return found


def known_id(error: BaseException) -> str | None:
    """Return what names an error in the log; None where it was not logged."""
    return vars(error).get("everturn_error_id")


def message_of(error: object) -> str:
    """Return an error's text for clients: of this machine's paths only the last part.

    Graphs, drivers and Python itself name the files that they failed with.
    """
    return _paths().sub(r"…/\g<name>", str(error))


@cache
def _paths() -> re.Pattern[str]:
    """What begins with a folder that there is: `/etc/…`, and not `/threads/…`, which is a route."""
    with os.scandir(Path.cwd().anchor) as entries:
        folders = "|".join(re.escape(entry.name) for entry in entries if entry.is_dir())
    part = r"[^\s/\\'\":,;()<>]"
    drive = r"[A-Za-z]:\\"
    return re.compile(
        rf"(?:(?<![\w./])|(?<=file://))(?:/(?:{folders})(?=/)|{drive})(?:[/\\]?{part}+[/\\])*[/\\]?(?P<name>{part}+)"
    )
