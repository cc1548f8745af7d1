"""What a client wants to be sent, by its `Accept` headers: RFC 9110, sections 12.4 and 12.5."""

_HTML, _JSON = "text/html", "application/json"


def prefers_html(accept: str) -> bool:
    """Say whether HTML is wanted rather than JSON; who takes both alike is no browser."""
    wanted = _qualities(accept)
    return _quality(wanted, _HTML) > _quality(wanted, _JSON)


def takes_gzip(accept_encoding: str) -> bool:
    """Say whether a body may be compressed by gzip."""
    wanted = _qualities(accept_encoding)
    return wanted.get("gzip", wanted.get("*", 0.0)) > 0


def _quality(wanted: dict[str, float], media_type: str) -> float:
    """Return how much a type is wanted: by the range that names it most exactly."""
    ranges = media_type, f"{media_type.partition('/')[0]}/*", "*/*"
    return next((wanted[each] for each in ranges if each in wanted), 0.0)


def _qualities(header: str) -> dict[str, float]:
    """Read `a/b;q=0.8, c/d`; what cannot be read is not wanted."""
    found: dict[str, float] = {}
    for element in header.split(","):
        name, *parameters = (part.strip() for part in element.lower().split(";"))
        weights = [each.removeprefix("q=") for each in parameters if each.startswith("q=")]
        found[name] = max(found.get(name, 0.0), _weight(weights[0]) if weights else 1.0)
    return found


def _weight(said: str) -> float:
    try:
        weight = float(said)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
