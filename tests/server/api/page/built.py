"""A page as Vite builds one, in a folder of a test: small, and with a part that is loaded late."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from everturn.server.api.page import files
from tests.service import ROOT, Client, serving

BROWSER = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
"""What Chromium sends for a page."""

PARTS = {
    "index-B1cD3fGh.js": """
const { said } = await import("./late-aB_-9xYz.js");
document.querySelector("p").textContent = said;
"""
    + "// So long that it becomes smaller.\n" * 100,
    "late-aB_-9xYz.js": 'export const said = `late, ${(await (await fetch("ok")).json()).ok}`;',
    "index-D4eF6gHi.css": "p { color: rgb(1, 2, 3) }",
    "icon.svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>',
}
INDEX = """<!doctype html>
<html lang="en">
<head>
<title>Everturn</title>
<link rel="icon" href="./page/icon.svg">
<link rel="stylesheet" href="./page/index-D4eF6gHi.css">
<script type="module" src="./page/index-B1cD3fGh.js"></script>
</head>
<body><p>early</p></body>
</html>
"""


def build(folder: Path) -> None:
    """Write what `make page` leaves."""
    (folder / "page").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "secret.json").write_text("{}")  # not of the page: it is not below `page`
    for name, text in PARTS.items():
        (folder / "page" / name).write_text(text)
    (folder.parent / "outside.js").write_text("outside")


def config(folder: Path, **http: Any) -> Path:
    """Write a `langgraph.json` with these keys of `http`."""
    path = folder / "langgraph.json"
    graphs = {"agent": f"{ROOT}/graph/agent.py:graph"}
    path.write_text(json.dumps({"graphs": graphs, "http": http}))
    return path


@contextmanager
def with_page(folder: Path, **settings: Any) -> Iterator[Client]:
    """Serve it."""
    build(folder / "assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "FOLDER", folder / "assets")
        with serving(folder / "data", **settings) as running:
            yield running
