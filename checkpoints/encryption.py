"""AES for what is kept: checkpoints, and the secrets of runs and crons."""

from langgraph.checkpoint.serde.base import CipherProtocol

from everturn.checkpoints.errors import StoreMisconfigured

_SIZES = (16, 24, 32)


def flaw_of_key(key: str) -> str:
    """Say what is wrong with a key; nothing for one that fits."""
    size = len(key.encode())
    return "" if size in _SIZES else f"must be 16, 24 or 32 bytes long, not {size}"


def cipher_of(key: str | None) -> CipherProtocol | None:
    """Return AES in EAX mode under a key of 16, 24 or 32 bytes; None without a key.

    Raises:
        StoreMisconfigured: the key is of another size, or the package that encrypts is missing.
    """
    if not key:
        return None
    if flaw := flaw_of_key(key):
        raise StoreMisconfigured(f"LANGGRAPH_AES_KEY {flaw}")
    from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

    try:
        return EncryptedSerializer.from_pycryptodome_aes(key=key.encode()).cipher
    except ImportError as error:
        raise StoreMisconfigured(
            "LANGGRAPH_AES_KEY needs pycryptodome: pip install 'everturn[encryption]'"
        ) from error
