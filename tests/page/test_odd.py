"""What is odd and must take nothing else with it: addresses, answers, a browser without storage."""

import base64
import struct
import zlib

import pytest

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, expect

pytestmark = MARKS

NO_STORAGE = """for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name,
    { get() { throw new DOMException("no", "SecurityError"); } });"""


@pytest.mark.parametrize(
    "place", ["talk/%", "graph/%E0%A4%A", "talk/..%2F..%2Fapi%2Fusers", "talk/a/b"]
)
def test_an_address_that_names_no_thread_leads_to_none(open_page: Open, place: str) -> None:
    screen = open_page("now")
    asked: list[str] = []
    screen.tab.on("request", lambda request: asked.append(request.url))
    screen.go(place)
    screen.place("Talk")
    screen.say("Compute 6*7")
    screen.answered("The result is 42.")
    assert [url for url in asked if "users" in url or "%" in url or ".." in url] == []


def test_an_answer_that_cannot_be_read_as_markdown_is_shown_as_it_is(
    open_page: Open, stage: Stage
) -> None:
    deep = ">" * 3000 + " so deep"
    stage.provider.script("model-a", deep, "All is well.")
    screen = open_page()
    screen.say("hello")
    screen.answered(deep)
    screen.say("and now?")
    screen.answered("All is well.")
    screen.go(f"talk/{screen.thread}")
    expect(screen.answer(0).locator(".markdown")).to_have_text(deep)
    screen.answered("All is well.")


def test_a_picture_is_shown_where_it_stands_in_the_message(open_page: Open, stage: Stage) -> None:
    picture = f"data:image/png;base64,{base64.b64encode(_png()).decode()}"
    there = {"type": "image_url", "image_url": {"url": picture}}
    elsewhere = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    content = [{"type": "text", "text": "What is it?"}, there, elsewhere]
    of_agent = {"metadata": {"graph_id": "agent"}}
    thread = stage.client.post("/threads", json=of_agent).json()["thread_id"]
    values = {"messages": [{"role": "user", "content": content}]}
    stage.client.post(f"/threads/{thread}/state", json={"values": values}).raise_for_status()
    screen = open_page(f"talk/{thread}")
    shown = screen.log.get_by_role("img")
    expect(shown).to_have_count(1)
    assert shown.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 2
    expect(screen.log.get_by_role("link", name="Attachment")).to_have_attribute(
        "href", "https://example.org/a.png"
    )


def test_a_browser_that_keeps_nothing_shows_the_page(open_page: Open) -> None:
    screen = open_page(own=True)
    screen.tab.add_init_script(NO_STORAGE)
    screen.go()
    screen.button("한국어").click()
    expect(screen.button("English")).to_be_visible()
    screen.button("English").click()
    screen.say("Compute 6*7")
    screen.answered("The result is 42.")


def _png() -> bytes:
    """A picture of 2 by 2 points."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    points = zlib.compress(b"\0\0\xff" * 2)
    parts = ((b"IHDR", header), (b"IDAT", points), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
