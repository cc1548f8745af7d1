"""Text that tries to give a model orders: heuristics, which find the plain attempts and no more.

Each sign has a weight; together they must reach `THRESHOLD`. The signs are those that OWASP's
LLM01 and the published collections of attacks have in common: earlier instructions are lifted,
the text speaks as the system or makes the model somebody without rules, it asks for the hidden
prompt, or it has data carried away in an address. Whoever words an attack anew gets past; a tool
that can do harm needs approval, whatever stands in the text (`EVERTURN_APPROVE_TOOLS`).
"""

import re
import unicodedata
from typing import NamedTuple

THRESHOLD = 2


class Sign(NamedTuple):
    """What an attack may have in it."""

    kind: str
    weight: int
    pattern: re.Pattern[str]


def _sign(kind: str, weight: int, *patterns: str) -> Sign:
    return Sign(kind, weight, re.compile("|".join(patterns)))


_EARLIER = (
    r"(?:(?:all|any|of|these|those|the|your) ){0,3}"
    r"(?:previous|prior|above|earlier|preceding|foregoing|initial|original|system|safety|content|"
    r"your|all|any)"
)
_RULES = r"(?:instruction|direction|prompt|rule|guideline|command|order|constraint|restriction)"
_LIFT = r"(?:ignore|disregard|forget|override|bypass|skip|discard|neglect)"
_SHOW = r"(?:reveal|show|print|repeat|output|display|tell me|give me|leak|dump|recite|disclose)"
_HIDDEN = r"(?:system|hidden|initial|original|secret|internal|developer)"

SIGNS = (
    _sign(
        "lifts instructions",
        2,
        rf"\b{_LIFT} (?:(?:of|about|everything in|to follow) )?{_EARLIER} "
        rf"(?:[a-z]{{1,12}} )?{_RULES}s?\b(?! in my\b)",
        rf"\b{_LIFT} (?:the|these|those) {_RULES}s? "
        r"(?:above|before|(?:that )?you (?:were|have|got))",
        rf"\b{_LIFT} (?:everything|anything|all)(?: that)?(?: (?:you|was|i|we|is|has|were|been)"
        r"(?:'ve)?){0,3} (?:above|before|said|told|taught|been told|learned)\b",
        r"\bdo not (?:follow|obey|comply with) (?:the )?(?:your|any|previous|system) "
        rf"(?:[a-z]{{1,12}} )?{_RULES}s?\b",
        rf"\b{_LIFT} (?:what|everything|anything|all) (?:the |your )?"
        r"(?:system|developer|user|operator|owner)s? (?:has |have )?"
        r"(?:said|told|wrote|asked|wants|instructed)\b",
        r"\b(?:your|all|any) (?:previous|prior|earlier|old|original) (?:[a-z]{1,12} )?"
        rf"(?:{_RULES}|guidance)s?[^.\n]{{0,20}}\b(?:cancell?ed|void|revoked|lifted|suspended|"
        r"no longer (?:apply|applies|valid))",
        # German, French, Spanish and Portuguese
        r"\b(?:ignoriere?|vergiss|missachte) (?:bitte )?(?:alle[rsn]?|deine|die|jegliche)"
        r"(?: [a-zäöüß]{1,16}){0,3} (?:anweisung|regel|vorgabe|instruktion)",
        r"\b(?:ignore[zr]?|oublie[zr]?) (?:toutes )?(?:les|tes|vos)(?: [a-zéè]{1,14}){0,2} "
        r"(?:instruction|consigne|règle)",
        r"\b(?:ignora|olvida|ignore|esqueça|esquece) (?:todas )?(?:las|tus|as|suas)"
        r"(?: [a-zé]{1,14}){0,2} (?:instruccion|instruç|regla|regra)",
        # Korean, Japanese and Chinese
        r"(?:이전|기존|위|앞|모든|지금까지|시스템)[가-힣 ]{0,12}"
        r"(?:지시|명령|지침|규칙|프롬프트)[가-힣 ]{0,8}(?:무시|잊|따르지)",
        r"(?:이전|앞|위|지금까지)(?:의|에 했던)? ?(?:내용|대화|말)[은을]? ?(?:다|모두|전부|싹)"
        r" ?(?:잊|무시)",
        r"(?:これまで|以前|上記|前|すべて)[ぁ-んァ-ヶ一-龠]{0,8}(?:指示|命令|ルール|プロンプト)[ぁ-ん]{0,4}"
        r"(?:無視|忘れ)",
        r"(?:忽略|无视|無視|忘记|忘記)[一-龠]{0,8}(?:指令|指示|规则|規則|提示)",
    ),
    _sign(
        "speaks as the system",
        2,
        r"<\|(?:im_start|im_end|system|endoftext|start_header_id)\|>",
        r"\[/?inst\]|<<sys>>|<start_of_turn>",
        r"(?:^|\n) ?(?:#{1,4} ?)?(?:new |updated )?(?:system|developer)(?: prompt| message|"
        r" override| instructions?)? ?: ?(?:you|from now|ignore|disregard|the assistant|"
        r"override|new )",
        r"\bnew (?:system )?instructions? ?(?:for (?:you|the (?:assistant|ai|model)))? ?:",
        r"</?(?:system|system_prompt|admin|instructions)> ?(?:you|ignore|new|override|from)",
        r"\b(?:attention|note|message|important)(?: message)?[ ,:]{1,3}(?:to|for)? ?"
        r"(?:the |any |all )?(?:ai|llm|language model|chatbot)(?: (?:assistant|agent|model))?s?\b"
        r"[^.\n]{0,40}(?:must|ignore|please|:)",
        r"\bsystem (?:override|alert|command) ?[:!\]]",
        r"(?:새로운|신규) (?:시스템 )?(?:지시|명령|지침) ?(?:사항)? ?:",
    ),
    _sign(
        "lifts the rules",
        2,
        r"\byou are (?:now )?(?:dan|stan|aim|jailbroken|unrestricted|uncensored|unfiltered)\b",
        r"\b(?:dan|god|jailbreak|sudo|unrestricted) mode\b"
        r"[^.\n]{0,30}(?:enabled|is on\b|activated|unlocked)|"
        r"\b(?:developer|debug|admin) mode (?:is )?(?:now )?(?:enabled|on|activated|unlocked) ?"
        r"[.!:,;] ?you\b|"
        r"\b(?:enable|enter|activate|switch to) (?:dan|god|jailbreak|sudo) mode\b",
        r"\bdo anything now\b",
        r"\b(?:act|behave|respond|answer|pretend|roleplay|role-play)\b[^.\n]{0,60}"
        r"\b(?:without|no|free of|not bound by|ignoring)(?: any| all| the| your)?"
        r"(?: [a-z]{1,12})? ?"
        r"(?:restriction|filter|limitation|rule|censorship|guideline|safety|ethic)",
        r"\b(?:unrestricted|uncensored|unfiltered|jailbroken) (?:ai|model|assistant|llm|bot)\b"
        r"|\byou (?:are|have been) (?:now )?jailbroken\b",
        r"\byou (?:have|has) no (?:more )?(?:restrictions|filters|limitations|rules|guidelines)\b",
        r"(?:제한|제약|규칙|필터|검열)[이을 ]{0,2}(?:없는|없이|해제)[가-힣 ]{0,12}"
        r"(?:ai|인공지능|모드|답|대답|행동)",
        r"(?:개발자|탈옥) 모드[를로가 ]{0,3}(?:활성|전환|켜|진입)",
    ),
    _sign(
        "asks for the hidden prompt",
        2,
        rf"\b{_SHOW}(?: (?:me|us|out|back|verbatim|exactly|your|the|all|of|full|entire|complete))"
        rf"{{0,5}} (?:{_HIDDEN} (?:prompt|instruction)|"
        r"(?:hidden|secret|developer) (?:message|rule|configuration))",
        rf"\b{_SHOW} (?:the )?(?:text|words|everything|instructions) (?:above|before this)\b",
        rf"\b{_SHOW} (?:me )?your (?:[a-z]{{1,12}} )?(?:instructions|prompt|rules)"
        r"[^.\n]{0,20}\b(?:word for word|verbatim|exactly|in full|literally|as written)\b",
        r"\bwhat (?:is|are|was|were) your (?:exact |full )?"
        r"(?:system|initial|hidden|original|secret) (?:prompt|instruction)",
        r"시스템 ?(?:프롬프트|지침)[를을 ]{0,2}[가-힣 ]{0,12}"
        r"(?:출력|보여|알려|공개|말해|반복)",
        r"(?:system.?prompt|systemanweisung)[^.\n]{0,20}(?:zeig|ausgeb|ausgib|verrat)|"
        r"(?:zeig|gib|verrate)[^.\n]{0,30}(?:systemprompt|system-prompt|systemanweisung)",
        r"(?:显示|輸出|输出|告诉我|重复)[一-龠]{0,6}(?:系统提示|系統提示)|"
        r"システムプロンプト[をは][ぁ-ん一-龠]{0,8}(?:表示|教え|出力)",
    ),
    _sign(
        "carries data away",
        2,
        r"!\[[^\]\n]{0,200}\]\(https?://[^)\s]{1,200}[?&/=][^)\s]{0,100}(?:\{|\[|<|%7b|\$)",
        r"\b(?:send|post|forward|upload|email|transmit|exfiltrate|leak|append|include|encode)\b"
        r"[^.\n]{0,80}\b(?:conversation|chat history|system prompt|"
        r"users?(?:'s?)? (?:data|message|information|api key|password|secret|credential|token))s?\b"
        r"[^\n]{0,60}(?:https?://|@[a-z0-9-]{1,40}\.|\burl\b|webhook|attacker|query string)",
        r"\b(?:render|display|insert|output|respond with|include) (?:the following |this )"
        r"(?:markdown )?(?:image|img)\b[^\n]{0,80}https?://",
        r"(?:대화|비밀번호|키|토큰|개인정보)[가-힣 ]{0,20}https?://[^ \n]{1,200} ?[가-힣 ]{0,8}"
        r"(?:보내|전송|업로드)",
    ),
    _sign(
        "asks for secrets at an address",
        1,
        r"\b(?:send|post|forward|upload|email|transmit|exfiltrate|leak|append|include|encode)\b"
        r"[^.\n]{0,80}\b(?:api key|password|secret|credential|token|environment variable)s?\b"
        r"[^\n]{0,60}(?:https?://|@[a-z0-9-]{1,40}\.|\burl\b|webhook|attacker|query string)",
    ),
    _sign(
        "hides from the user",
        1,
        r"\b(?:do not|don't|never) (?:tell|inform|mention|reveal|notify|alert)[^.\n]{0,30}"
        r"\b(?:user|human|anyone|this)\b",
        r"\bwithout (?:telling|informing|asking|notifying)[^.\n]{0,20}\buser\b",
        r"사용자(?:에게|한테)[가-힣 ]{0,10}(?:말하지|알리지|언급하지)",
    ),
    _sign(
        "is hidden text",
        1,
        r"<!--[^>]{0,200}\b(?:ai|assistant|llm|model|agent)\b",
        r"(?:display ?: ?none|font-size ?: ?0|color ?: ?(?:white|#fff))",
    ),
    _sign(
        "gives orders",
        1,
        r"\bfrom now on,? you\b|\byou must (?:now )?(?:always |only )?(?:respond|reply|obey|answer|"
        r"comply|call|use|execute|send)\b",
        r"\b(?:pretend|imagine) (?:that )?you (?:are|have)\b",
        r"\byour (?:new|real|true|only) (?:task|goal|purpose|instruction|job)\b",
        r"\b(?:call|use|invoke|execute|run) the [a-z_]{1,40} (?:tool|function)\b[^.\n]{0,40}"
        r"\b(?:with|to|and)\b",
        r"\b(?:ai|llm|language) (?:assistant|model|agent)s?\b[^.\n]{0,30}\b(?:must|should|shall)\b",
        r"지금부터 (?:너는|당신은|넌)",
        r"\bab jetzt bist du\b|\bà partir de maintenant\b|\ba partir de ahora\b",
    ),
)

_LEFT_OUT = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff\u00ad\ufdf0-\ufdfd\U000e0000-\U000e007f]")
"""What nobody sees, and ligatures of Arabic that stand for up to eighteen letters."""
_SPACES = re.compile(r"[^\S\n]+")
_WINDOW, _OVERLAP = 16_384, 1_024
"""Characters that are searched at once, so that other threads go on between; no pattern matches
more than two windows share."""


def signs_in(text: str) -> tuple[str, ...]:
    """Return which signs of an attack a text shows; none where they do not weigh enough."""
    plain = _SPACES.sub(" ", unicodedata.normalize("NFKC", _LEFT_OUT.sub("", text))).lower()
    found = [sign for sign in SIGNS if _shows(plain, sign.pattern)]
    enough = sum(sign.weight for sign in found) >= THRESHOLD
    return tuple(sign.kind for sign in found) if enough else ()


def _shows(plain: str, pattern: re.Pattern[str]) -> bool:
    begins = range(0, max(1, len(plain) - _OVERLAP), _WINDOW - _OVERLAP)
    return any(pattern.search(plain, begin, begin + _WINDOW) for begin in begins)
