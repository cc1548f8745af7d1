"""Signing in on the page: by a key, or at an identity provider."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.page.login import CLIENT, Login, login
from tests.page.screen import MARKS, Screen, Tabs, expect
from tests.server.access.identity_provider import AUDIENCE
from tests.server.access.own_keys import key_in
from tests.service import Client, serving

pytestmark = MARKS


@pytest.fixture
def provider() -> Iterator[Login]:
    with login() as served:
        yield served


@pytest.fixture
def locked(tmp_path: Path, provider: Login) -> Iterator[Client]:
    """A service that asks everybody who they are."""
    with serving(
        tmp_path / "data",
        auth="on",
        auth_issuer=provider.url,
        auth_audience=AUDIENCE,
        auth_client_id=CLIENT,
    ) as client:
        yield client


@pytest.fixture
def screen(tabs: Tabs, locked: Client) -> Iterator[Screen]:
    with tabs.page(str(locked.base_url).rstrip("/"), "threads") as screen:
        yield screen


def signed_in(screen: Screen) -> None:
    expect(screen.tab.get_by_text("There are no threads yet.")).to_be_visible()


def said(screen: Screen, words: str) -> None:
    expect(screen.tab.get_by_role("alert")).to_contain_text(words)


def test_a_key_opens_the_page_for_its_tab(screen: Screen, tmp_path: Path) -> None:
    field = screen.tab.get_by_label("API key")
    expect(field).to_be_visible()
    screen.check()  # nothing was asked for that is refused
    field.fill("evt_wrong")
    field.press("Enter")
    said(screen, "does not know this key")
    with ThreadPoolExecutor(1) as elsewhere:  # a loop runs in this thread
        key = elsewhere.submit(key_in, tmp_path / "data", "reader").result()
    field.fill(key)
    field.press("Enter")
    signed_in(screen)
    assert key in screen.tab.evaluate("JSON.stringify(sessionStorage)")
    assert screen.tab.evaluate("localStorage.length") == 0
    screen.tab.reload()
    signed_in(screen)
    screen.button("Sign out").click()
    expect(field).to_be_visible()
    assert key not in screen.tab.evaluate("JSON.stringify(sessionStorage)")


def test_people_sign_in_at_the_provider(screen: Screen, provider: Login) -> None:
    at_provider = screen.button(re.compile("^Sign in at "))
    at_provider.click()
    screen.tab.get_by_role("link", name="No").click()
    said(screen, "Not you.")
    at_provider.click()
    screen.tab.get_by_role("link", name="Yes").click()
    signed_in(screen)
    expect(screen.tab).to_have_url(f"{screen.url}/#/threads")  # without the code
    screen.tab.reload()
    signed_in(screen)


def test_a_sign_in_ends_with_its_token(screen: Screen, provider: Login) -> None:
    provider.lifetime = 3
    screen.button(re.compile("^Sign in at ")).click()
    screen.tab.get_by_role("link", name="Yes").click()
    said(screen, "Your sign-in has ended.")


def test_a_code_that_somebody_else_has_begun_is_not_taken(screen: Screen, provider: Login) -> None:
    screen.tab.goto(f"{screen.url}/?code=code-0&state=theirs#/threads")
    said(screen, "was not begun in this tab")
    assert "code" not in screen.tab.url
