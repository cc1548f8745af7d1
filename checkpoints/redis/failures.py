"""Errors of redis-py, translated into what the caller should do next."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as redis

from everturn.checkpoints.errors import (
    CheckpointsError,
    StoreMisconfigured,
    StoreUnavailable,
    ValueRefused,
)

# What a call can fail with: not all that redis-py raises is a RedisError.
CALL_FAILED = (redis.RedisError, redis.RedisClusterException, OSError)

_LOGIN = "check user and password in the URL (redis://user:password@host)."
_TOO_LARGE = "exceeds maximum allowed size"
_A_CLUSTER = "This Redis is a node of a cluster: use redis+cluster://host:port."
_ADVICE = {
    "NOAUTH": f"Redis wants a login: {_LOGIN}",
    "WRONGPASS": f"Redis refused the login: {_LOGIN}",
    "NOPERM": "The Redis user lacks rights: on the checkpointer's keys it needs +@read +@write "
    "+@keyspace +@scripting, and +info.",
    "OOM": "Redis has reached maxmemory: raise it, let threads expire (ttl), keep fewer "
    "checkpoints (keep, prune) or choose an eviction policy.",
    "READONLY": "This Redis is a read-only replica: give the primary's address.",
    "MISCONF": "Redis cannot write to its disk: see its log.",
    "MOVED": _A_CLUSTER,
    "CROSSSLOT": _A_CLUSTER,
    "no cluster": "This Redis is no node of a cluster: use redis://host:port.",
    "no Redis": "The server does not speak the Redis protocol: check host, port and scheme "
    "(rediss:// if it expects TLS).",
    "not trusted": "The TLS certificate of Redis is not trusted: name the authority that signed it "
    "in the URL (?ssl_ca_certs=/path/ca.pem) and use a host that the certificate names.",
    "no TLS": "TLS with Redis failed: check that the port is its TLS port and, if it wants a "
    "certificate of its clients, name one in the URL (?ssl_certfile=…&ssl_keyfile=…).",
}
_HEALS = {"OOM", "MISCONF"}  # somebody makes room; meanwhile those that wait, wait
_PASSING = {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN"}
# Redis 6.2 wraps the error of a command in a script: "Error running script (…): -OOM …".
_WRAPPED_CODE = re.compile(r"(?:^| -)([A-Z]{3,})\b")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn what the client raises into StoreUnavailable or StoreMisconfigured."""
    try:
        yield
    except CALL_FAILED as error:
        raise translate(error, served=True) from error


def hangs(error: BaseException | None) -> bool:
    """Whether the server was silent: asking again would take as long. So may a greeting end."""
    return isinstance(error, redis.TimeoutError) or (
        isinstance(error, redis.ConnectionError) and isinstance(error.__cause__, redis.TimeoutError)
    )


def translate(error: Exception, *, served: bool) -> CheckpointsError:
    """The error to raise for one of redis-py; `served` says whether the server has obeyed before.

    A read-only server that never took a write is a replica in the URL. One that did is a primary
    that was replaced a moment ago: trying again reaches its successor. One that is full may have
    room again.
    """
    # redis-py wraps what a server says to a new connection: once, or twice for a cluster.
    while isinstance(error.__cause__, redis.RedisError | redis.RedisClusterException):
        error = error.__cause__
    if isinstance(error, redis.DataError) or _TOO_LARGE in str(error):
        return ValueRefused(f"Redis cannot take a value: {error}")
    code = _tls_code(error, served=served) or _code(error)
    if code == "READONLY" and served:
        return StoreUnavailable("Redis is read-only since a moment ago: it is failing over.")
    if code in _HEALS and served:
        return StoreUnavailable(f"{_ADVICE[code]} (It said: {error})")
    if advice := _ADVICE.get(code):
        return StoreMisconfigured(f"{advice} (It said: {error})")
    if isinstance(error, redis.ResponseError) and code not in _PASSING:
        return StoreMisconfigured(f"Redis refused a command of the checkpointer: {error}")
    said = f"Redis does not answer: {error}"
    if not served and isinstance(_reason(error), ConnectionResetError):
        said += (
            " (If it expects TLS, the URL begins with rediss://; if it wants a certificate of its "
        )
        said += "clients too, name one: ?ssl_certfile=…&ssl_keyfile=….)"
    return StoreUnavailable(said)


def _tls_code(error: Exception, *, served: bool) -> str | None:
    """What is wrong with TLS. Where it has worked before, a broken connection is just that."""
    reason = _reason(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "not trusted"
    return "no TLS" if isinstance(reason, ssl.SSLError) and not served else None


def _reason(error: Exception) -> BaseException | None:
    """What redis-py caught before it raised this."""
    return error.__cause__ or error.__context__


def _code(error: Exception) -> str:
    if isinstance(error, redis.InvalidResponse):
        return "no Redis"
    if "Cluster mode is not enabled" in str(error):
        return "no cluster"
    if isinstance(error, redis.AuthenticationError | redis.AuthenticationWrongNumberOfArgsError):
        return "WRONGPASS"
    code = str(getattr(error, "status_code", None) or "ERR")
    if code == "ERR" and (wrapped := _WRAPPED_CODE.search(str(error))):
        return wrapped[1]
    return code
