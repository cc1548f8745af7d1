"""Finding whether a text asks for the weather, and of which places."""

import re

# Patterns stay strings: `re` compiles each at its first use and keeps it, so importing is free.
_SKY = r"(?:rain|snow|hot|cold|warm|sunny|cloudy|windy|humid|freezing)\w*"
_SUBJECT = (
    r"(?i)\b(?P<noun>(?<!under the )weather(?! the\b)|forecast|temperature"
    rf"|(?:is it|will it(?: be)?|does it) {_SKY}|how {_SKY} (?:is|will) it(?: be)?"
    r"|need an? (?:umbrella|coat|jacket))\b(?P<behind>.*)"
)
_ASKED = (
    r"(?i)\?|^\W*(?:what(?! an?\b)|how|is|will|does|do|can|could)\b"
    r"|\b(?:tell|show|give|get|check|find|know|want|need|report)\b"
    r"|^\W*(?:the |current |today['’]s )*(?:weather|forecast|temperature)\s*"
    r"(?:$|[:?.!]|(?:forecast |report )?(?:in|at|for|near|around|today|now)\b)"
)
_PREPOSITION = r"(?i)^[^.?!]{0,40}?\b(?P<word>in|at|for|near|around|of)\s+"
_NAME = r"[^\W\d_][\w'’.\-]*"
_NAMES = rf"{_NAME}(?:(?:\s*[,&]\s*|\s+){_NAME}){{0,11}}"
_CAPITALS_IN_FRONT = (
    r"\b([A-Z][\w.\-]*(?: [A-Z][\w.\-]*){0,2})(?:['’]s)? (?:[Ww]eather|[Ff]orecast)\b"
)
_NOTHING_ELSE = (
    rf"^\W*({_NAME}(?: {_NAME}){{0,2}}) weather(?: forecast)?(?: now| today| tomorrow)?\W*$"
)
_BEHIND_A_PLACE = (
    r"(?i:today|tomorrow|tonight|now|right|currently|this|next|at|during|on|over|for|in|please|like"
    r"|going|looking|doing|be|is|are|was|will|what|how|should|can|could|do|does|did|i|you|we|it|my"
    r"|with|using|if|because|so|then|when|thanks|thank|later|soon|weather)"
)
_NO_PLACE = (
    r"(?i:an?|the|this|that|there|it|your|his|her|general|particular|mind|opinion|question|case"
    r"|spring|summer|autumn|fall|winter|celsius|fahrenheit|space|nice|good|bad|great|lovely|terrible"
    r"|awful|cold|hot|warm|rainy|sunny|stormy|fine|severe|whats?|hows?|current|today|tomorrow|local"
    r"|is|and|about|tell|show|give|get|check|find)\b"
)
_HERE = r"(?i)(?:my|our|here|this|the)\b"

_SUBJECT_KO = (
    r"^(?P<before>.*?)(?:(?P<noun>날씨|기온|일기\s?예보)(?P<behind>.*)$"
    r"|(?<!\S)(?:비|눈)(?:가|이)?\s*(?:와|오|올|내릴)|(?<!\S)(?:추워|추울|춥|더워|더울|덥|몇\s*도|우산))"
)
_ASKED_KO = r"어때|어떤|어떻|어떠|알려|궁금|말해|보여|확인|뭐|\?|^(?:도|는|은|랑|와|하고)?[\s.!]*$"
_WONDERS_KO = r"\?|까\b|나요\b|니\b"
_AND_KO = r"(?<=\S)(?:와|과|이랑|랑|하고|,)\s+(?=\S)|\s+및\s+"
_NO_PLACE_KO = (
    r"오늘|내일|모레|어제|지금|현재|요즘|이번|다음|주|지난주|주말|이번주|오전|오후|아침|저녁|밤|혹시"
    r"|그럼|그러면|안녕|안녕하세요|저기|좀|나|난|너|내|우리|여기|거기|저|이|그|좋은|나쁜|추운|더운|맑은"
    r"|흐린|따뜻한|이런|그런|저런|오는|가는|많이|너무|정말|진짜|밖에|밖"
)
_PARTICLE_KO = r"(?<=..)(?:에서|에는|에|의|은|는|쪽|지역)$"
_CLAUSE_KO = r"^.*(?:는데|지만|니까|면서|어서|아서|네요|어요|아요|해요|습니다)(?=\s|,|$)"


def places(piece: str) -> list[str]:
    """Return the places whose weather is asked for.

    `[""]` when it is asked for without a place, `[]` when it is not asked for.
    """
    if match := re.match(_SUBJECT_KO, piece):
        return _korean(piece, match)
    match = re.search(_SUBJECT, piece)
    front = re.search(_CAPITALS_IN_FRONT, piece) or re.search(_NOTHING_ELSE, piece)
    named = _split(front[1]) if front else []
    if not match or not (named or re.search(_ASKED, piece)):
        return []
    if preposition := re.match(_PREPOSITION, match["behind"]):
        return _behind(preposition["word"], match["behind"][preposition.end() :], match["noun"])
    return named or ([""] if match["noun"].lower() in {"weather", "forecast"} else [])


def _behind(preposition: str, text: str, noun: str) -> list[str]:
    """Read `in Seoul and Busan`; a doubtful phrase must be written with a capital to be a place."""
    found = _split(text)
    doubtful = preposition.lower() in {"for", "of"} or noun.lower() == "temperature"
    if found and not (doubtful and any(place[0].islower() for place in found)):
        return found
    return [""] if re.match(_HERE, text) and preposition.lower() != "of" else []


def _split(text: str) -> list[str]:
    """Read one place or several from the start of a text, up to a word that names none."""
    match = re.match(_NAMES, re.sub(r"^(?i:the city of) ", "", text))
    words = re.findall(rf"{_NAME}|[,&]", match[0]) if match else []
    groups: list[list[str]] = [[]]
    for word in words:
        if re.fullmatch(_BEHIND_A_PLACE, word):
            break
        if word.lower() in {"and", "or", "&"}:
            groups.append([])
        else:
            groups[-1].append(word)
    found = [re.sub(r"\s+,", ",", " ".join(group)).strip(" ,.") for group in groups]
    # "Seoul, Busan and Tokyo" are three places, "Paris, France and Rome, Italy" are two.
    if len(found) > 1 and not all("," in place for place in found if place):
        found = [part.strip() for place in found for part in place.split(",")]
    found = [re.sub(r"['’]s$", "", place) for place in found if place]
    return [] if any(re.match(_NO_PLACE, place) for place in found) else found


def _korean(piece: str, match: re.Match[str]) -> list[str]:
    asked = (
        re.search(_ASKED_KO, match["behind"]) if match["noun"] else re.search(_WONDERS_KO, piece)
    )
    if not asked:
        return []
    before = re.sub(_CLAUSE_KO, "", match["before"]).strip()
    found = []
    for part in re.split(_AND_KO, before):
        words = [re.sub(_PARTICLE_KO, "", word) for word in re.findall(r"[^\s,.!?]+", part)]
        place = " ".join([word for word in words if not re.fullmatch(_NO_PLACE_KO, word)][-2:])
        if place:
            found.append(place)
    return found or ([""] if match["noun"] else [])
