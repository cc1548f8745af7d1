from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import ToolMessage

from everturn.tools.current_time import current_time
from everturn.tools.providers.zones import UnknownZone, zone_of


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York", "Asia/Kathmandu"])
def test_the_time_now(zone: str) -> None:
    moment = current_time.invoke({"zone": zone})
    now = datetime.now(UTC)
    then = datetime.fromisoformat(moment["time"])
    assert abs(then - now) < timedelta(seconds=60)
    assert abs(moment["unix"] - now.timestamp()) < 60
    assert moment["zone"] == zone
    assert moment["weekday"] == f"{then:%A}"
    assert moment["time"].endswith(moment["utc_offset"])


def test_without_a_zone_it_is_utc() -> None:
    moment = current_time.invoke({})
    assert (moment["zone"], moment["utc_offset"], moment["abbreviation"]) == (
        "UTC",
        "+00:00",
        "UTC",
    )


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("asia/seoul", "Asia/Seoul"),
        (" Seoul ", "Asia/Seoul"),
        ("서울", "Asia/Seoul"),
        ("new york", "America/New_York"),
        ("New_York", "America/New_York"),
        ("NYC", "America/New_York"),
        ("San Francisco", "America/Los_Angeles"),
        ("buenos aires", "America/Buenos_Aires"),
        ("mumbai", "Asia/Kolkata"),
        ("Istanbul", "Europe/Istanbul"),
        ("東京", "Asia/Tokyo"),
        ("EST", "EST"),
        ("utc", "UTC"),
    ],
)
def test_zones_by_names_that_people_use(name: str, zone: str) -> None:
    assert zone_of(name).replace("Argentina/", "") == zone


@pytest.mark.parametrize(
    "name", ["Atlantis", "GMT+9", "../../etc/passwd", "UTC\x00", "posixrules?"]
)
def test_an_unknown_zone_is_an_error_that_the_model_reads(name: str) -> None:
    with pytest.raises(UnknownZone):
        zone_of(name)
    call: dict[str, Any] = {"type": "tool_call", "id": "c", "name": "t", "args": {"zone": name}}
    answer = current_time.invoke(call)
    assert isinstance(answer, ToolMessage)
    assert answer.status == "error"
    assert "Europe/Paris" in answer.text


def test_similar_names_are_named() -> None:
    with pytest.raises(UnknownZone, match="Asia/Seoul"):
        zone_of("Seuol")
