"""Finding what a text wants to be searched for, and what it asks about the world."""

import re

# Patterns stay strings: `re` compiles each at its first use and keeps it, so importing is free.
_POLITE = (
    r"(?i)^[\s,]*+(?:(?:please|hey|hi|hello|ok(?:ay)?|so|now|then|also|and"
    r"|(?:can|could|would|will) you|i(?: want| need|'d like) (?:you )?to|let'?s|help me"
    r"|use the \w+(?: tool)? to)\b[\s,]*+)*+"
)
_SEARCH = (
    _POLITE + r"(?:(?:do an? )?(?:(?:web|online|internet) )?"
    r"search(?! engines?| results?| bars?| is| was)(?: (?:the )?(?:web|internet|net)| online)?"
    r"(?: for| about| on)?|look up|google(?! is| was| has| maps)|find out about"
    r"|find(?: me)?(?: out)?(?: some| more| any| \d+)?"
    r" (?:information|info|news|articles|results|facts)(?: about| on| for)?)\b:?\s+"
    r"(?:(?:the )?(?:top |first )?\d+ results (?:for|about|on) )?(?P<query>.+)"
)
_SEARCH_KO = (
    r"^\s*(?:검색(?:해\s*줘|해)?\s*:?\s+(?P<query>.+)"
    r"|(?P<object>.+?)(?:에\s*(?:대해서?|대하여|관해서?|대한|관한)|을|를)?(?:\s*(?:정보|자료)(?:를|을)?)?"
    r"(?:\s*(?:좀|한번))*(?:\s*(?:인터넷|웹|구글)에서)?\s*(?:검색|찾아|조사|구글링|알아\s*봐)"
    r"\s*(?:을|를)?\s*(?:좀\s*)?(?:$|[.?!]|하|해|줘|봐|주|부탁))"
)

_THANKS = r"please|for me|thanks?(?: you)?|(?:the )?(?:top |first )?\d+ results?"
_BEHIND = rf"(?i)(?<![\s,])(?:[\s,]*+\b(?:{_THANKS}))+[\s.!?]*$"

_AUXILIARY = (
    r"is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|many|much|to|long|far"
    r"|old|tall|big|high|deep|fast|often"
)
_QUESTION = (
    _POLITE + r"(?:do you know |tell me )?(?:"
    r"(?:(?:who|what)(?:['’]?s| is| are| was| were)|(?:tell me )?about|define|explain"
    r"|what do you know about)\s+(?P<topic>[^?!]+)"
    rf"|(?P<whole>(?:who|what|where|when|why|which|how)\s(?:(?:{_AUXILIARY})\b[^?!]+"
    r"|(?!an?\b)[^?!]+(?=\?))))"
)
_QUESTION_KO = (
    r"^\s*(?P<topic>.+?)(?:은|는|이란|란|이|가)?\s*(?:누구|뭐|무엇|뭔|어디|언제)"
    r"(?:야|예요|에요|이야|이에요|인가요|인가|인지|인데|입니까|일까|지|죠|니|냐|고)+"
    r"(?:\s*(?:알려|말해|설명).*)?[\s?.!]*$"
)
_ABOUT_KO = r"^\s*(?P<topic>.+?)에\s*(?:대해서?|대하여|관해서?)\s*(?:알려|설명|말해|이야기)"

_OF_US = (
    r"(?i)\b(?:i|me|my|mine|you|your|yours|we|us|our|up|wrong|new|going on|happening|is it|it going"
    r"|what (?:time|day|date|year))\b|^(?:the (?:time|date|day)(?: now| today)?$"
    rf"|(?:(?:where|when|why|which|how)\s(?:{_AUXILIARY})\s)?"
    r"(?:this|that|these|those|it|there|here|he|she|they|him|her|them|his|their)\b)"
)
_OF_US_KO = (
    r"(?:^|\s)(?:너|넌|네|니|당신|나|난|내|저|전|제|우리|이게|이건|이것|그게|그건|그것|저게|여기|거기"
    r"|오늘|지금|이름)(?:은|는|이|가|의|를)?(?=\s|$)"
)


def query(piece: str) -> str:
    """Return what a piece orders to be searched for; empty when it orders no search."""
    if match := re.match(_SEARCH, piece):
        return _bare(match["query"])
    if match := re.match(_SEARCH_KO, piece):
        return _bare(match["query"] or match["object"])
    return ""


def question(piece: str) -> str:
    """Return what a piece asks about the world; a question about you or me is none."""
    if match := re.match(_QUESTION, piece):
        topic = _bare(match["topic"] or match["whole"])
    elif match := re.match(_QUESTION_KO, piece) or re.match(_ABOUT_KO, piece):
        topic = _bare(match["topic"])
    else:
        return ""
    return "" if re.search(_OF_US, topic) or re.search(_OF_US_KO, topic) else topic


def _bare(text: str) -> str:
    """Strip what surrounds a query: quotation marks, "please", how many results are wanted."""
    text = re.sub(_BEHIND, "", text)
    return text.strip(" \t\r\n?!.,;:'\"“”‘’「」")
