"""Finding a time zone by its IANA name, by the city it is named after, or by another well known."""

from difflib import get_close_matches
from functools import cache
from zoneinfo import available_timezones

# Cities that zones are not named after, and some names as others write them.
_CITIES = {
    "America/Los_Angeles": "san francisco, seattle, san diego, las vegas, silicon valley, portland",
    "America/Chicago": "houston, dallas, austin, new orleans, minneapolis",
    "America/New_York": "washington, washington dc, boston, miami, atlanta, nyc, 뉴욕",
    "America/Toronto": "montreal, ottawa",
    "America/Sao_Paulo": "rio de janeiro, brasilia",
    "Europe/London": "edinburgh, manchester, birmingham, uk, england, 런던",
    "Europe/Berlin": "munich, hamburg, frankfurt, cologne, germany, 베를린",
    "Europe/Paris": "lyon, marseille, france, 파리",
    "Europe/Madrid": "barcelona, spain",
    "Europe/Rome": "milan, naples, florence, venice, italy",
    "Europe/Zurich": "geneva, bern, basel, switzerland",
    "Europe/Istanbul": "ankara",
    "Asia/Dubai": "abu dhabi",
    "Asia/Kolkata": "mumbai, delhi, new delhi, bangalore, bengaluru, chennai, hyderabad, india",
    "Asia/Shanghai": "beijing, shenzhen, guangzhou, china, 베이징, 상하이, 北京, 上海",
    "Asia/Tokyo": "osaka, kyoto, japan, 도쿄, 오사카, 일본, 東京, 大阪",
    "Asia/Seoul": "busan, incheon, korea, south korea, 서울, 부산, 한국",
    "Asia/Ho_Chi_Minh": "hanoi, saigon, vietnam",
    "Australia/Sydney": "canberra",
}


class UnknownZone(LookupError):
    """No time zone is known by this name; the text names similar ones."""


def zone_of(name: str) -> str:
    """Return the IANA name of a time zone, or raise UnknownZone."""
    zones = _zones()
    plain = _plain(name)
    if plain in zones:
        return zones[plain]
    similar = dict.fromkeys(zones[each] for each in get_close_matches(plain, zones, n=3))
    hint = f" Similar ones: {', '.join(similar)}." if similar else ""
    raise UnknownZone(f"No time zone is known as {name!r}.{hint} Name one like Europe/Paris.")


@cache
def _zones() -> dict[str, str]:
    """Every name in plain letters, with its zone; a zone's own name comes before a city's."""
    names = sorted(available_timezones())
    # Not those of Etc: its GMT+9 lies nine hours behind, which is not what a user means by GMT+9.
    located = (zone for zone in names if "/" in zone and not zone.startswith("Etc/"))
    zones = {_plain(zone.rpartition("/")[2]): zone for zone in located}
    zones |= {city: zone for zone, cities in _CITIES.items() for city in cities.split(", ")}
    return zones | {_plain(zone): zone for zone in names}


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()
