"""Which of several places with one name is meant: by what was said beside it, then by people."""

from collections.abc import Sequence

from pydantic import BaseModel

from everturn.tools.providers.weather import Place

_MAX_OTHERS = 3

_STATES = (
    "AL=Alabama AK=Alaska AZ=Arizona AR=Arkansas CA=California CO=Colorado CT=Connecticut "
    "DE=Delaware DC=District_of_Columbia FL=Florida GA=Georgia HI=Hawaii ID=Idaho IL=Illinois "
    "IN=Indiana IA=Iowa KS=Kansas KY=Kentucky LA=Louisiana ME=Maine MD=Maryland "
    "MA=Massachusetts MI=Michigan MN=Minnesota MS=Mississippi MO=Missouri MT=Montana "
    "NE=Nebraska NV=Nevada NH=New_Hampshire NJ=New_Jersey NM=New_Mexico NY=New_York "
    "NC=North_Carolina ND=North_Dakota OH=Ohio OK=Oklahoma OR=Oregon PA=Pennsylvania "
    "RI=Rhode_Island SC=South_Carolina SD=South_Dakota TN=Tennessee TX=Texas UT=Utah "
    "VT=Vermont VA=Virginia WA=Washington WV=West_Virginia WI=Wisconsin WY=Wyoming"
)
_US_STATES = {
    code: state.replace("_", " ").casefold()
    for code, _, state in (pair.partition("=") for pair in _STATES.split())
}
_COUNTRIES = {
    "usa": "us",
    "u.s.": "us",
    "u.s.a.": "us",
    "america": "us",
    "uk": "gb",
    "england": "gb",
}


class Candidate(BaseModel):
    """A place as Open-Meteo's geocoding describes it; it leaves out what it does not know."""

    name: str
    latitude: float
    longitude: float
    country: str = ""
    country_code: str = ""
    admin1: str = ""
    admin2: str = ""
    population: int = 0

    @property
    def place(self) -> Place:
        """The place, for a report."""
        return {
            "name": self.name,
            "region": self.admin1,
            "country": self.country or self.country_code,
            "latitude": self.latitude,
            "longitude": self.longitude,
        }


def split(location: str) -> tuple[str, list[str]]:
    """Split a place's name from what distinguishes it from others: `Paris, Texas`."""
    name, *more = (part.strip() for part in location.replace("，", ",").split(","))
    return name, [part for part in more if part]


def best(candidates: Sequence[Candidate], qualifiers: Sequence[str]) -> list[Candidate]:
    """Order candidates, the one that is meant first; of equals, the one with more people."""
    return sorted(
        candidates,
        key=lambda each: (sum(_fits(each, one) for one in qualifiers), each.population),
        reverse=True,
    )


def others(candidates: Sequence[Candidate]) -> list[str]:
    """Return the places of the same name that were not meant, each once."""
    first, *rest = candidates
    names = dict.fromkeys(full_name(each.place) for each in rest if each.name == first.name)
    names.pop(full_name(first.place), None)
    return list(names)[:_MAX_OTHERS]


def full_name(place: Place) -> str:
    """Return a place with its region and country, without repeating itself."""
    return ", ".join(
        dict.fromkeys(part for part in (place["name"], place["region"], place["country"]) if part)
    )


def _fits(candidate: Candidate, qualifier: str) -> bool:
    said = qualifier.casefold()
    regions = {candidate.admin1.casefold(), candidate.admin2.casefold()}
    if candidate.country_code == "US" and (state := _US_STATES.get(qualifier.upper())):
        return state in regions
    countries = {candidate.country.casefold(), candidate.country_code.casefold()}
    return said in regions | countries or _COUNTRIES.get(said) in countries
