"""The page in Chromium: its bytes, how soon it is usable, how soon a word is seen, and frames.

    python tests/bench/page.py [--messages 500] [--checkpoints 1000]

Measured on the machine's own processors, which service, models and browser share.
"""

import argparse
import gzip
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page  # noqa: E402 - found by the line above

from tests.page.screen import chromium  # noqa: E402
from tests.provider import KEY, FakeProvider, Reply  # noqa: E402
from tests.service import process, read_events  # noqa: E402

ASSETS = ROOT / "server" / "api" / "page" / "assets"
TIMES = 7
SECONDS = 5  # for which frames are counted
STREAMS = 4
CHAT = {"metadata": {"graph_id": "chat"}}
PACE = 0.01  # seconds between two words: 100 a second

# When something first stands in the page, by its clock in ms; and frames.
WATCH = """window.seen = {};
window.when = (name, look) => {
  const found = () => look() && requestAnimationFrame(() => (seen[name] ??= Date.now()));
  new MutationObserver(found).observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true });
  found();
};
when("usable", () => document.querySelector("textarea")?.offsetParent &&
  document.querySelector(".choices option"));"""
WORD = """() => { delete seen.word;
  when("word", () => document.querySelector("article.ai .markdown")?.textContent.trim()); }"""
FRAMES = """(ms) => new Promise((done) => {
  const times = [];
  const frame = (now) => {
    times.push(now);
    if (now - times[0] < ms) requestAnimationFrame(frame);
    else {
      const gaps = times.slice(1).map((each, place) => each - times[place]);
      done({ rate: gaps.length / ((now - times[0]) / 1000), longest: Math.max(...gaps) });
    }
  };
  requestAnimationFrame(frame);
})"""


def sizes() -> None:
    """Bytes as they are sent: of all, and of what the page asks for at first."""
    packed = {path: len(gzip.compress(path.read_bytes(), 9)) for path in _files()}
    index = (ASSETS / "index.html").read_text()
    first = {path for path in packed if path.name in index or path.name == "index.html"}
    row("gzipped, all", sum(packed.values()) / 1000, "kB")
    row("gzipped, at first", sum(packed[path] for path in first) / 1000, "kB")


def _files() -> list[Path]:
    return [path for path in ASSETS.rglob("*") if path.is_file() and path.suffix != ".gz"]


@contextmanager
def opened(browser: Browser, url: str, place: str = "") -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.add_init_script(WATCH)
    tab.goto(f"{url}/#/{place}")
    tab.wait_for_function("() => seen.usable")
    yield tab
    context.close()


def usable(browser: Browser, url: str) -> None:
    """From the address to a field one can write in and choices that are there, nothing cached."""
    found = []
    for _ in range(TIMES):
        with opened(browser, url) as tab:
            found.append(tab.evaluate("() => seen.usable - performance.timeOrigin"))
    row("usable after", statistics.median(found), "ms", f"{min(found):.0f} … {max(found):.0f}")


def first_word(browser: Browser, url: str) -> None:
    """How much later a word is on the screen than another client has it."""
    behind, after = [], []
    with opened(browser, url) as tab:
        for _ in range(TIMES):
            thread = str(uuid4())
            httpx.post(f"{url}/threads", json={"thread_id": thread}).raise_for_status()
            tab.evaluate("(id) => (location.hash = `#/talk/${id}`)", thread)
            tab.wait_for_timeout(500)
            tab.evaluate(WORD)
            at = _follow(url, thread)
            start(url, thread, "short")
            tab.wait_for_function("() => seen.word")
            happened, arrived = at()
            seen = tab.evaluate("() => seen.word")
            behind.append(seen - arrived)
            after.append(seen - happened)
    row("first word, behind another client", statistics.median(behind), "ms", _range(behind))
    row("first word, after its event", statistics.median(after), "ms", _range(after))


def _range(values: list[float]) -> str:
    return f"{min(values):.0f} … {max(values):.0f}"


def _follow(url: str, thread: str) -> Any:
    """Follow a thread; returns what waits for its first word: when it happened, and arrived."""
    found: list[tuple[float, float]] = []

    def read() -> None:
        body = {"channels": ["messages"]}
        path = f"{url}/threads/{thread}/stream/events"
        with httpx.stream("POST", path, json=body, timeout=60) as response:
            for event in read_events(response):
                params = event.data["params"]
                if params["data"].get("delta", {}).get("text"):
                    found.append((params["timestamp"], time.time() * 1000))
                    return

    reading = threading.Thread(target=read)
    reading.start()

    def wait() -> tuple[float, float]:
        reading.join(60)
        return found[0]

    return wait


def start(url: str, thread: str, model: str) -> None:
    config = {"configurable": {"model": model}}
    params = {"assistant_id": "chat", "input": {"messages": "go"}, "config": config}
    command = {"id": 1, "method": "run.start", "params": params}
    httpx.post(f"{url}/threads/{thread}/commands", json=command).raise_for_status()


def streams(browser: Browser, url: str) -> None:
    """Frames while answers of 100 words a second come into four tabs."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tabs = []
    for _ in range(STREAMS):
        thread = httpx.post(f"{url}/threads", json={}).json()["thread_id"]
        tab = context.new_page()
        tab.goto(f"{url}/#/talk/{thread}")
        tab.get_by_label("Message", exact=True).wait_for()
        tabs.append((tab, thread))
    for _, thread in tabs:
        start(url, thread, "long")
    for tab, _ in tabs:
        tab.locator("article.ai").wait_for()
    shown = tabs[-1][0]
    before = len(shown.locator("article.ai").inner_text().split())
    found = shown.evaluate(FRAMES, SECONDS * 1000)
    words = len(shown.locator("article.ai").inner_text().split()) - before
    row("frames, four streams", found["rate"], "a second", f"longest {found['longest']:.0f} ms")
    row("words that came in one of them", words / SECONDS, "a second")
    context.close()


def long_thread(browser: Browser, url: str, messages: int) -> None:
    """Opens a long thread, and scrolls up through it."""
    thread = httpx.post(f"{url}/threads", json=CHAT).json()["thread_id"]
    text = "Some **words** with `code`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    said = [
        {"type": "ai" if number % 2 else "human", "content": f"{number}: {text}", "id": str(number)}
        for number in range(messages)
    ]
    body = {"values": {"messages": said}, "as_node": "model"}
    httpx.post(f"{url}/threads/{thread}/state", json=body, timeout=60).raise_for_status()
    with opened(browser, url) as tab:
        tab.evaluate(
            """([id, last]) => {
              window.begun = Date.now();
              when("last", () => document.querySelector("[role=log]")?.textContent.includes(last));
              location.hash = `#/talk/${id}`;
            }""",
            [thread, f"{messages - 1}: "],
        )
        tab.wait_for_function("() => seen.last")
        row(f"thread of {messages} messages, shown", tab.evaluate("() => seen.last - begun"), "ms")
        tab.evaluate(
            """() => { const log = document.querySelector("[role=log]");
              window.timer = setInterval(() => log.scrollBy(0, -120), 16); }"""
        )
        found = tab.evaluate(FRAMES, SECONDS * 1000)
        tab.evaluate("() => clearInterval(timer)")
        note = f"longest {found['longest']:.0f} ms"
        row("frames, scrolling through it", found["rate"], "a second", note)


def tree(browser: Browser, url: str, checkpoints: int) -> None:
    """Opens the tree of a thread with many checkpoints and three branches."""
    with httpx.Client(base_url=url, timeout=60) as client:
        thread = client.post("/threads", json=CHAT).json()["thread_id"]
        fork: dict[str, Any] = {}
        for number in range(checkpoints):
            message = {"type": "human", "content": f"{number}", "id": "one"}
            body = {"values": {"messages": [message]}, "as_node": "model", **fork}
            made = client.post(f"/threads/{thread}/state", json=body).json()
            fork = {}
            if number in {checkpoints // 3, checkpoints // 2}:
                fork = {"checkpoint": {"checkpoint_id": made["checkpoint"]["checkpoint_id"]}}
    with opened(browser, url) as tab:
        tab.evaluate(
            """(id) => {
              window.begun = Date.now();
              when("tree", () => document.querySelector("[role=option]"));
              location.hash = `#/graph/${id}`;
            }""",
            thread,
        )
        tab.wait_for_function("() => seen.tree")
        row(
            f"tree of {checkpoints} checkpoints, opened",
            tab.evaluate("() => seen.tree - begun"),
            "ms",
        )
        begun = time.perf_counter()
        rows = tab.get_by_role("listbox")
        while (
            int(rows.locator("[aria-setsize]").first.get_attribute("aria-setsize") or 0)
            < checkpoints
        ):
            rows.evaluate("(list) => { list.scrollTop = list.scrollHeight; }")
            tab.wait_for_timeout(20)
        row("and scrolled to its root", (time.perf_counter() - begun) * 1000, "ms")


def row(name: str, value: float, unit: str, note: str = "") -> None:
    print(f"{name:<42}{value:>8.1f} {unit:<10}{note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--checkpoints", type=int, default=1000)
    options = parser.parse_args()
    sizes()
    with tempfile.TemporaryDirectory() as folder, FakeProvider() as provider, chromium() as browser:
        provider.script("short", "Hello there.")
        provider.script("long", Reply("word " * 1500, between=PACE))
        environment = {
            "EVERTURN_BASE_URL": provider.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": "long,short",
        }
        with process(Path(folder) / "data", **environment) as service:
            url = service.url()
            usable(browser, url)
            first_word(browser, url)
            streams(browser, url)
            long_thread(browser, url, options.messages)
            tree(browser, url, options.checkpoints)


if __name__ == "__main__":
    main()
