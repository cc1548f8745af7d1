"""The differences that are meant, each with its reason. The comparison fails on any other."""

import re

KNOWN: dict[str, str] = {
    r"metadata\.(user_id|langgraph_(version|api_version|plan|host|api_url|auth_user_id"
    r"|request_id))": "It describes that server and its plans.",
    r"config\.configurable\.(langgraph_|__|user_id)": "What a server adds for itself is not shown.",
    r"stateless \.(content-)?location": "It leads to the run: there is a route for it here.",
    r"error_id": "It names the failure in the log.",
    r"lc_versions": "Of the environment.",
    r"metadata\.thread_id": "The checkpoint says it.",
    r"says: is missing -> 'not found'": "Clients look for these words.",
    r"kwargs\.config\.(configurable|metadata)": "What a server adds for itself is not shown.",
    r"kwargs\.(feedback_keys|checkpoint_during)|langsmith_session_name": "LangSmith's, or old.",
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
