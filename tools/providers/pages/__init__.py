"""Making text of pages: `charset` finds how their bytes are meant, `readable` what people read."""

from everturn.tools.kit.web.client import Page
from everturn.tools.providers.pages.charset import decoded
from everturn.tools.providers.pages.text import Text

_MARKUP = frozenset({"text/html", "application/xhtml+xml"})


def text_of(page: Page) -> Text:
    """Return what a page says; it may take a tenth of a second and holds no lock for long."""
    whole = decoded(page.body, page.charset, markup=page.content_type in _MARKUP, cut=page.cut)
    if page.content_type not in _MARKUP:
        return Text("", "", whole.strip())
    from everturn.tools.providers.pages.readable import readable  # lxml, which few need

    return readable(whole)
