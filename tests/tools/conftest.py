from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import settings as hypothesis_settings

from tests.tools.world import World, settings
from tools.kit.web import Web, open_web

# A busy machine is no failure: what an expression may cost is capped by its size, not by a clock.
hypothesis_settings.register_profile("no_deadline", deadline=None)
hypothesis_settings.load_profile("no_deadline")


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
