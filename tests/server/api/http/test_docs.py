"""`/docs`: complete without a network, and not to be framed or added to by others."""

import re

from tests.service import Client


def test_the_page_takes_everything_from_the_service(client: Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) == 4
    for part in parts:
        assert "//" not in part
        assert client.get(f"/{part}").status_code == 200, part
    assert "<script>" not in page.text
    assert "SwaggerUIBundle(" in client.get("/docs/start.js").text
    assert client.get("/docs/none.js").status_code == 422
    assert client.get("/docs/..%2f..%2fpyproject.toml").status_code == 404
    assert client.get("/redoc").status_code == 404


def test_its_content_policy(client: Client) -> None:
    policy = client.get("/docs").headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
