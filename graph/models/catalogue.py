"""The models a caller can choose from, what is known of them, and which of them fit a run."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from everturn.graph.context import Context
from everturn.graph.errors import NoModelFits, UnknownModel
from everturn.graph.models.blocks import MEDIA, PLURALS, Medium
from everturn.graph.models.breaker import Vitals
from everturn.graph.models.circuits import FREE, KEY, PAID, media_of, tools_of
from everturn.graph.offline.filling import can_fill

OFFLINE = "offline"
_MAX_MISFITS = 5
_NO_SCHEMA = "writes by rule, and cannot fill this response_schema"
_MAX_NAME = 200
_MAX_CONTEXT = 2**40
"""Tokens; whole numbers in JSON have no end."""


@dataclass(frozen=True, slots=True)
class Model:
    """One entry: what is known of a model before it is asked. `None` is unknown."""

    name: str
    tools: bool = True
    """Takes tool schemas. Assumed of a model nothing else is known of."""
    context: int | None = None
    """Tokens it reads, at most."""
    prices: tuple[float, float] | None = None
    """US dollars a million tokens, of those read and those written."""
    parameters: frozenset[str] | None = None
    """The names of the parameters it takes, where the provider lists them."""
    lacks: frozenset[Medium] = frozenset()
    """What it takes none of, pictures say. What nothing is known of is assumed to be taken."""

    @property
    def free(self) -> bool:
        """Costs nothing: the offline model, and what OpenRouter's suffix marks."""
        return self.name == OFFLINE or self.name.endswith(":free")

    @property
    def price(self) -> float | None:
        """US dollars a million tokens, of those read or those written, whichever cost more."""
        return max(self.prices) if self.prices else None

    def cost(self, read: int, written: int) -> float:
        """US dollars of so many tokens; 0 where no price is known."""
        prices = (0.0, 0.0) if self.free or self.prices is None else self.prices
        return (read * prices[0] + written * prices[1]) / 1e6

    def takes(self, medium: Medium) -> bool:
        """Say whether it takes pictures, say, as far as is known; the offline model takes none."""
        return self.name != OFFLINE and medium not in self.lacks

    def circuits(self, *, tools: bool, media: Collection[Medium] = ()) -> list[str]:
        """Name the circuits that must be closed for it to be asked with `tools` and `media`."""
        if self.name == OFFLINE:
            return []
        account = [KEY, FREE if self.free else PAID]
        abilities = [tools_of(self.name)] if tools else []
        abilities += [media_of(self.name, medium) for medium in media]
        return [*account, self.name, *abilities]


SNAPSHOT = (
    # What OpenRouter's pages say of the default chain, until it has been asked.
    Model("deepseek/deepseek-chat-v3-0324:free", context=163_840, prices=(0.0, 0.0)),
    Model("google/gemini-2.0-flash-exp:free", context=1_048_576, prices=(0.0, 0.0)),
    Model("qwen/qwen3-235b-a22b-07-25:free", context=262_144, prices=(0.0, 0.0)),
)


class Catalogue:
    """The configured chain, in order, the offline model behind it, and all the provider lists."""

    def __init__(self, chain: Sequence[str]) -> None:
        self._chain = list(chain)
        self._listed = {model.name: model for model in SNAPSHOT if model.name in chain}

    @property
    def names(self) -> list[str]:
        """The configured names, in the order of the chain, and the offline model's."""
        return [*self._chain, OFFLINE]

    @property
    def models(self) -> list[Model]:
        """Every model a caller may name: the configured ones first, then what is listed."""
        return [self[name] for name in dict.fromkeys([*self.names, *self._listed])]

    @property
    def listed(self) -> list[str]:
        """The names that the provider lists, once it was asked."""
        return list(self._listed)

    def __getitem__(self, name: str) -> Model:
        """Return what is known of a model; raises UnknownModel."""
        if name in self._listed:
            return self._listed[name]
        if name in self._chain or name == OFFLINE:
            return Model(name)
        raise UnknownModel(f"There is no model {name!r}; there are: {', '.join(self.names)}.")

    def __contains__(self, name: str) -> bool:
        """Say whether a caller may name a model."""
        return name in self._listed or name in self.names

    def parameters(self, name: str) -> frozenset[str] | None:
        """Return the parameters that the provider lists for a model; `None`: it lists none."""
        return self._listed[name].parameters if name in self._listed else None

    def update(self, listed: Iterable[Mapping[str, Any]]) -> None:
        """Take over what the provider's `GET /models` lists, in place of what was known.

        Shape: https://openrouter.ai/docs/api-reference/list-available-models. Others list ids only.
        """
        models = [_model(entry) for entry in listed if _is_entry(entry)]
        self._listed = {model.name: model for model in models}

    def candidates(
        self,
        context: Context,
        *,
        require_tools: bool,
        vitals: Mapping[str, Vitals],
        media: Collection[Medium] = (),
    ) -> list[Model]:
        """List the models to ask, the first choice first, in a run that shows them `media`.

        Named models come first whatever is preferred, and must fit like the others. Without
        fallback there is one: of those that are named, or else of the chain. The list is empty
        where only `require_tools`, the graph's own need, leaves no model.

        Raises:
            UnknownModel: the context names a model that is not here.
            NoModelFits: the context's own wishes, or the `media`, leave no model.
        """
        wanted = [context.model] if isinstance(context.model, str) else context.model or []
        named = [self[name] for name in dict.fromkeys(wanted)]
        chain = [self[name] for name in self._chain or [OFFLINE]]
        rest = [model for model in chain if model not in named]
        rest = sorted(rest, key=_preference(context, vitals))
        models = [*named, *rest] if context.use_fallback or not named else named
        misfits = {model.name: _misfit(model, context, media) for model in models}
        wanted_ones = [model for model in models if not misfits[model.name]]
        if not wanted_ones:
            raise NoModelFits(_told(misfits))
        fitting = [model for model in wanted_ones if model.tools or not require_tools]
        return fitting if context.use_fallback else fitting[:1]


def _misfit(model: Model, context: Context, media: Collection[Medium]) -> str:
    """Say which wish a model does not fit; what is unknown of it does not fit."""
    if model.name == OFFLINE:
        schema = context.response_schema
        return "" if schema is None or can_fill(schema) else _NO_SCHEMA
    price = 0.0 if model.free else model.price
    most, least = context.max_price, context.min_context
    misfits = (
        (context.require_tools and not model.tools, "takes no tools (require_tools)"),
        (context.free_only and not model.free, "is not free (free_only)"),
        (most is not None and price is None, "has no known price (max_price)"),
        (most is not None and (price or 0) > most, f"costs ${price} a million tokens (max_price)"),
        (
            least is not None and model.context is None,
            "has no known context length (min_context)",
        ),
        (
            least is not None and (model.context or 0) < least,
            f"reads {model.context} tokens (min_context)",
        ),
        *((medium in model.lacks, f"takes no {PLURALS[medium]}") for medium in sorted(media)),
    )
    return next((said for wrong, said in misfits if wrong), "")


def _told(misfits: Mapping[str, str]) -> str:
    each = [f"{name} {misfit}" for name, misfit in list(misfits.items())[:_MAX_MISFITS]]
    if len(misfits) > _MAX_MISFITS:
        each.append(f"{len(misfits) - _MAX_MISFITS} more do not fit either")
    return f"No model fits what was asked for: {'; '.join(each)}. Ask for less, or name another."


def _preference(context: Context, vitals: Mapping[str, Vitals]) -> Callable[[Model], float]:
    """Order by a number, the smaller the better; equals keep the order of the chain."""
    unknown = Vitals()
    match context.prefer:
        case "cheapest":
            return lambda m: 0.0 if m.free else float("inf") if m.price is None else m.price
        case "fastest":
            # One that was never measured goes first: else it never would be.
            return lambda m: vitals.get(m.name, unknown).latency or 0.0
        case "health":
            return lambda m: round(vitals.get(m.name, unknown).failing, 1)
        case _:
            return lambda m: 0.0


def _is_entry(entry: object) -> bool:
    """Whether an entry names a model, by a name that can be shown and asked for."""
    name = entry.get("id") if isinstance(entry, Mapping) else None
    return isinstance(name, str) and 0 < len(name) <= _MAX_NAME and name.isprintable()


def _model(entry: Mapping[str, Any]) -> Model:
    parameters = entry.get("supported_parameters")
    context = entry.get("context_length")
    return Model(
        entry["id"],
        tools="tools" in parameters if isinstance(parameters, list) else True,
        context=context if isinstance(context, int) and 0 < context < _MAX_CONTEXT else None,
        prices=_prices(entry.get("pricing")),
        parameters=frozenset(map(str, parameters)) if isinstance(parameters, list) else None,
        lacks=_lacks(entry.get("architecture")),
    )


def _lacks(architecture: object) -> frozenset[Medium]:
    """Read what a model takes none of.

    Files are taken by all: OpenRouter reads a PDF for a model that cannot, see
    https://openrouter.ai/docs/features/multimodal/pdfs.
    """
    listed = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(medium for medium in MEDIA if medium not in [*listed, "file"])


def _prices(pricing: object) -> tuple[float, float] | None:
    """Prices come as strings, in US dollars a token; a negative one means that it varies."""
    if not isinstance(pricing, dict):
        return None
    try:
        prices = float(pricing["prompt"]) * 1e6, float(pricing["completion"]) * 1e6
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return prices if min(prices) >= 0 and isfinite(max(prices)) else None
