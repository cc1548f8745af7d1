"""Profiles must be right before what is tested with them: what they refuse and what they say."""

import json
from typing import Any

import httpx2
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.provider import KEY, FakeProvider, Offer, Reply, Request, ToolCall
from tests.provider.profiles import NAMES, load
from tests.wire import published

HEADERS = {"Authorization": f"Bearer {KEY}"}
CALL = ToolCall("weather", {"city": "Reykjavík"})
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
USER = {"role": "user", "content": "Hallo"}
WITH_TOOL = {"tools": [{"type": "function", "function": TOOL}]}


def tool(**changes: Any) -> dict[str, Any]:
    function = {key: value for key, value in {**TOOL, **changes}.items() if value is not None}
    return {"tools": [{"type": "function", "function": function}]}


def conversation(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [USER, *messages]}


def called(*ids: str, **more: Any) -> dict[str, Any]:
    function = {"name": "weather", "arguments": "{}"}
    calls = [{"id": each, "type": "function", "function": function} for each in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "rain"}


SAID = {"role": "assistant", "content": "Ja"}
OF_OPENAI: list[tuple[dict[str, Any], str]] = [
    ({"top_k": 3}, "Unrecognized request argument supplied: top_k"),
    ({"tools": []}, "too short"),
    ({"tool_choice": "auto"}, "only allowed when 'tools'"),
    ({"parallel_tool_calls": True}, "only allowed when 'tools'"),
    ({"stream": False, "stream_options": {"include_usage": True}}, "only allowed when 'stream'"),
    (tool(name="a.b"), "does not match pattern"),
    (tool(name="a" * 65), "does not match pattern"),
    (tool(parameters={"type": "object"}), "missing properties"),
    (conversation(called("a"), USER), "did not have response messages: a"),
    (conversation(called("a", "b"), result("a")), "did not have response messages: b"),
    (conversation(result("a")), "must be a response"),
    (conversation(called("a" * 41), result("a" * 41)), "string too long"),
    (conversation({**SAID, "reasoning_content": "Hm"}), "messages[1].reasoning_content"),
]
REFUSALS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "openrouter": [({"tools": []}, "too short"), (conversation(called("a")), "No tool output")],
    "openai": [*OF_OPENAI, ({"max_tokens": 1, "max_completion_tokens": 1}, "at the same time")],
    "openai_reasoning": [
        *OF_OPENAI,
        ({"max_tokens": 1}, "Use 'max_completion_tokens' instead"),
        ({"temperature": 0.7}, "does not support 0.7"),
        ({"top_p": 0.5}, "does not support 0.5"),
    ],
    "azure": OF_OPENAI,
    "mistral": [
        ({"max_completion_tokens": 1}, "extra_forbidden"),
        ({"stream_options": {"include_usage": True}}, "extra_forbidden"),
        ({"tools": []}, "extra_forbidden"),
        (conversation({**SAID, "reasoning_content": "Hm"}, USER), '"assistant"'),
        (conversation(SAID), "Expected last role"),
        (conversation({**SAID, "content": ""}, USER), "either content or tool_calls"),
        (conversation(called("call_1"), result("call_1")), "length of 9"),
        (conversation(called("a23456789"), result("a23456789"), USER), "after role 'tool'"),
    ],
    "deepseek": [({"tools": []}, "too short"), (conversation(called("a"), USER), "insufficient")],
    "gemini": [
        ({"top_k": 3}, 'Unknown name \\"top_k\\"'),
        (conversation(called("a", "b"), result("a")), "number of function response parts"),
        (conversation({**SAID, "content": ""}), "must not be empty"),
    ],
    "anthropic": [
        ({"n": 2}, "must be exactly 1"),
        (tool(parameters={}), "input_schema.type"),
        (tool(name="a.b"), "match pattern"),
        (conversation(called("a"), USER), "without `tool_result` blocks"),
        (conversation(SAID), "prefill"),
    ],
    "groq": [
        (conversation({**SAID, "reasoning_content": "Hm"}), "'reasoning_content' is unsupported"),
        ({"logprobs": True}, "logprobs"),
    ],
    "databricks": [({"stream_options": {"include_usage": True}}, "unknown field")],
    "litellm": [({"temperature": 0.7}, "may only be set to 1"), ({"tools": []}, "at least 1")],
    "vllm": [
        ({"max_completion_tokens": 1}, "extra_forbidden"),
        (conversation(USER), "must alternate"),
        (conversation({"role": "system", "content": "Be brief."}), "must alternate"),
        (conversation(SAID, SAID), "must alternate"),
    ],
    "sglang": [(conversation({"role": "system", "content": "Be brief."}), "at the beginning")],
    "llamacpp": [(conversation(USER), "must alternate")],
    "ollama": [(tool(parameters={}), "must be an object")],
    "lmstudio": [
        (
            {**WITH_TOOL, "tool_choice": {"type": "function", "function": {"name": "weather"}}},
            "Invalid tool_choice type",
        ),
    ],
    "gateway": [],
}
TAKEN: list[dict[str, Any]] = [
    {},
    WITH_TOOL,
    conversation(SAID, USER),
    {**conversation(called("a23456789"), result("a23456789")), **WITH_TOOL},
]


def ask(provider: FakeProvider, body: dict[str, Any]) -> httpx2.Response:
    whole = {"model": "m", "stream": True, "messages": [USER], **body}
    url = f"{provider.url}/chat/completions"
    return httpx2.post(url, json=whole, headers=HEADERS, verify=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_refuses_what_its_provider_refuses_and_takes_the_rest(name: str) -> None:
    with FakeProvider(profile=name) as provider:
        for body, says in REFUSALS[name]:
            refused = ask(provider, body)
            assert refused.status_code in ({500} if name == "llamacpp" else {400, 422}), body
            assert says in refused.text
            assert provider.requests[-1].served is None
        for body in TAKEN:
            assert ask(provider, body).status_code == 200, body
            published.check(provider.requests[-1].body)


WANTED = {
    "openrouter": "reasoning_details",
    "deepseek": "reasoning_content",
    "litellm": "thinking_blocks",
}


@pytest.mark.parametrize("name", [*WANTED, "gemini"])
def test_what_came_with_a_call_must_come_back_with_it_until_the_next_turn(name: str) -> None:
    with FakeProvider(profile=name) as provider:
        provider.script("m", Reply(tool_calls=[CALL], reasoning="Hm."), "Rain.")
        whole = ask(provider, {**WITH_TOOL, "stream": False}).json()["choices"][0]["message"]
        (call,) = whole["tool_calls"]
        bare = {key: call[key] for key in ("id", "type", "function")}
        answered = result(call["id"])
        without = {"role": "assistant", "content": None, "tool_calls": [bare]}
        assert ask(provider, conversation(without, answered)).status_code == 400
        assert ask(provider, conversation(whole, answered)).status_code == 200
        assert ask(provider, conversation(without, answered, SAID, USER)).status_code == 200


@pytest.mark.parametrize("name", ["openai", "openai_reasoning", "mistral", "deepseek", "groq"])
def test_answers_are_of_the_types_that_openai_publishes(name: str) -> None:
    """Of those who keep to them; others are known to differ, which is why they have a profile."""
    profile = load(name)
    reply = Reply("Grüße 😀", [CALL, CALL])
    asked = {"messages": [USER], "stream": True, "stream_options": {"include_usage": True}}
    request = Request("m", asked, {}, 0)
    ChatCompletion.model_validate(profile.completion(request, reply, Offer("m")))
    chunks = [
        *profile.opening(request),
        *(profile.chunk(request, {"index": 0, "delta": d}) for d in profile.deltas(request, reply)),
        *profile.closing(request, reply, Offer("m")),
    ]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)


def test_packed_bodies_can_be_read_and_are_packed_only_for_those_who_take_them() -> None:
    with FakeProvider(profile="databricks") as provider:
        provider.script("m", Reply("Grüße 😀"))
        body = {"model": "m", "messages": [USER]}
        url = f"{provider.url}/chat/completions"
        packed = httpx2.post(url, json=body, headers=HEADERS)
        plain = httpx2.post(url, json=body, headers={**HEADERS, "Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json()["choices"] == json.loads(plain.content)["choices"]


def test_the_pictures_of_a_conversation() -> None:
    blocks = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    request = Request("m", {"messages": [USER, {"role": "user", "content": blocks}]}, {}, 0)
    assert request.pictures == ["data:image/png;base64,AA=="]


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(ValueError, match="no such profile: acme"):
        FakeProvider(profile="acme")
