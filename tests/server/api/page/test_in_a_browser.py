"""A real browser takes the page, all its parts, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Browser, browser, origin_of
from tests.server.api.page.built import config, with_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

SEES = """async () => {
  const p = document.querySelector("p");
  for (let tries = 0; p.textContent === "early" && tries < 1000; tries++)
    await new Promise(resolve => setTimeout(resolve, 10));
  return [p.textContent, getComputedStyle(p).color];
}"""
BREAKS = """async () => {
  const failed = [];
  document.addEventListener("securitypolicyviolation", event =>
    failed.push(event.violatedDirective));
  document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>x</p>");
  const script = document.createElement("script");
  script.textContent = "window.ran = true";
  document.body.append(script);
  await fetch("http://other.example/").catch(() => {});
  const image = document.createElement("img");
  image.src = "http://other.example/i.png";
  document.body.append(image);
  await new Promise(resolve => { image.onerror = resolve; });
  await new Promise(resolve => setTimeout(resolve, 50));
  return [window.ran ?? false, failed.toSorted()];
}"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium"), ["other.example"]) as running:
        yield running


@pytest.mark.parametrize("prefix", ["", "/own/agent"])
def test_it_is_shown_with_nothing_refused(tmp_path: Path, chromium: Browser, prefix: str) -> None:
    with (
        with_page(tmp_path, config=config(tmp_path, mount_prefix=prefix)) as client,
        chromium.page() as page,
    ):
        url = str(client.base_url).rstrip("/")
        page.go(f"{url}{prefix}/")
        assert page.run(SEES) == ["late, true", "rgb(1, 2, 3)"]
        assert {origin_of(each) for each in page.requested} == {url}
        assert page.console == []


def test_what_does_not_come_from_the_service_is_refused(tmp_path: Path, chromium: Browser) -> None:
    with with_page(tmp_path) as client, chromium.page() as page:
        page.go(str(client.base_url))
        ran, refused = page.run(BREAKS)
        assert ran is False
        assert refused == ["connect-src", "img-src", "script-src-elem", "style-src-attr"]
