"""`checkpointer` of `langgraph.json`: how long threads live, and which types they may hold."""

import os
from collections.abc import Callable
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.checkpoints.encryption import cipher_of
from everturn.server.projects.config import Modules, ThreadTTL
from everturn.server.projects.project import Project


def thread_ttl(project: Project) -> ThreadTTL:
    """Return what is said of the ends of threads; without a `default_ttl`, they have none."""
    checkpointer = project.keys.checkpointer
    return (checkpointer and checkpointer.ttl) or ThreadTTL()


def load_cipher(key: str | None) -> CipherProtocol | None:
    """Return what encrypts; the key may also be said by the `env` of `langgraph.json`.

    Raises:
        StoreMisconfigured: as `cipher_of` does.
    """
    return cipher_of(key or os.environ.get("LANGGRAPH_AES_KEY"))


def load_serde(project: Project, cipher: CipherProtocol | None = None) -> SerializerProtocol | None:
    """Return the serializer that `serde` describes; None leaves the checkpointer its own.

    With a cipher, what it makes is encrypted; what was kept before is read as it is.
    """
    return encrypted(_load_serde(project), cipher)


def encrypted(
    serde: SerializerProtocol | None, cipher: CipherProtocol | None
) -> SerializerProtocol | None:
    """Return a serializer that also encrypts, where there is a cipher."""
    if cipher is None:
        return serde
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)  # the checkpointer's own
    return EncryptedSerializer(cipher, serde or strict)


def _load_serde(project: Project) -> JsonPlusSerializer | None:
    checkpointer = project.keys.checkpointer
    if checkpointer is None or checkpointer.serde is None:
        return None
    serde = checkpointer.serde
    return JsonPlusSerializer(
        pickle_fallback=serde.pickle_fallback,
        allowed_json_modules=_names(serde.allowed_json_modules, _each_part),
        allowed_msgpack_modules=_names(serde.allowed_msgpack_modules, _module_and_class),
    )


def _names(said: Modules | None, form: Callable[[list[str]], tuple[str, ...]]) -> Any:
    """`true` is any type; a list names them, however their modules are cut into parts."""
    return [form(each) for each in said] if isinstance(said, list) else said or None


def _each_part(name: list[str]) -> tuple[str, ...]:
    return tuple(".".join(name).split("."))


def _module_and_class(name: list[str]) -> tuple[str, ...]:
    module, _, of = ".".join(name).rpartition(".")
    return module, of
