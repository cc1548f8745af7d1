"""What a project says of webhooks: which addresses may be called, and which headers are sent."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from everturn.server.errors import ConfigError, InvalidInput
from everturn.server.projects.config import WebhookUrl
from everturn.server.projects.project import Project

_TEMPLATE = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_PORTS = {"https": 443, "http": 80}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """The rules of `webhooks` and `http.disable_webhooks`; without any, all is as it was."""

    url: WebhookUrl = field(default_factory=WebhookUrl)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with each webhook, besides the service's own."""
    disabled: bool = False
    """Runs run, and nothing is sent."""

    def check(self, url: str) -> None:
        """Refuse an address that the project does not allow.

        Raises:
            InvalidInput: saying which rule it breaks.
        """
        rules = self.url
        if rules.max_url_length is not None and len(url) > rules.max_url_length:
            raise _refused(f"is longer than {rules.max_url_length} characters")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            raise _refused("is no address") from None
        relative = url.startswith("/") and not url.startswith("//")
        if rules.disable_loopback and (relative or host in _LOOPBACK):
            raise _refused("leads to this service: webhooks.url.disable_loopback is set")
        if relative:
            return
        if rules.require_https and parts.scheme != "https":
            raise _refused("must begin with https://")
        if rules.allowed_domains and not any(_fits(host, each) for each in rules.allowed_domains):
            raise _refused(f"{host!r} is none of {', '.join(rules.allowed_domains)}")
        if rules.allowed_ports and port not in rules.allowed_ports:
            raise _refused(f"port {port} is none of {', '.join(map(str, rules.allowed_ports))}")


def load_policy(project: Project) -> WebhookPolicy:
    """Read what a project says, once its environment is set.

    Raises:
        ConfigError: a header names a variable that it may not name, or that is not set.
    """
    said = project.keys.webhooks
    headers = {name: _filled(text, name, project) for name, text in (said.headers or {}).items()}
    return WebhookPolicy(said.url or WebhookUrl(), headers, project.keys.http.disable_webhooks)


def _filled(text: str, header: str, project: Project) -> str:
    return _TEMPLATE.sub(lambda found: _value(found[1], header, project), text)


def _value(variable: str, header: str, project: Project) -> str:
    where, prefix = f"{project.name}: webhooks.headers.{header}", project.keys.webhooks.env_prefix
    if not variable.startswith(prefix):
        raise ConfigError(
            f"{where}: {variable} does not begin with {prefix}: rename it, or set "
            "webhooks.env_prefix."
        )
    value = os.environ.get(variable)
    if value is None:
        raise ConfigError(f"{where}: the environment has no {variable}.")
    return value


def _fits(host: str, domain: str) -> bool:
    domain = domain.lower()
    return host.endswith(domain[1:]) if domain.startswith("*.") else host == domain


def _refused(reason: str) -> InvalidInput:
    return InvalidInput(f"webhook: {reason}.")
