"""The page of a service: what is at `/`, what is below `/page/`, and what they know of it."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from everturn import __version__
from everturn.server.access.sign_in import SignInAtProvider
from everturn.server.api.page import files
from everturn.server.api.page.accept import prefers_html
from everturn.server.api.page.answer import answer, policy
from everturn.server.api.page.config import OAuth, PageConfig, SignIn
from everturn.server.api.page.files import INDEX, Files


class Page:
    """What is served of it, and to whom."""

    def __init__(self, mount_prefix: str) -> None:
        self.sign_in: SignInAtProvider | None = None
        """At an identity provider, where there is one that knows the page."""
        self.guarded = False
        """Whether callers have to sign in."""
        self._files = Files(files.FOLDER)
        self._mount_prefix = mount_prefix

    async def at_root(self, request: Request) -> Response | None:
        """Return the page to a browser; None where something else is wanted."""
        if not prefers_html(request.headers.get("accept", "")):
            return None
        file = await self._files.get(INDEX)
        if file is None:
            return None
        return answer(request, file, policy(await self._provider()), vary="Accept")

    async def part(self, request: Request, name: str) -> Response | None:
        """Return a part of the page; None where there is none."""
        # The page itself names its parts relative to `/`, and is nowhere else.
        file = None if name == INDEX else await self._files.get(name)
        return None if file is None else answer(request, file, policy(None))

    async def config(self) -> PageConfig:
        """Return what the page has to know first."""
        auth = SignIn(api_key=True, oauth=await self._oauth()) if self.guarded else False
        return PageConfig(version=__version__, mount_prefix=self._mount_prefix, auth=auth)

    async def _oauth(self) -> OAuth | None:
        endpoints = await self.sign_in.endpoints() if self.sign_in else None
        return OAuth(**endpoints._asdict()) if endpoints else None

    async def _provider(self) -> str | None:
        """Return the origin at which the page gets its token, where people sign in elsewhere."""
        endpoints = await self.sign_in.endpoints() if self.sign_in else None
        if endpoints is None:
            return None
        parts = urlsplit(endpoints.token_endpoint)
        return f"{parts.scheme}://{parts.netloc}"
