"""The weather as the settings want it: from a service, or a marked sample when none answers."""

from everturn.tools.kit.web import Web, current_web
from everturn.tools.providers.first_answer import NoServiceAnswered, first_answer
from everturn.tools.providers.sample import sample_note
from everturn.tools.providers.weather import Units, WeatherProvider, WeatherReport
from everturn.tools.providers.weather.offline import OfflineWeather
from everturn.tools.providers.weather.open_meteo import OpenMeteo
from everturn.tools.providers.weather.wttr import Wttr


class WeatherServices:
    """Open-Meteo, then wttr.in, then what `EVERTURN_TOOLS_OFFLINE` says."""

    name = "services"

    async def report(
        self, location: str, units: Units, *, hours: int = 0, days: int = 0
    ) -> WeatherReport:
        """Return the weather at a place.

        Raises:
            PlaceNotFound: a service answered that there is no such place.
            NoServiceAnswered: no service did, and sample data is not wanted.
        """
        web, sample = await current_web(), OfflineWeather()
        if web.settings.tools_offline == "always":
            return await sample.report(location, units, hours=hours, days=days)
        try:
            return await first_answer(
                _services(web),
                lambda service: service.report(location, units, hours=hours, days=days),
            )
        except NoServiceAnswered as reason:
            if web.settings.tools_offline == "never":
                raise
            report = await sample.report(location, units, hours=hours, days=days)
            report["note"] = sample_note("weather", str(reason))
            return report


def _services(web: Web) -> tuple[WeatherProvider, ...]:
    return OpenMeteo(web), Wttr(web)
