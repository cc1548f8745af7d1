"""Pictures and files through the front door: what the provider gets, and who is asked."""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.provider import KEY, FakeProvider, Fault, Offer, Reply, Request, ToolCall
from tests.service import Client, serving

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()
PDF = base64.b64encode(b"%PDF-1.7 and so on").decode()
# As agent-chat-ui sends them: https://github.com/langchain-ai/agent-chat-ui
PICTURE = {"type": "image", "mimeType": "image/png", "data": PNG, "metadata": {"name": "cat.png"}}
DOCUMENT = {
    "type": "file",
    "mimeType": "application/pdf",
    "data": PDF,
    "metadata": {"filename": "a.pdf"},
}
SENT = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
ASKED = {"type": "text", "text": "What is this?"}
LEFT_OUT = "[picture 'cat.png' left out: not shown to this model]"


def _shows(request: Request) -> bool:
    contents = (m["content"] for m in request.messages if isinstance(m["content"], list))
    return any(part["type"] == "image_url" for content in contents for part in content)


def refuses_pictures(says: str, status: int = 400) -> Callable[[Request], Reply | Fault]:
    """Answer text, and refuse what shows a picture."""

    def step(request: Request) -> Reply | Fault:
        return Fault(status, message=says) if _shows(request) else Reply("I read text.")

    return step


class Asking:
    """A thread of a service, and the provider behind it."""

    def __init__(self, client: Client, provider: FakeProvider) -> None:
        self.client = client
        self.provider = provider
        self.thread = str(uuid4())

    def post(self, *blocks: Any, **context: Any) -> httpx.Response:
        message = {"role": "user", "content": blocks[0] if len(blocks) == 1 else list(blocks)}
        body = {"thread_id": self.thread, "input": {"messages": [message]}, "context": context}
        return self.client.post("/invoke", json=body)

    def say(self, *blocks: Any, **context: Any) -> dict[str, Any]:
        """Send a message and return the answer."""
        answered = self.post(*blocks, **context)
        assert answered.status_code == 200, answered.text
        answer: dict[str, Any] = answered.json()["messages"][-1]
        return answer

    def route(self, *blocks: Any, **context: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.say(*blocks, **context)
        found: dict[str, Any] = answer["response_metadata"]["route"]
        return found

    def sent(self) -> list[Any]:
        """What users said in the newest request to the provider."""
        messages = self.provider.requests[-1].messages
        return [message["content"] for message in messages if message["role"] == "user"]


@pytest.fixture
def asking(
    fake_provider: FakeProvider, data_dir: Path, request: pytest.FixtureRequest
) -> Iterator[Asking]:
    """A service with two models; by name, `request.param` is what the catalogue says they take."""
    takes = getattr(request, "param", {})
    for name in ("model-a", "model-b"):
        fake_provider.offer(Offer(name, input_modalities=takes.get(name)))
    fake_provider.offer(Offer("last-of-the-list"))
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "model-a,model-b"}
    with serving(data_dir, **settings) as client:
        _wait_for_catalogue(client)
        yield Asking(client, fake_provider)


def _wait_for_catalogue(client: Client) -> None:
    deadline = time.monotonic() + 60
    while "last-of-the-list" not in client.get("/api/chat/models").text:
        assert time.monotonic() < deadline
        time.sleep(0.02)


BLIND, SEEING = ("text",), ("text", "image")


def test_pictures_and_files_reach_the_provider(asking: Asking) -> None:
    asking.say(ASKED, PICTURE, DOCUMENT)
    file = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    assert asking.sent() == [[ASKED, SENT, {"type": "file", "file": file}]]
    asking.say("And now?")
    assert asking.sent()[0] == [ASKED, SENT, {"type": "file", "file": file}]
    asking.say(ASKED, {"type": "input_text", "text": "twice"})
    assert asking.sent()[-1] == "What is this?\ntwice"


def test_a_run_shows_them_too_and_refuses_at_once_what_cannot_be_sent(asking: Asking) -> None:
    def run(*content: Any) -> httpx.Response:
        messages = [{"type": "human", "content": list(content)}]
        body = {"assistant_id": "agent", "input": {"messages": messages}}
        return asking.client.post("/runs/wait", json=body)

    assert run(ASKED, PICTURE).json()["messages"][-1]["type"] == "ai"
    assert asking.sent() == [[ASKED, SENT]]
    refused = run(ASKED, {"type": "image", "url": "blob:https://chat.example/1"})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "invalid-content"
    assert refused.json()["detail"] == (
        "input.messages.0.content.1: the picture has a URL that is neither http(s): nor data:."
    )
    assert len(asking.provider.requests) == 1


def test_what_cannot_be_sent_leaves_no_trace_in_the_thread(asking: Asking) -> None:
    asking.say("hello")
    for path in ("/invoke", "/stream"):
        broken = {"type": "image", "mime_type": "image/png", "data": "no base64!"}
        messages = [{"role": "user", "content": [ASKED, broken]}]
        body = {"thread_id": asking.thread, "input": {"messages": messages}}
        refused = asking.client.post(path, json=body)
        assert (refused.status_code, refused.json()["type"]) == (422, "invalid-content")
        assert "content.1: the picture holds data that is no base64" in refused.json()["detail"]
    asking.say("go on")
    assert asking.sent() == ["hello", "go on"]


def test_what_was_stored_broken_is_named_to_the_model(asking: Asking) -> None:
    client = asking.client
    thread = client.post("/threads", json={"metadata": {"graph_id": "agent"}}).json()["thread_id"]
    broken = {"type": "human", "content": [ASKED, {"type": "image", "mime_type": "image/png"}]}
    values = {"messages": [broken, {"type": "ai", "content": "?"}]}
    edited = client.post(f"/threads/{thread}/state", json={"values": values, "as_node": "model"})
    assert edited.status_code == 200, edited.text
    body = {"assistant_id": "agent", "input": {"messages": [{"type": "human", "content": "so?"}]}}
    answered = client.post(f"/threads/{thread}/runs/wait", json=body).json()
    assert answered["messages"][-1]["type"] == "ai"
    left_out = "[left out: the picture has neither data nor a URL]"
    assert asking.sent() == [f"What is this?\n{left_out}", "so?"]


@pytest.mark.parametrize("asking", [{"model-a": BLIND, "model-b": SEEING}], indirect=True)
def test_a_model_that_is_known_to_take_no_pictures_is_not_asked(asking: Asking) -> None:
    route = asking.route(ASKED, PICTURE)
    assert (route["model"], route["tried"]) == ("model-b", [])
    assert asking.provider.calls("model-a") == 0
    # In a later turn it is, without what it cannot see.
    assert asking.route("Thank you")["model"] == "model-a"
    assert asking.sent() == [f"What is this?\n{LEFT_OUT}", "Thank you"]
    by_name = {each["name"]: each for each in asking.client.get("/api/chat/models").json()}
    assert [by_name[name]["pictures"] for name in ("model-a", "model-b", "offline")] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("asking", [{"model-a": BLIND, "model-b": BLIND}], indirect=True)
def test_where_no_model_takes_pictures_the_caller_is_told(asking: Asking) -> None:
    messages = [{"type": "human", "content": [ASKED, PICTURE]}]
    run = {"assistant_id": "agent", "input": {"messages": messages}}
    for refused in (
        asking.post(ASKED, PICTURE),
        asking.post(ASKED, PICTURE, model="model-b", use_fallback=False),
        asking.client.post("/runs/wait", json=run),
        asking.client.post("/runs", json=run),
    ):
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == "no-model-fits"
        assert "model-b takes no pictures" in refused.json()["detail"]
    assert asking.provider.calls() == 0
    asking.say("Then without")
    assert asking.sent() == ["Then without"]


def test_a_refusal_is_learned(asking: Asking) -> None:
    says = "No endpoints found that support image input"
    asking.provider.script("model-a", refuses_pictures(says, 404))
    route = asking.route(ASKED, PICTURE)
    assert route["model"] == "model-b"
    assert [attempt["failure"] for attempt in route["tried"]] == ["no_image_support"]
    assert asking.sent() == [[ASKED, SENT]]
    assert asking.route("another one", PICTURE)["tried"] == []
    assert asking.provider.calls("model-a") == 1
    assert asking.route("and text")["model"] == "model-a"
    assert asking.sent() == [
        f"What is this?\n{LEFT_OUT}",
        f"another one\n{LEFT_OUT}",
        "and text",
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_where_all_refuse_the_question_is_taken_back(asking: Asking, *, streamed: bool) -> None:
    says = "image input is not supported - hint: you may need to provide the mmproj"
    asking.provider.script("*", refuses_pictures(says, 500))
    asking.say("hello")
    for _ in range(2):  # when they are asked, and when it is known
        messages = [{"role": "user", "content": [PICTURE]}, {"role": "user", "content": "this"}]
        body = {"thread_id": asking.thread, "input": {"messages": messages}}
        if streamed:
            problem = asking.client.events("/stream", body)[-1].data
        else:
            problem = asking.client.post("/invoke", json=body).json()
        assert (problem["status"], problem["type"]) == (422, "no-model-fits")
        assert "No model that may be asked takes pictures" in problem["detail"]
    assert asking.provider.calls() == 3
    assert asking.say("Then without")["content"] == "I read text."
    assert asking.sent() == ["hello", "Then without"]


@pytest.mark.parametrize("says", ["Could not process image", "Provider returned error"])
def test_an_old_picture_that_a_provider_refuses_is_left_out(asking: Asking, says: str) -> None:
    asking.provider.script("model-a", "A cat.", refuses_pictures(says))
    assert asking.say(ASKED, PICTURE)["content"] == "A cat."
    for question in ("Thank you", "And now?"):
        route = asking.route(question)
        assert route["model"] == "model-a"
        assert len(route["tried"]) == 1
        assert asking.sent()[0] == f"What is this?\n{LEFT_OUT}"
    assert asking.provider.calls("model-b") == 0
    # A new one beside it is shown.
    assert asking.provider.calls("model-a") == 5
    asking.provider.script("model-a", Fault(400, message=says), "Two cats.")
    assert asking.say("and this?", PICTURE)["content"] == "Two cats."
    assert asking.sent()[-1] == [{"type": "text", "text": "and this?"}, SENT]
    assert asking.sent()[0] == f"What is this?\n{LEFT_OUT}"


def test_a_rival_is_not_shown_what_it_does_not_take(
    fake_provider: FakeProvider, data_dir: Path
) -> None:
    fake_provider.offer(
        Offer("slow", input_modalities=SEEING, prompt_price="0.1"),
        Offer("blind", input_modalities=BLIND, prompt_price="0.1"),
        Offer("last-of-the-list"),
    )
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "slow,blind"}
    with serving(data_dir, **settings, hedge_after=0.05) as client:
        _wait_for_catalogue(client)
        asking = Asking(client, fake_provider)
        asking.say(ASKED, PICTURE)
        assert fake_provider.calls("blind") == 0
        fake_provider.script("slow", Reply("late", first_token=5))
        assert asking.route("Thank you")["model"] == "blind"
        last = {request.model: request.messages for request in fake_provider.requests[1:]}
        assert last["slow"][1]["content"] == [ASKED, SENT]
        assert last["blind"][1]["content"] == f"What is this?\n{LEFT_OUT}"


def test_it_stays_left_out_while_the_turn_calls_tools(asking: Asking) -> None:
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "1 + 1"})])

    def then_calls(request: Request) -> Reply | Fault:
        if _shows(request):
            return Fault(400, message="Could not process image")
        return call if request.messages[-1]["role"] == "user" else Reply("Two.")

    asking.provider.script("model-a", "A cat.", then_calls)
    asking.say(ASKED, PICTURE)
    assert asking.say("How much is 1 + 1?")["content"] == "Two."
    assert asking.provider.calls("model-a") == 4


def test_a_new_picture_that_all_refuse_leaves_the_thread_as_it_was(asking: Asking) -> None:
    asking.provider.script("*", refuses_pictures("Could not process image"))
    refused = asking.post(ASKED, PICTURE)
    assert (refused.status_code, refused.json()["type"]) == (422, "request-refused")
    assert "cannot read a picture or a file" in refused.json()["detail"]
    assert asking.say("Then without")["content"] == "I read text."
    assert asking.sent() == ["Then without"]


@pytest.mark.parametrize("asking", [{"model-a": BLIND}], indirect=True)
def test_an_unanswered_picture_does_not_spoil_the_thread(asking: Asking) -> None:
    """As a run leaves it that was cancelled before its answer."""
    client = asking.client
    thread = client.post("/threads", json={"metadata": {"graph_id": "agent"}}).json()["thread_id"]
    values = {"messages": [{"type": "human", "content": [PICTURE]}]}
    client.post(f"/threads/{thread}/state", json={"values": values, "as_node": "__start__"})
    asking.provider.script("model-b", refuses_pictures("Could not process image"))
    messages = [{"role": "user", "content": "hello?"}]
    body = {"thread_id": thread, "input": {"messages": messages}}
    kinds = [client.post("/invoke", json=body).json().get("type") for _ in range(2)]
    assert kinds == ["request-refused", None]
    assert asking.sent() == ["hello?"]


def test_a_picture_that_a_tool_returns_is_named(asking: Asking) -> None:
    client = asking.client
    thread = client.post("/threads", json={"metadata": {"graph_id": "agent"}}).json()["thread_id"]
    call = {"name": "calculator", "args": {"expression": "1"}, "id": "call_1", "type": "tool_call"}
    messages = [
        {"type": "human", "content": "shoot"},
        {"type": "ai", "content": "", "tool_calls": [call]},
        {"type": "tool", "content": [PICTURE], "tool_call_id": "call_1"},
        {"type": "ai", "content": "done"},
    ]
    client.post(
        f"/threads/{thread}/state", json={"values": {"messages": messages}, "as_node": "model"}
    )
    body = {"assistant_id": "agent", "input": {"messages": [{"type": "human", "content": "so?"}]}}
    assert client.post(f"/threads/{thread}/runs/wait", json=body).status_code == 200
    results = [m["content"] for m in asking.provider.requests[-1].messages if m["role"] == "tool"]
    assert results == ["[picture 'cat.png' left out: only a message of the user can show it]"]


def test_a_thread_with_pictures_can_be_read_everywhere(asking: Asking) -> None:
    session = asking.client.post("/api/chat/session", json={}).json()["session_id"]
    asking.thread = session
    asking.say(ASKED, PICTURE)
    asking.say(PICTURE, DOCUMENT)
    asking.client.ask("and as text", session)
    shown = asking.client.get(f"/api/chat/session/{session}").json()["messages"]
    said = [message["content"] for message in shown if message["role"] == "user"]
    assert said == ["What is this?\n[image]", "[image]\n[file]", "and as text"]
    rows = asking.client.get(f"/api/chat/history/{session}").json()
    assert {row["user_message"] for row in rows} == set(said)


def test_the_offline_model_says_that_it_sees_none(data_dir: Path) -> None:
    with serving(data_dir) as client:
        thread = str(uuid4())

        def say(*content: Any) -> str:
            messages = [{"role": "user", "content": list(content)}]
            body = {"thread_id": thread, "input": {"messages": messages}}
            answered = client.post("/invoke", json=body)
            assert answered.status_code == 200, answered.text
            return str(answered.json()["messages"][-1]["content"])

        blind = "I see no pictures, files or sounds"
        assert say({"type": "text", "text": "What is 15% of 80?"}, PICTURE).startswith(blind)
        assert "12" in say({"type": "input_text", "text": "What is 15% of 80?"}, PICTURE)
        assert say(PICTURE).startswith(blind)
        recalled = say({"type": "text", "text": "What did I ask first?"})
        assert "What is 15% of 80?" in recalled
        assert blind not in recalled


def _message(client: Client, *blocks: Any, **more: Any) -> httpx.Response:
    return client.post("/api/chat/message", json={"message": list(blocks), **more})


def test_a_chat_message_shows_pictures_and_files(asking: Asking) -> None:
    asking.provider.script("*", "A cat.")
    answered = _message(asking.client, ASKED, PICTURE, DOCUMENT)
    assert answered.status_code == 200, answered.text
    file = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    assert asking.sent() == [[ASKED, SENT, {"type": "file", "file": file}]]
    session = answered.json()["session_id"]
    url = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    body = {"message": [url, ASKED], "session_id": session}
    assert asking.client.events("/api/chat/message/stream", body)[-1].name == "done"
    assert asking.sent()[-1] == [url, ASKED]
    said = ["What is this?\n[image]\n[file]", "[image_url]\nWhat is this?"]
    said = [text.replace("[image_url]", "[image]") for text in said]
    shown = asking.client.get(f"/api/chat/session/{session}").json()
    assert [m["content"] for m in shown["messages"] if m["role"] == "user"] == said
    assert shown["title"] == "What is this? [image] [file]"
    rows = asking.client.get(f"/api/chat/history/{session}").json()
    assert [row["user_message"] for row in rows] == said
    exported = asking.client.get(f"/api/chat/session/{session}/export?format=markdown").text
    assert "[image]\nWhat is this?" in exported
    assert PNG not in exported


@pytest.mark.parametrize("asking", [{"model-a": BLIND, "model-b": SEEING}], indirect=True)
def test_a_chat_message_is_for_models_that_take_it(asking: Asking) -> None:
    asking.provider.script("*", "A cat.")
    answer = _message(asking.client, ASKED, PICTURE).json()
    assert (answer["model"], answer["route"]["tried"]) == ("model-b", [])
    assert asking.provider.calls("model-a") == 0
    for path in ("/api/chat/message", "/api/chat/message/stream"):
        body = {"message": [ASKED, PICTURE], "model": "model-a", "use_fallback": False}
        refused = asking.client.post(path, json=body)
        assert (refused.status_code, refused.json()["type"]) == (422, "no-model-fits")
        assert "model-a takes no pictures" in refused.json()["detail"]
    assert asking.client.get("/api/chat/sessions").json()["total"] == 1


def test_a_chat_message_that_cannot_be_sent_is_refused_at_once(asking: Asking) -> None:
    broken = {"type": "image", "mime_type": "image/png", "data": "no base64!"}
    long = base64.b64encode(b"x" * 200_000).decode()
    text_file = {"type": "file", "mime_type": "text/plain", "data": long}
    for blocks, kind, says in (
        ([ASKED, broken], "invalid-content", "content.1: the picture holds data that is no base64"),
        ([ASKED, {"type": "image", "url": "file:///etc/passwd"}], "invalid-content", "neither"),
        ([], "invalid-request", "message"),
        (["words"], "invalid-request", "message"),
        ([ASKED] * 101, "invalid-request", "100 entries"),
        ([{"type": "text", "text": "x" * 200_000}], "invalid-input", "characters"),
        ([text_file], "invalid-input", "characters"),
    ):
        refused = _message(asking.client, *blocks)
        assert (refused.status_code, refused.json()["type"]) == (422, kind), refused.text
        assert says in refused.json()["detail"]
    assert asking.provider.calls() == 0
    assert asking.client.get("/api/chat/sessions").json()["total"] == 0


def test_a_text_file_in_a_chat_message_is_read_as_text(asking: Asking) -> None:
    data = base64.b64encode("이름,값\na,1".encode()).decode()
    file = {"type": "file", "mime_type": "text/csv", "filename": "a.csv", "data": data}
    assert _message(asking.client, ASKED, file).status_code == 200
    assert asking.sent() == ["What is this?\na.csv:\n이름,값\na,1"]


def test_the_offline_model_says_in_a_chat_that_it_sees_none(data_dir: Path) -> None:
    with serving(data_dir) as client:
        answer = _message(client, ASKED, PICTURE).json()
        assert answer["response"].startswith("I see no pictures, files or sounds")
        assert answer["model"] == "offline"
