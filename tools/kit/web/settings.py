"""What the tools need to know about the world, read from the environment and `.env`."""

from importlib.util import find_spec
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from everturn.tools.kit.lists import listed

CommaList = Annotated[list[str], NoDecode]


class WebSettings(BaseSettings):
    """Which services the tools ask, how long they wait, and what pages they may fetch.

    The addresses of services are the operator's own choice, so they may be on this machine; those
    of pages are a model's, and are held to the rules of `addresses`.
    """

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    tools_offline: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Weather and search: auto gives marked sample data when no service answers, "
        "always gives it without asking one, never gives an error instead.",
    )
    web_timeout: float = Field(
        default=6.0, gt=0, description="Seconds a service has for one whole answer to a tool."
    )
    web_connect_timeout: float = Field(
        default=1.5, gt=0, description="Seconds to find and reach a host; two thirds for its name."
    )
    user_agent: str = Field(
        default="Everturn (self-hosted LLM agent service)",
        pattern=r"^[ -~]+$",
        description="How tools introduce themselves; Wikimedia asks for a contact address in it.",
    )
    open_meteo_url: HttpUrl = Field(
        default=HttpUrl("https://api.open-meteo.com"), description="Open-Meteo, for the weather."
    )
    open_meteo_geocoding_url: HttpUrl = Field(
        default=HttpUrl("https://geocoding-api.open-meteo.com"),
        description="Open-Meteo, for places.",
    )
    open_meteo_api_key: SecretStr | None = Field(
        default=None, description="Open-Meteo's key for commercial use."
    )
    wttr_url: HttpUrl = Field(
        default=HttpUrl("https://wttr.in"), description="wttr.in, asked when Open-Meteo fails."
    )
    wikipedia_url: str = Field(
        default="https://{language}.wikipedia.org",
        pattern=r"^https?://[^@]+$",
        description="Wikipedia, for searches; {language} is the language of the question.",
    )
    searxng_url: HttpUrl | None = Field(
        default=None, description="A SearXNG with the JSON format on: searches ask it first."
    )
    ddgs_engines: str | None = Field(
        default=None,
        pattern=r"^[a-z]+(, ?[a-z]+)*$",
        description="auto, or a comma list of search engines such as duckduckgo,mojeek: searches "
        "ask them through DDGS before Wikipedia (extra `ddgs`).",
    )
    fetch_allow: CommaList = Field(
        default_factory=list,
        description="Comma list of hosts; if set, pages come from these only. "
        "*.example.org stands for every host below example.org.",
    )
    fetch_deny: CommaList = Field(
        default_factory=list, description="Comma list of hosts no page comes from."
    )
    fetch_networks: CommaList = Field(
        default_factory=list,
        description="Comma list of private networks whose pages may be fetched all the same, "
        "at any port: 10.1.0.0/16.",
    )
    fetch_timeout: float = Field(default=15.0, gt=0, description="Seconds one page may take.")
    fetch_max_bytes: int = Field(
        default=2_000_000, ge=1024, description="Bytes of a page, unpacked; the rest is left."
    )

    @field_validator("fetch_allow", "fetch_deny", "fetch_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return listed(value.lower() if isinstance(value, str) else value)

    @field_validator("ddgs_engines")
    @classmethod
    def _is_installed(cls, value: str | None) -> str | None:
        if value is not None and find_spec("ddgs") is None:
            raise ValueError(
                "it needs an extra: pip install 'everturn[ddgs]' "
                "(in a clone: .venv/bin/pip install -e '.[ddgs]')"
            )
        return value

    @field_validator("fetch_networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for network in value:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"{error}; write networks like 10.1.0.0/16 or fd00::/8") from None
        return value
