"""What each dialect's blocks become on the wire, and what is said of those that cannot be sent."""

import base64
import re
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import content as standard
from openai.types.chat import ChatCompletionUserMessageParam
from pydantic import TypeAdapter

from everturn.graph.models.blocks import Unreadable, read_block
from everturn.graph.models.content import media_in, text_of, wire_content, wire_messages

PNG_BYTES = b"\x89PNG\r\n\x1a\n" + bytes(range(40))
PNG = base64.b64encode(PNG_BYTES).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(8)).decode()
PDF = base64.b64encode(b"%PDF-1.7 and so on").decode()
WAV = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVEfmt ").decode()
WEB = "https://example.org/cat.png"

PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
LINKED = {"type": "image_url", "image_url": {"url": WEB}}
PDF_URL = f"data:application/pdf;base64,{PDF}"
DOCUMENT = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": PDF_URL},
}
SOUND = {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        # LangChain's standard blocks
        (dict(standard.create_image_block(base64=PNG, mime_type="image/png")), PICTURE),
        (dict(standard.create_image_block(url=WEB)), LINKED),
        (
            dict(
                standard.create_file_block(
                    base64=PDF, mime_type="application/pdf", filename="a.pdf"
                )
            ),
            DOCUMENT,
        ),
        (
            dict(standard.create_file_block(base64=PDF, mime_type="application/pdf")),
            {"type": "file", "file": {"filename": "file.pdf", "file_data": PDF_URL}},
        ),
        (
            dict(standard.create_file_block(file_id="file-7")),
            {"type": "file", "file": {"file_id": "file-7"}},
        ),
        (dict(standard.create_audio_block(base64=WAV, mime_type="audio/wav")), SOUND),
        (
            dict(standard.create_video_block(url="https://example.org/a.mp4")),
            {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
        ),
        ({"type": "non_standard", "value": PICTURE}, PICTURE),
        # those before them
        (
            {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PNG},
            PICTURE,
        ),
        ({"type": "image", "source_type": "url", "url": WEB}, LINKED),
        (
            {"type": "file", "source_type": "id", "id": "file-7"},
            {"type": "file", "file": {"file_id": "file-7"}},
        ),
        ({"type": "audio", "source_type": "base64", "mime_type": "audio/wav", "data": WAV}, SOUND),
        # OpenAI's
        (PICTURE, PICTURE),
        (LINKED, LINKED),
        ({"type": "image_url", "image_url": WEB}, LINKED),
        (
            {"type": "image_url", "image_url": {"url": WEB, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": WEB, "detail": "low"}},
        ),
        (DOCUMENT, DOCUMENT),
        (SOUND, SOUND),
        ({"type": "input_image", "image_url": PICTURE["image_url"]["url"]}, PICTURE),  # type: ignore[index]
        ({"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL}, DOCUMENT),
        # OpenRouter's
        (
            {
                "type": "file",
                "file": {"filename": "b.pdf", "file_data": "https://example.org/b.pdf"},
            },
            {
                "type": "file",
                "file": {"filename": "b.pdf", "file_data": "https://example.org/b.pdf"},
            },
        ),
        # Anthropic's
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            PICTURE,
        ),
        ({"type": "image", "source": {"type": "url", "url": WEB}}, LINKED),
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            },
            DOCUMENT,
        ),
        # agent-chat-ui's
        (
            {
                "type": "image",
                "mimeType": "image/png",
                "data": PNG,
                "metadata": {"name": "cat.png"},
            },
            PICTURE,
        ),
        (
            {
                "type": "image",
                "mime_type": "image/png",
                "data": PNG,
                "metadata": {"name": "cat.png"},
            },
            PICTURE,
        ),
        (
            {
                "type": "file",
                "mimeType": "application/pdf",
                "data": PDF,
                "metadata": {"filename": "a.pdf"},
            },
            DOCUMENT,
        ),
        # Gemini's, and MCP's
        ({"type": "media", "mime_type": "image/png", "data": PNG}, PICTURE),
        ({"type": "audio", "mimeType": "audio/wav", "data": WAV}, SOUND),
    ],
)
def test_every_dialect_of_a_block_is_sent_as_openai_names_it(
    block: dict[str, Any], part: dict[str, Any]
) -> None:
    said = {"type": "text", "text": "look"}
    assert wire_content(["look", block]) == [said, part]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        # a data URL where base64 belongs
        (
            {"type": "image", "mime_type": "image/png", "base64": f"data:image/png;base64,{PNG}"},
            PICTURE,
        ),
        # what the bytes are counts: Anthropic refuses another type than is declared
        ({"type": "image", "mime_type": "image/jpeg", "base64": PNG}, PICTURE),
        ({"type": "image", "base64": PNG}, PICTURE),
        ({"type": "file", "mime_type": "image/png", "base64": PNG}, PICTURE),
        (
            {"type": "image", "mime_type": "application/pdf", "base64": PDF, "name": "a.pdf"},
            DOCUMENT,
        ),
        # base64 as it comes out of mails and browsers
        (
            {"type": "image", "mime_type": "image/png", "base64": f"{PNG[:20]}\r\n{PNG[20:]}\n"},
            PICTURE,
        ),
        ({"type": "image", "mime_type": "image/png", "base64": PNG.rstrip("=")}, PICTURE),
    ],
)
def test_what_is_meant_is_sent(block: dict[str, Any], part: dict[str, Any]) -> None:
    assert wire_content([block]) == [part]


@pytest.mark.parametrize("part", [PICTURE, LINKED, DOCUMENT, SOUND])
def test_what_is_sent_has_openais_published_type(part: dict[str, Any]) -> None:
    TypeAdapter(ChatCompletionUserMessageParam).validate_python(
        {"role": "user", "content": wire_content(["look", part])}
    )


def test_the_url_safe_alphabet_is_written_as_the_other_one() -> None:
    data = b"\xff\xd8\xff" + b"\xfb\xff\xbf" * 4
    block = {"type": "image", "base64": base64.urlsafe_b64encode(data).decode()}
    sent = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    assert wire_content([block]) == [{"type": "image_url", "image_url": {"url": sent}}]


def test_jpg_has_one_name() -> None:
    unknown = base64.b64encode(b"some bytes").decode()
    block = {"type": "image", "mime_type": "image/jpg", "base64": unknown}
    assert read_block(block).mime == "image/jpeg"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([], ""),
        (["one", {"type": "text", "text": "two"}], "one\ntwo"),
        ([{"type": "input_text", "text": "one"}, {"type": "text", "text": ""}], "one"),
        ([{"text": "of a block without a type"}], "of a block without a type"),
        ([{"type": "text-plain", "mime_type": "text/plain", "text": "words"}], "words"),
        (
            [{"type": "document", "title": "n.txt", "source": {"type": "text", "data": "words"}}],
            "n.txt:\nwords",
        ),
        (
            [
                {
                    "type": "file",
                    "filename": "n.csv",
                    "mime_type": "text/csv",
                    "base64": base64.b64encode("ä,b".encode()).decode(),
                }
            ],
            "n.csv:\nä,b",
        ),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "1"}, "x"], "x"),
        ([{"type": "hologram", "data": "…"}, "x"], "[content of the type 'hologram' left out]\nx"),
        ([{"type": ["odd"]}], "[content of the type \"['odd']\" left out]"),
        ([{}], "[content of the type 'unknown' left out]"),
    ],
)
def test_text_alone_is_sent_as_a_string(content: Any, text: str) -> None:
    assert wire_content(content) == text
    assert text_of(content) == text


@pytest.mark.parametrize(
    ("block", "flaw"),
    [
        ({"type": "image"}, "the picture has neither data nor a URL"),
        ({"type": "image", "mime_type": "image/png", "base64": ""}, "neither data nor a URL"),
        ({"type": "image", "mime_type": "image/png", "base64": "  "}, "holds no data"),
        ({"type": "image", "mime_type": "image/png", "base64": "!!!"}, "data that is no base64"),
        (
            {"type": "image", "mime_type": "image/png", "base64": "ünïcode"},
            "data that is no base64",
        ),
        ({"type": "image", "mime_type": "image/png", "base64": 7}, "neither data nor a URL"),
        (
            {"type": "image", "base64": "AAAA"},
            "has no MIME type: add `mime_type`, such as image/png",
        ),
        ({"type": "image", "mime_type": "png", "base64": "AAAA"}, "has no MIME type"),
        (
            {"type": "image", "mime_type": "text/html", "base64": "AAAA"},
            "'text/html', which is no picture",
        ),
        ({"type": "image", "file_id": "file-7"}, "is named by an id"),
        ({"type": "image", "url": "file:///etc/passwd"}, "neither http(s): nor data:"),
        ({"type": "image", "url": "blob:https://a.example/1"}, "neither http(s): nor data:"),
        ({"type": "image", "url": "https://"}, "neither http(s): nor data:"),
        ({"type": "image", "url": "https://[half"}, "neither http(s): nor data:"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,plain"}}, "without base64"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, "holds no data"),
        ({"type": "image_url", "image_url": None}, "neither data nor a URL"),
        ({"type": "audio", "url": "https://example.org/a.mp3"}, "the sound has to be sent as data"),
        ({"type": "audio", "mime_type": "image/png", "base64": PNG}, "is of the type 'image/png'"),
        ({"type": "file", "file": {}}, "the file has neither data nor a URL"),
        ({"type": "text"}, "its `text` is missing or not a string"),
        ({"type": "text", "text": 7}, "its `text` is missing or not a string"),
    ],
)
def test_what_cannot_be_sent_is_named(block: dict[str, Any], flaw: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(flaw)) as raised:
        read_block(block)
    # Stored all the same, by an edit of the state say, it does not spoil the thread.
    assert wire_content([block, "x"]) == f"[left out: {raised.value}]\nx"


OLD = HumanMessage(["first", PICTURE])
NEW = HumanMessage(["second", PICTURE])


def _thread(*now: AnyMessage) -> list[AnyMessage]:
    return [SystemMessage(["be", "brief"]), OLD, AIMessage([{"type": "text", "text": "ok"}]), *now]


def test_all_pictures_of_users_are_sent() -> None:
    sent = wire_messages(_thread(NEW))
    assert [message.content for message in sent] == [
        "be\nbrief",
        [{"type": "text", "text": "first"}, PICTURE],
        "ok",
        [{"type": "text", "text": "second"}, PICTURE],
    ]


def test_those_of_older_turns_can_be_left_out() -> None:
    sent = wire_messages(_thread(NEW), left_out={"image"})
    assert sent[1].content == "first\n[picture left out: not shown to this model]"
    assert sent[3].content == [{"type": "text", "text": "second"}, PICTURE]
    assert wire_messages(_thread(NEW), left_out={"audio"}) == wire_messages(_thread(NEW))
    assert OLD.content == ["first", PICTURE]  # the thread keeps them


def test_a_turn_starts_at_the_first_of_what_was_said_last() -> None:
    shown = HumanMessage([PICTURE])
    asked: list[AnyMessage] = [shown, HumanMessage("what is it?")]
    called = AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": "1"}])
    turn: list[AnyMessage] = [*asked, called, ToolMessage("found", tool_call_id="1")]
    for messages in (_thread(*asked), _thread(*turn)):
        sent = wire_messages(messages, left_out={"image"})
        assert sent[3].content == [PICTURE]
        assert isinstance(sent[1].content, str)


def test_a_tool_and_the_model_show_nothing_on_the_wire() -> None:
    shot = {"type": "image", "mimeType": "image/png", "data": PNG, "name": "shot.png"}
    result = ToolMessage([{"type": "text", "text": "done"}, shot], tool_call_id="1")
    answer = AIMessage([{"type": "text", "text": "see"}, shot])
    sent = [message.content for message in wire_messages([result, answer])]
    why = "[picture 'shot.png' left out: only a message of the user can show it]"
    assert sent == [f"done\n{why}", f"see\n{why}"]
    assert media_in([result, answer]) == set()


def test_messages_of_text_are_not_copied() -> None:
    messages = [HumanMessage("a"), AIMessage("b")]
    assert all(a is b for a, b in zip(messages, wire_messages(messages), strict=True))
