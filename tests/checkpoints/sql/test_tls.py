"""PostgreSQL over TLS, its certificate checked as the files for Kubernetes say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.migrations import is_at_head
from tests.certificates import Authority
from tests.checkpoints.stores import POSTGRES, postgres_database
from tests.provider.between import TlsFront, running

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")


class PostgresFront(TlsFront):
    """Speaks TLS in front of a PostgreSQL, once a client has asked for it."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        assert request.recv(len(SSL_REQUEST)) == SSL_REQUEST
        request.sendall(b"S")
        super().finish_request(request, client_address)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def port(authority: Authority) -> Iterator[int]:
    front = PostgresFront(POSTGRES.port or 5432, authority.sign("127.0.0.1"))
    with running(front):
        yield front.server_address[1]


async def test_the_authority_of_the_environment_is_trusted_and_no_other(
    authority: Authority, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_database() as address:
        secured = address.set(drivername="postgresql", host="127.0.0.1", port=port)
        url = secured.set(query={"sslmode": "verify-full"}).render_as_string(hide_password=False)
        monkeypatch.setenv("PGSSLROOTCERT", str(authority.file))
        async with open_database(url, tmp_path) as database:
            assert await database.read(is_at_head)
        (tmp_path / "other").mkdir()
        monkeypatch.setenv("PGSSLROOTCERT", str(Authority(tmp_path / "other").file))
        with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            async with open_database(url, tmp_path):
                pass
