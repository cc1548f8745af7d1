from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from everturn.tools.kit.web import Web, open_web
from tests.tools.world import World, settings


@pytest.fixture
def world() -> Iterator[World]:
    """A server of the test's own."""
    with World() as running:
        yield running


@pytest_asyncio.fixture
async def web(world: World) -> AsyncIterator[Web]:
    """A way out whose services are all at `world`."""
    async with open_web(settings(world)) as opened:
        yield opened
