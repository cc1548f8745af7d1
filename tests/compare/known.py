"""The differences that are meant, each with its reason. The comparison fails on any other."""

import re

KNOWN: dict[str, str] = {
    # What that server adds of its own.
    r"(metadata\.|\[1\]\.)(user_id|langgraph_(version|api_version|plan|host|api_url|auth_user_id"
    r"|request_id))": "It describes that server and its plans.",
    r"config\.configurable\.(langgraph_|__|user_id)": "What a server adds is not shown.",
    r"kwargs\.config\.metadata": "What a server adds is not shown.",
    r"kwargs\.(feedback_keys|checkpoint_during)|langsmith_session_name": "LangSmith's, or old.",
    r"kwargs\.(durability|checkpoint|checkpoint_id|after_seconds|door|answers|history)": "As the "
    "run was asked for; a recovery needs it.",
    r"^wait, feedback_keys": "That server asks LangSmith.",
    r"body\.services|^info|lc_versions|body(\[0\])?\.user_id": "Of the server or environment.",
    r"metadata\.(thread_id|checkpoint_id)": "The checkpoint says it.",
    # More than there.
    r"^history \.body: ": "Ten states unless asked otherwise: the newest alone is the state.",
    r"error_id": "It names the failure in the log.",
    r"^(threads create|thread copied).*body\.(interrupts|error|values): is "
    "missing": "A new thread is shown whole.",
    r"checkpoint\.checkpoint_ns: is missing": "A checkpoint is shown whole.",
    r"start stateless|batch, two.*metadata.graph_id": "Every run says its graph.",
    r"detail: '?(none|is missing)": "Every error says what is wrong.",
    r"says: is missing": "Clients look for these words.",
    r"^stream after (-1|1-0)": "A run's events are kept for a while, whether asked for or not.",
    r"stateless( \.(content-)?location|, (content-)?location )|^wait, both, empty": "The headers "
    "of a run on a thread of its own lead to it; there they lead nowhere.",
    r"^assistant schemas": "The schemas are made where that server gives up.",
    # Found out sooner, or another status for the same.
    r"status: (409|400) -> (404|422)|status: 404 -> 422": "One status for each kind of mistake.",
    r"(unknown|1111).*(join|/stream)": "A run that is not there is a 404, not a 200.",
    r"^.*(maybe|wrong [a-z_]+|nothing|interrupt_before text|offset=-1|no namespace)\b.*"
    r"(status: 20\d -> 422|content-type|location|body)": "What has no meaning is refused.",
    r"^assistant subgraphs, wrong|says: 'not found' -> is missing": "It is refused, with a 422.",
    r"^wait, wrong .*left": "It was refused, so nothing ran.",
    r"^threads create, supersteps without graph": "Nothing is made of what cannot be made whole.",
    r"^state at unknown": "There the thread forgets all that was before.",
    r"^wait, unknown checkpoint": "There the thread forgets all that was before.",
    # Taken where that server refuses or breaks.
    r"(threads create, ttl|threads search, null|wait, nulls|threads prune, latest"
    r"|history search, before id|crons search, graph|cron changed, nothing)": "Taken here: what "
    "is null is as if left out, ids may stand for objects, names for ids.",
    r"status: 500 ->|broken|^store search, (nothing|null)|^wait, wrong checkpoint": "It breaks.",
    r"^command (unknown|update|goto unknown)": "It breaks, or says nothing.",
    r"^cron, past end": "A cron whose end is past will not run.",
    r"payload\.end_time: None": "What is null is as if left out.",
    # When things happen.
    r"status: 'pending' -> 'running'": "A run starts where it arrives.",
    r"^thread copied.*config\.configurable": "A copy has no run.",
    r"^thread (while a|after cancel)": "Values are the newest, and what ended is not busy.",
    r"^run (cancelled|rolled back)": "The state at the end; what was rolled back is gone.",
    r"^strategy (interrupt|rollback)": "There steps are lost, or what was rolled back is kept.",
    r"^live stream": "How much of it is live depends on the moment.",
    r"^store namespaces": "There what was refused has left a namespace.",
}
"""Patterns of lines of the comparison, and why this service answers as it does."""

_used: set[str] = set()


def reason_of(line: str) -> str | None:
    """Return why a difference is meant; None where no one has said."""
    for pattern, reason in KNOWN.items():
        if re.search(pattern, line):
            _used.add(pattern)
            return reason
    return None


def unused() -> list[str]:
    """Return the patterns that no difference fitted: they can go."""
    return [pattern for pattern in KNOWN if pattern not in _used]
