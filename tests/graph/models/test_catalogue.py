"""What is known of models, and which of them fit."""

from typing import Any

import pytest

from everturn.graph.context import Context
from everturn.graph.errors import NoModelFits, UnknownModel
from everturn.graph.models.blocks import Medium
from everturn.graph.models.breaker import Vitals
from everturn.graph.models.catalogue import Catalogue, Model
from everturn.graph.models.settings import DEFAULT_CHAIN


def _names(catalogue: Catalogue, *, tools: bool = False, **choices: Any) -> list[str]:
    context = Context.model_validate(choices)
    fitting = catalogue.candidates(context, require_tools=tools, vitals={})
    return [model.name for model in fitting]


def _pricing(prompt: str, completion: str) -> dict[str, str]:
    return {"prompt": prompt, "completion": completion}


def test_the_default_chain_is_known_before_anybody_is_asked() -> None:
    catalogue = Catalogue(DEFAULT_CHAIN)
    assert _names(catalogue) == DEFAULT_CHAIN
    assert _names(catalogue, tools=True, free_only=True, max_price=0) == DEFAULT_CHAIN
    assert _names(catalogue, min_context=200_000) == DEFAULT_CHAIN[1:]


def test_a_list_of_ids_alone_says_that_they_exist() -> None:
    catalogue = Catalogue(["llama"])
    catalogue.update([{"id": "llama"}, {"id": "qwen"}, {"object": "model"}])
    assert catalogue.models == [Model("llama"), Model("offline"), Model("qwen")]
    assert _names(catalogue, model="qwen", tools=True) == ["qwen", "llama"]


def test_what_is_unknown_does_not_fit_a_wish_that_speaks_of_it() -> None:
    catalogue = Catalogue(["m"])
    assert _names(catalogue) == ["m"]
    with pytest.raises(NoModelFits, match=r"m has no known price \(max_price\)"):
        _names(catalogue, max_price=100)
    with pytest.raises(NoModelFits, match=r"m has no known context length \(min_context\)"):
        _names(catalogue, min_context=1)


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        (_pricing("0.000001", "0.000003"), 3.0),
        (_pricing("0", "0"), 0.0),
        (_pricing("-1", "-1"), None),  # it varies
        (_pricing("free", "free"), None),
        (_pricing("nan", "0"), None),
        (_pricing("0", "1e999"), None),
        ({"prompt": 10**400, "completion": 1}, None),
        ({"prompt": "1"}, None),
        (None, None),
    ],
)
def test_a_price_is_dollars_a_million_tokens(pricing: object, price: float | None) -> None:
    catalogue = Catalogue([])
    catalogue.update([{"id": "m", "pricing": pricing}])
    assert catalogue["m"].price == (None if price is None else pytest.approx(price))


@pytest.mark.parametrize(
    "entry",
    [
        *(None, 7, [], "m", {"id": 7}, {"id": ""}, {"id": "x" * 10_000}, {"id": "a\nb"}),
        *({"id": "\ud83d"}, {"id": "\0"}, {"id": "\u202em"}),
    ],
)
def test_what_names_no_model_is_passed_over(entry: Any) -> None:
    catalogue = Catalogue(["m"])
    catalogue.update([entry, {"id": "m", "context_length": 2**70}])
    assert catalogue.models == [Model("m"), Model("offline")]


@pytest.mark.parametrize("odd", [7, "x", [[]], {"a": 1}, [{}], None, True, float("inf")])
@pytest.mark.parametrize(
    "name", ["context_length", "pricing", "supported_parameters", "architecture"]
)
def test_what_is_odd_about_a_model_is_unknown(name: str, odd: Any) -> None:
    catalogue = Catalogue(["m"])
    catalogue.update([{"id": "m", name: odd}])
    catalogue.update([{"id": "m", "architecture": {"input_modalities": [odd]}}])
    assert catalogue.listed == ["m"]


def test_a_named_model_must_fit_as_well() -> None:
    catalogue = Catalogue(["paid", "gift:free"])
    assert _names(catalogue, model="paid", free_only=True) == ["gift:free"]
    with pytest.raises(NoModelFits, match=r"paid is not free \(free_only\)"):
        _names(catalogue, model="paid", free_only=True, use_fallback=False)


def test_without_fallback_it_is_the_first_that_fits() -> None:
    catalogue = Catalogue(["paid", "gift:free", "other:free"])
    assert _names(catalogue, free_only=True, use_fallback=False) == ["gift:free"]
    named: dict[str, Any] = {"model": ["paid", "other:free"], "use_fallback": False}
    assert _names(catalogue, free_only=True, **named) == ["other:free"]


def test_what_a_graph_needs_is_no_wish_of_the_callers() -> None:
    catalogue = Catalogue(["m"])
    catalogue.update([{"id": "m", "supported_parameters": ["max_tokens"]}])
    assert _names(catalogue, tools=True) == []
    with pytest.raises(NoModelFits, match=r"m takes no tools \(require_tools\)"):
        _names(catalogue, require_tools=True)


def test_without_a_provider_the_offline_model_fits_every_wish() -> None:
    wishes: dict[str, Any] = {
        "require_tools": True,
        "free_only": True,
        "max_price": 0,
        "min_context": 1_000_000,
    }
    assert _names(Catalogue([]), **wishes) == ["offline"]


def test_of_many_that_do_not_fit_some_are_named() -> None:
    catalogue = Catalogue([f"m{number}" for number in range(9)])
    with pytest.raises(NoModelFits, match="4 more do not fit either"):
        _names(catalogue, free_only=True)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownModel, match="there are: m, offline"):
        _names(Catalogue(["m"]), model=["m", "n"])


def test_preferences_keep_the_order_of_equals() -> None:
    catalogue = Catalogue(["a", "b", "c"])
    vitals = {"a": Vitals(latency=2.0, failing=0.5), "b": Vitals(latency=1.0, failing=0.01)}

    def order(prefer: str) -> list[str]:
        context = Context.model_validate({"prefer": prefer})
        models = catalogue.candidates(context, require_tools=False, vitals=vitals)
        return [model.name for model in models]

    assert order("order") == ["a", "b", "c"]
    assert order("fastest") == ["c", "b", "a"]  # c was never measured
    assert order("health") == ["b", "c", "a"]
    assert order("cheapest") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("architecture", "lacks"),
    [
        ({"input_modalities": ["text"]}, {"image", "audio", "video"}),
        ({"input_modalities": ["text", "image", "file"]}, {"audio", "video"}),
        ({"input_modalities": None}, set()),
        ({}, set()),
        (None, set()),
        ("text->text", set()),
    ],
)
def test_what_a_model_takes_beside_text_is_read(architecture: object, lacks: set[str]) -> None:
    catalogue = Catalogue([])
    catalogue.update([{"id": "m", "architecture": architecture}])
    assert catalogue["m"].lacks == lacks


def test_a_model_that_takes_no_pictures_does_not_fit_a_turn_that_shows_some() -> None:
    catalogue = Catalogue(["blind", "seeing", "unknown"])
    modalities = {"blind": ["text"], "seeing": ["text", "image"]}
    catalogue.update(
        {"id": name, "architecture": {"input_modalities": found}}
        for name, found in modalities.items()
    )

    def fitting(*media: Medium, **choices: Any) -> list[str]:
        context = Context.model_validate(choices)
        found = catalogue.candidates(context, require_tools=False, vitals={}, media=media)
        return [model.name for model in found]

    assert fitting() == ["blind", "seeing", "unknown"]
    assert fitting("image") == fitting("image", model="blind") == ["seeing", "unknown"]
    assert fitting("file") == ["blind", "seeing", "unknown"]  # OpenRouter reads them to any model
    with pytest.raises(NoModelFits, match="blind takes no pictures"):
        fitting("image", model="blind", use_fallback=False)
    assert fitting("image", model="offline", use_fallback=False) == ["offline"]
