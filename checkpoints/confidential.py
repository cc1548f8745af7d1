"""Secrets that a client sends for its run, and that no client is shown: keys, tokens, passwords.

They are known by their names, as in LangGraph's own tracing. A run needs them until its end, so
its row keeps them in a column apart, which no search reads, and encrypted where there is a key.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from langgraph.checkpoint.serde.base import CipherProtocol

from everturn.checkpoints.errors import StoreMisconfigured

_WORDS = ("key", "token", "secret", "password", "auth")
"""In any part of a name, however it is written: as in `langgraph._internal._config`."""
_DIVIDED = ("config", "context")
_MAX_DEPTH = 100
"""What clients send is not so deep; what a graph streams may hold itself."""

Object = Mapping[Any, Any]


def is_confidential(name: str, value: object) -> bool:
    """Say whether a value is a secret, by its name; a number of tokens (`max_tokens`) is none."""
    name = name.casefold()
    if "tokens" in name and isinstance(value, int | float):
        return False
    return any(word in name for word in _WORDS)


class Split(NamedTuple):
    """An object in two parts."""

    shown: dict[str, Any]
    confidential: dict[str, Any]


def split(value: Object, depth: int = _MAX_DEPTH) -> Split:
    """Divide an object by its names, at any depth; a list that holds a secret is one as a whole."""
    shown: dict[str, Any] = {}
    confidential: dict[str, Any] = {}
    for name, each in value.items():
        if is_confidential(str(name), each):
            confidential[name] = each
        elif isinstance(each, Mapping) and depth:
            shown[name], inside = split(each, depth - 1)
            if inside:
                confidential[name] = inside
        elif isinstance(each, list) and depth and _has_secret(each, depth - 1):
            confidential[name] = each
        else:
            shown[name] = each
    return Split(shown, confidential)


def _has_secret(items: list[Any], depth: int) -> bool:
    return bool(split(dict(enumerate(items)), depth).confidential)


def split_request(kwargs: Object) -> Split:
    """Divide what is asked of a run: its config, its context, and the address of its webhook."""
    shown, confidential = split({name: kwargs[name] for name in _DIVIDED if kwargs.get(name)})
    webhook = kwargs.get("webhook")
    if isinstance(webhook, str) and (short := _without_token(webhook)) != webhook:
        shown["webhook"], confidential["webhook"] = short, webhook
    return Split({**kwargs, **shown}, confidential)


def merged(shown: Object, confidential: Object) -> dict[str, Any]:
    """Put the two parts of an object together again."""
    whole = dict(shown)
    for name, each in confidential.items():
        inside = whole.get(name)
        whole[name] = merged(inside, each) if isinstance(inside, Mapping) else each
    return whole


def _without_token(url: str) -> str:
    """Shorten a webhook's address to its host: tokens are in queries, in paths and before an @."""
    try:
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
    except ValueError:
        return "…"
    rest = parts.path.strip("/") or parts.query or parts.fragment
    return f"{host}/…" if rest else host or url


class Safe:
    """Makes bytes of secrets, and secrets of bytes: JSON, encrypted where there is a cipher."""

    def __init__(self, cipher: CipherProtocol | None = None) -> None:
        self._cipher = cipher

    def seal(self, confidential: Object) -> bytes | None:
        """Return what a column keeps; None for nothing."""
        return self.encrypt(json.dumps(confidential).encode()) if confidential else None

    def unseal(self, kept: bytes | None) -> dict[str, Any]:
        """Return what `seal` was given.

        Raises:
            StoreMisconfigured: it was encrypted, and with another key than this one.
        """
        opened: dict[str, Any] = json.loads(self.decrypt(kept)) if kept else {}
        return opened

    def encrypt(self, plain: bytes) -> bytes:
        """Return what a column keeps of an object in JSON, whatever follows it."""
        if self._cipher is None:
            return plain
        name, encrypted = self._cipher.encrypt(plain)
        return name.encode() + b"\0" + encrypted

    def decrypt(self, kept: bytes) -> bytes:
        """Return what `encrypt` was given.

        Raises:
            StoreMisconfigured: it was encrypted, and with another key than this one.
        """
        if kept.startswith(b"{"):
            return kept
        name, _, encrypted = kept.partition(b"\0")
        try:
            return self._decrypted(name.decode(), encrypted)
        except ValueError as error:
            raise StoreMisconfigured(
                "The secrets of this run were encrypted with another key: set "
                "LANGGRAPH_AES_KEY to the one that it began with."
            ) from error

    def _decrypted(self, cipher: str, encrypted: bytes) -> bytes:
        if self._cipher is None:
            raise ValueError("there is no key")
        return self._cipher.decrypt(cipher, encrypted)
