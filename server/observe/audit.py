"""The audit: who did what, when, to what, and from where; never what was said.

One line `audit` of the log for each, and with EVERTURN_AUDIT_FILE one of that file, too, whatever
LOG_LEVEL says. A line that cannot be written costs no answer: the log has `audit_not_written`.
"""

import getpass
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from structlog import get_logger
from structlog.contextvars import get_contextvars
from typing_extensions import override

from everturn.server.access.caller import current_caller
from everturn.server.environment import WrongSetting
from everturn.server.observe.context import client_address

log = get_logger(__name__)

_OWNER_ONLY = 0o600
_file: "_AuditFile | None" = None


def audit(action: str, *, target: str, **plain: Any) -> None:
    """Write down that something was done, once it is.

    Args:
        action: what, as `thread.deleted`.
        target: to what: an id or a name.
        plain: what else there is to know, without anything that was said. `who` counts in place of
            the current caller, and `address` in place of where the request comes from.
    """
    caller = current_caller()
    about = {
        "who": caller.identity if caller else None,
        "address": client_address(),
        "request_id": get_contextvars().get("request_id"),
        **plain,
    }
    log.info("audit", action=action, target=target, **about)
    if _file is not None:
        now = datetime.now(UTC).isoformat()
        _file.write({"timestamp": now, "action": action, "target": target, **about})


def by_command() -> dict[str, str]:
    """Who gives a command on the machine itself, for `audit`."""
    try:
        who = getpass.getuser()
    except (OSError, KeyError):  # the system has no name for this user
        who = "unknown"
    return {"who": who, "address": "command line"}


@contextmanager
def audited_to(path: Path | None) -> Iterator[None]:
    """Write the audit to a file, too; it is created for its owner alone.

    Raises:
        WrongSetting: it cannot be written.
    """
    global _file  # noqa: PLW0603 - one for the process, as the log
    if path is None:
        yield
        return
    try:
        file = _AuditFile(path)
    except OSError as error:
        raise WrongSetting(f"EVERTURN_AUDIT_FILE: {path} cannot be written: {error}") from None
    before, _file = _file, file
    try:
        yield
    finally:
        _file = before
        file.close()


class _AuditFile(WatchedFileHandler):
    """A file that may be moved away meanwhile, as logrotate does: then it is made anew."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, default=str)
        try:
            self.handle(logging.LogRecord("audit", logging.INFO, "", 0, text, None, None))
        except OSError:  # it was moved away, and cannot be made anew
            log.exception("audit_not_written")

    @override
    def _open(self) -> TextIOWrapper:
        def for_owner(path: str, flags: int) -> int:
            return os.open(path, flags, _OWNER_ONLY)

        return open(self.baseFilename, "a", encoding="utf-8", opener=for_owner)

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        log.error("audit_not_written", advice="see EVERTURN_AUDIT_FILE: is its disk full?")
