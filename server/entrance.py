"""Who may enter: whom a project's `auth` lets in, who has a key of ours, or everybody.

Decided at the start. Where the service listens beyond this machine, nobody enters unseen unless
the settings say so.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog import get_logger

from everturn.checkpoints.sql.api_keys import ApiKeyTable, key_used
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import GroupCommit
from everturn.server.access.credentials import Credentials
from everturn.server.access.keys import KeyCredentials
from everturn.server.access.oauth import Fetch, open_tokens, security_schemes
from everturn.server.access.owners import owner_rules
from everturn.server.address import is_loopback
from everturn.server.api.http.scopes import scopes_by_path
from everturn.server.errors import ConfigError
from everturn.server.projects.auth import ProjectAuth
from everturn.server.projects.own_auth import own_auth
from everturn.server.projects.project import Project
from everturn.server.settings import Settings

log = get_logger(__name__)


class Entrance:
    """Our own `auth`, where it is on."""

    def __init__(self, settings: Settings, project: Project, *, listens: bool) -> None:
        """Decide whether it is on.

        Args:
            settings: of the service.
            project: whose own `auth` counts, if it has one.
            listens: whether clients can reach this process at all.

        Raises:
            ConfigError: of two that are named only one can count.
        """
        access, host = settings.access, settings.server.host
        self._oauth = settings.oauth
        self._demanded = access.auth == "on"
        self._beyond = host if listens and not is_loopback(host) else None
        self._credentials: list[Credentials] = []
        self.own: ProjectAuth | None = None
        """What stands in where the project has no `auth`; None where it is off."""
        if access.auth == "off" and settings.oauth.named:
            raise ConfigError(
                "EVERTURN_AUTH is off, and EVERTURN_AUTH_ISSUER or EVERTURN_AUTH_JWKS_URL names a "
                "provider of tokens, which would be asked of nobody: leave out one of them."
            )
        if project.keys.auth is not None:
            if self._demanded or settings.oauth.named:
                named = "EVERTURN_AUTH is on" if self._demanded else "a provider of tokens is named"
                raise ConfigError(
                    f"{project.name} names an `auth`, and {named}: leave out one of them, for only "
                    "one can say who may enter."
                )
        elif self._demanded or (
            access.auth == "auto" and (settings.oauth.named or not is_loopback(host))
        ):
            scope_of = scopes_by_path(open_metrics=access.open_metrics)
            schemes = security_schemes(settings.oauth)
            self.own = own_auth(self._credentials, owner_rules(), scope_of, schemes)

    @asynccontextmanager
    async def opened(
        self, database: Database, rows: GroupCommit, fetch: Fetch
    ) -> AsyncIterator[None]:
        """Let in who has a key or a token, as long as the block lasts; `fetch` asks its provider.

        Raises:
            ConfigError: nobody could enter, and nobody has said that they should not.
        """
        if self.own is not None:
            keys = ApiKeyTable(database)
            self._credentials.append(
                KeyCredentials(keys, lambda key_id: rows.post(key_used(key_id), of=key_id))
            )
            if tokens := open_tokens(self._oauth, fetch):
                self._credentials.append(tokens)
            elif not any(key.works() for key in await keys.all()):
                self._nobody_has_a_key()
        yield

    def _nobody_has_a_key(self) -> None:
        if self._beyond is not None and not self._demanded:
            raise ConfigError(
                f"{self._beyond} can be reached from other machines, and nobody has a key: make "
                "one with `everturn keys create NAME`, set EVERTURN_AUTH=on to start and make it "
                "later, or name an `auth` in langgraph.json. EVERTURN_AUTH=off serves everybody "
                "who reaches this address."
            )
        log.warning("nobody_has_a_key", advice="everturn keys create NAME")
