"""What the offline model says, in its two languages; `{}` stands for what a turn fills in."""

from dataclasses import dataclass

from everturn.graph.offline.intents import Kind, is_korean


@dataclass(frozen=True, slots=True)
class Wording:
    """The sentences of one language."""

    general: str
    abilities: dict[Kind, str]
    recalls: str
    plans: str
    planned: str
    calls_tools: str
    comma: str

    no_tool: dict[Kind, str]
    which_place: str
    too_many: str
    lacking: str

    equals: str
    weather: str
    found: str
    nothing_found: str
    says: str
    failed: str
    no_result: str
    more: str
    sample: str
    labels: dict[str, str]
    """Names of a result's fields, where they are not said as they are."""

    sees_nothing: str
    nothing_before: str
    only_so_many: str
    first: str
    last: str
    numbered: str
    about: str
    all_messages: str
    count: str
    i_said: str
    i_said_nothing: str
    remembered: str
    known: str
    knows_nothing: str
    forgotten: str
    fact: str
    no_fact: str
    noted: str


ENGLISH = Wording(
    general=(
        "I am the offline model and answer by fixed rules: I can {}. "
        "A real model answers when OPENROUTER_API_KEY, or EVERTURN_BASE_URL for another provider, "
        "is set and the provider responds."
    ),
    abilities={
        "calculation": "calculate (“15% of 80”)",
        "weather": "look up the weather (“weather in Seoul”)",
        "search": "search (“search for LangGraph”)",
        "remember": "remember things for later (“remember that I like tea”)",
        "recall": "say what I remember (“what do you know about me?”)",
    },
    recalls="recall this conversation (“what did I ask first?”)",
    plans="plan a list of these (“compute 3*4, then the weather in Seoul, and search for cats”)",
    planned="The offline model planned this by fixed rules, one step for each request: {}.",
    calls_tools="call {} (“{}(…)”)",
    comma=", ",
    no_tool={
        "calculation": "I cannot calculate {}: there is no calculator among this run's tools.",
        "weather": "I cannot look up the weather: there is no weather tool in this run.",
        "search": "I cannot search for “{}”: there is no search tool in this run.",
    },
    which_place="Which place's weather would you like to know?",
    too_many="I did the first {} of your requests and left out the rest.",
    lacking="To call {0} I need {1}. You can write it as {0}({2}).",
    equals="{} = {}",
    weather="Weather in {}: {}",
    found="Results for “{}”:\n{}",
    nothing_found="I found nothing for “{}”.",
    says="{}: {}",
    failed="{} failed: {}",
    no_result="no result",
    more="… and {} more",
    sample="(Sample data, made up: it comes from no service.)",
    labels={},
    sees_nothing="I see no pictures, files or sounds: I read only the text of a message.",
    nothing_before="I can see no earlier message of yours in this conversation.",
    only_so_many="I can see only {} earlier messages of yours.",
    first="Your first message that I can see was: “{}”",
    last="Just before, you said: “{}”",
    numbered="Your message number {} was: “{}”",
    about="You said: “{}”",
    all_messages="Until now you said: {}",
    count="You sent {} messages before this one, as far as I can see.",
    i_said="I said: “{}”",
    i_said_nothing="I can see no earlier answer of mine in this conversation.",
    remembered="I will remember: {}",
    known="I remember:\n{}",
    knows_nothing="I remember nothing of that.",
    forgotten="I have forgotten: {}",
    fact="You told me that your {} is {}.",
    no_fact="You have not told me your {} in the part of this conversation that I can see.",
    noted="Noted for this conversation: your {} is {}.",
)

KOREAN = Wording(
    general=(
        "저는 정해진 규칙으로 답하는 오프라인 모델입니다. 할 수 있는 일: {}. 실제 모델은 "
        "OPENROUTER_API_KEY나, 다른 제공자라면 EVERTURN_BASE_URL이 설정되고 "
        "제공자가 응답할 때 답합니다."
    ),
    abilities={
        "calculation": "계산(“80의 15%는?”)",
        "weather": "날씨 조회(“서울 날씨 어때?”)",
        "search": "검색(“LangGraph에 대해 검색해줘”)",
        "remember": "다음 대화까지 기억하기(“내가 차를 좋아한다는 걸 기억해 줘”)",
        "recall": "기억한 것 말하기(“나에 대해 뭘 알고 있어?”)",
    },
    recalls="이 대화 기억하기(“내가 처음에 뭐라고 했지?”)",
    plans="여러 일을 계획해 처리(“3*4를 계산하고 서울 날씨 알려줘, 그리고 고양이를 검색해줘”)",
    planned="오프라인 모델이 정해진 규칙으로 요청마다 한 단계씩 계획했습니다. 단계 수: {}",
    calls_tools="{} 호출(“{}(…)”)",
    comma=", ",
    no_tool={
        "calculation": "이 실행에는 계산 도구가 없어 계산할 수 없습니다: {}",
        "weather": "이 실행에는 날씨 도구가 없어 날씨를 알 수 없습니다.",
        "search": "이 실행에는 검색 도구가 없어 검색할 수 없습니다: “{}”",
    },
    which_place="어느 지역의 날씨가 궁금하신가요?",
    too_many="요청 가운데 앞의 {}개만 처리했습니다.",
    lacking="{0} 도구를 부르려면 다음 값이 필요합니다: {1}. {0}({2}) 형식으로 쓸 수 있습니다.",
    equals="{} = {}",
    weather="{} 날씨: {}",
    found="“{}” 검색 결과:\n{}",
    nothing_found="“{}” 검색 결과가 없습니다.",
    says="{}: {}",
    failed="{} 실패: {}",
    no_result="결과 없음",
    more="… 외 {}건",
    sample="(실제 서비스에서 오지 않은, 지어낸 표본 데이터입니다.)",
    labels={
        "condition": "하늘",
        "temperature": "기온",
        "feels_like": "체감",
        "humidity": "습도",
        "wind_speed": "풍속",
    },
    sees_nothing="저는 그림, 파일, 소리를 볼 수 없고 메시지의 글만 읽습니다.",
    nothing_before="이 대화에서 이전에 하신 말씀이 보이지 않습니다.",
    only_so_many="이전에 하신 말씀은 {}개만 보입니다.",
    first="제가 볼 수 있는 첫 번째 말씀은 다음과 같습니다: “{}”",
    last="바로 전에 이렇게 말씀하셨습니다: “{}”",
    numbered="{}번째 말씀은 다음과 같습니다: “{}”",
    about="이렇게 말씀하셨습니다: “{}”",
    all_messages="지금까지 하신 말씀: {}",
    count="이 메시지 전에 {}개의 메시지를 보내셨습니다.",
    i_said="저는 이렇게 말했습니다: “{}”",
    i_said_nothing="이 대화에서 제가 이전에 한 답이 보이지 않습니다.",
    remembered="기억하겠습니다: {}",
    known="다음을 기억하고 있습니다:\n{}",
    knows_nothing="그에 대해 기억하는 것이 없습니다.",
    forgotten="잊었습니다: {}",
    fact="말씀하신 {}: {}",
    no_fact="제가 볼 수 있는 대화에서는 아직 말씀하지 않으셨습니다: {}",
    noted="이 대화에서 기억하겠습니다. {}: {}",
)


def wording_for(text: str) -> Wording:
    """Return the language to answer a text in."""
    return KOREAN if is_korean(text) else ENGLISH
