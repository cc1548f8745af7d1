"""What clients read of an error."""

import pytest

from everturn.server.errors import message_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[Errno 2] No such file: '/usr/share/a/x.csv'", "[Errno 2] No such file: '…/x.csv'"),
        ("SQLite file /tmp/a/everturn.db is locked", "SQLite file …/everturn.db is locked"),
        ("at /usr/lib/python3/site.py:12, /etc/passwd", "at …/site.py:12, …/passwd"),
        (r"cannot open C:\Users\ada\notes.txt", "cannot open …/notes.txt"),
        ("see file:///etc/hosts", "see file://…/hosts"),
        # What is no path of this machine.
        ("POST /threads/1/state", "POST /threads/1/state"),
        ("https://example.org/etc/passwd", "https://example.org/etc/passwd"),
        ("https://usr/a/b or 1/etc/2", "https://usr/a/b or 1/etc/2"),
        ("/etc", "/etc"),
    ],
)
def test_of_a_path_only_its_end(text: str, shown: str) -> None:
    assert message_of(OSError(text)) == shown


def test_a_long_path_is_one_path() -> None:
    text = "/tmp/" + "a/" * 200_000 + "b"
    assert message_of(ValueError(text)) == "…/b"
