"""What the services of weather and search say, in the shape their documentation gives."""

from typing import Any

from tests.tools.world import Reply, Request, World, json_reply

PLACES: dict[str, list[dict[str, Any]]] = {
    # https://open-meteo.com/en/docs/geocoding-api: empty fields are left out
    "Paris": [
        {
            "id": 2988507,
            "name": "Paris",
            "latitude": 48.85341,
            "longitude": 2.3488,
            "elevation": 42.0,
            "feature_code": "PPLC",
            "country_code": "FR",
            "admin1_id": 3012874,
            "timezone": "Europe/Paris",
            "population": 2138551,
            "postcodes": ["75001", "75020"],
            "country_id": 3017382,
            "country": "France",
            "admin1": "Île-de-France",
            "admin2": "Paris",
        },
        {
            "id": 4717560,
            "name": "Paris",
            "latitude": 33.66094,
            "longitude": -95.55551,
            "feature_code": "PPLA2",
            "country_code": "US",
            "timezone": "America/Chicago",
            "population": 24839,
            "country": "United States",
            "admin1": "Texas",
            "admin2": "Lamar",
        },
        {
            "id": 4303602,
            "name": "Paris",
            "latitude": 38.2098,
            "longitude": -84.25299,
            "country_code": "US",
            "population": 9846,
            "country": "United States",
            "admin1": "Kentucky",
        },
        {"id": 1, "name": "Paris Green", "latitude": 1.0, "longitude": 2.0, "country": "Nowhere"},
    ],
    "서울": [
        {
            "id": 1835848,
            "name": "서울특별시",
            "latitude": 37.566,
            "longitude": 126.9784,
            "country_code": "KR",
            "timezone": "Asia/Seoul",
            "population": 10349312,
            "country": "대한민국",
            "admin1": "서울특별시",
        }
    ],
    "Atoll": [{"id": 2, "name": "Atoll", "latitude": 0, "longitude": 0}],
}


def geocoding(request: Request) -> Reply:
    if "name" not in request.query:
        return json_reply({"error": True, "reason": "Parameter 'name' missing"}, 400)
    found = PLACES.get(request.query["name"])
    timing = {"generationtime_ms": 0.71}
    return json_reply({"results": found, **timing} if found else timing)


def forecast(request: Request) -> Reply:
    """https://open-meteo.com/en/docs: the arrays that were asked for, in the units asked for."""
    query = request.query
    imperial = query.get("temperature_unit") == "fahrenheit"

    def degrees(celsius: float) -> float:
        return round(celsius * 1.8 + 32, 1) if imperial else celsius

    answer: dict[str, Any] = {
        "latitude": float(query["latitude"]),
        "longitude": float(query["longitude"]),
        "generationtime_ms": 0.05,
        "utc_offset_seconds": 3600,
        "timezone": "Europe/Paris",
        "timezone_abbreviation": "GMT+1",
        "elevation": 38.0,
        "current_units": {"time": "iso8601", "interval": "seconds"},
        "current": {"time": "2026-11-05T14:15", "interval": 900},
    }
    values: dict[str, Any] = {
        "temperature_2m": degrees(11.4),
        "apparent_temperature": degrees(9.8),
        "relative_humidity_2m": 81,
        "weather_code": 61,
        "wind_speed_10m": 8.3 if query.get("wind_speed_unit") == "mph" else 13.4,
    }
    answer["current"] |= {name: values[name] for name in query["current"].split(",")}
    if "hourly" in query:
        count = int(query["forecast_hours"])
        columns: dict[str, Any] = {
            "temperature_2m": [degrees(11.0 + hour) for hour in range(count)],
            "weather_code": [61, 3, 0, 95][:count] + [2] * (count - 4),
            "precipitation_probability": [80, None][:count] + [5] * (count - 2),
            "wind_speed_10m": [10.0] * count,
        }
        times = [f"2026-11-05T{14 + hour:02}:00" for hour in range(count)]
        answer["hourly"] = {"time": times, **{n: columns[n] for n in query["hourly"].split(",")}}
    if "daily" in query:
        count = int(query["forecast_days"])
        columns = {
            "temperature_2m_max": [degrees(13.0)] * count,
            "temperature_2m_min": [degrees(7.5)] * count,
            "weather_code": [63] * count,
            "precipitation_probability_max": [90] * count,
            "wind_speed_10m_max": [22.1] * count,
        }
        dates = [f"2026-11-{5 + day:02}" for day in range(count)]
        answer["daily"] = {"time": dates, **{n: columns[n] for n in query["daily"].split(",")}}
    return json_reply(answer)


def wttr(*, wrapped: bool = False) -> Reply:
    """https://wttr.in/Paris?format=j1: numbers are texts."""
    hour = {
        "FeelsLikeC": "9",
        "FeelsLikeF": "48",
        "chanceofrain": "70",
        "chanceofsnow": "0",
        "humidity": "80",
        "precipMM": "0.4",
        "tempC": "11",
        "tempF": "52",
        "weatherCode": "296",
        "weatherDesc": [{"value": "Light rain"}],
        "winddir16Point": "SW",
        "windspeedKmph": "14",
        "windspeedMiles": "9",
    }
    days = [
        {
            "astronomy": [{"sunrise": "07:42 AM"}],
            "avgtempC": "10",
            "date": f"2026-11-0{5 + day}",
            "hourly": [{"time": str(time), **hour} for time in range(0, 2400, 300)],
            "maxtempC": "13",
            "maxtempF": "55",
            "mintempC": "7",
            "mintempF": "45",
            "uvIndex": "1",
        }
        for day in range(3)
    ]
    answer = {
        "current_condition": [
            {
                "FeelsLikeC": "9",
                "FeelsLikeF": "49",
                "cloudcover": "75",
                "humidity": "82",
                "localObsDateTime": "2026-11-05 02:11 PM",
                "observation_time": "01:11 PM",
                "temp_C": "11",
                "temp_F": "52",
                "weatherCode": "116",
                "weatherDesc": [{"value": "Partly cloudy "}],
                "windspeedKmph": "13",
                "windspeedMiles": "8",
            }
        ],
        "nearest_area": [
            {
                "areaName": [{"value": "Paris"}],
                "country": [{"value": "France"}],
                "latitude": "48.867",
                "longitude": "2.333",
                "population": "0",
                "region": [{"value": "Ile-de-France"}],
            }
        ],
        "request": [{"query": "Paris, France", "type": "City"}],
        "weather": days,
    }
    return json_reply({"data": answer} if wrapped else answer)


def wikipedia(*titles: str) -> Reply:
    """https://www.mediawiki.org/wiki/API:Query with a generator: pages come in no order."""
    if not titles:
        return json_reply({"batchcomplete": True})
    pages = [
        {
            "pageid": 100 + rank,
            "ns": 0,
            "title": title,
            "index": rank,
            "extract": f"{title} is\nan   article.",
            "contentmodel": "wikitext",
            "fullurl": f"https://en.wikipedia.org/wiki/{title}",
        }
        for rank, title in enumerate(titles, start=1)
    ]
    return json_reply({"batchcomplete": True, "query": {"pages": pages[::-1]}})


def searxng(count: int) -> Reply:
    """https://docs.searxng.org/dev/search_api.html."""
    results = [
        {
            "url": f"https://page{rank}.example/",
            "title": f"Page {rank}",
            "content": "Some \n text " * 100 if rank == 1 else None,
            "engine": "brave",
            "score": 1.0 / rank,
            "category": "general",
        }
        for rank in range(1, count + 1)
    ]
    return json_reply(
        {
            "query": "x",
            "number_of_results": 0,
            "results": results,
            "answers": [],
            "corrections": [],
            "infoboxes": [],
            "suggestions": [],
            "unresponsive_engines": [["google", "timeout"]],
        }
    )


def mojeek_page(count: int) -> Reply:
    """https://www.mojeek.com/search?q=x, as far as DDGS reads it."""
    items = "".join(
        f'<li><h2><a href="https://page{rank}.example/">Page {rank}</a></h2>'
        '<p class="s">Some\n text</p></li>'
        for rank in range(1, count + 1)
    )
    html = f'<html><body><ul class="results-standard">{items}</ul></body></html>'
    return Reply(html.encode(), headers={"Content-Type": "text/html"})


def open_meteo_at(world: World) -> None:
    """Serve Open-Meteo's two hosts from one."""
    world.at("/v1/search", geocoding)
    world.at("/v1/forecast", forecast)
