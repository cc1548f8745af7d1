"""What a provider's words say of a picture or a file: that the model takes none, or not this one.

The words are those of public bug reports: OpenRouter, OpenAI, Mistral, Groq, DeepSeek, Gemini,
Anthropic, LM Studio, vLLM, llama.cpp and Ollama. A provider that says it otherwise has refused the
request, and no more is known.
"""

import re
from typing import Literal

Refusal = Literal[
    "no_image_support",
    "no_audio_support",
    "no_video_support",
    "no_file_support",
    "unreadable_media",
]

_STATUSES = frozenset({400, 404, 415, 422, 500, 501})
"""llama.cpp and Ollama say with a 500 that a model takes no pictures."""

_NOUNS: dict[Refusal, str] = {
    "no_image_support": r"(?:images?|vision|pictures?|multimodal)(?: url)?",
    "no_audio_support": r"(?:input )?audios?",
    "no_video_support": r"videos?(?: url)?",
    "no_file_support": r"(?:files?|pdfs?|documents?)",
}
_TAKES_NONE = (
    # Of one picture it would be the format, the type or the URL that is not supported.
    r"n[o'’]t support (?:(?:the|any|input|this) )?{0}(?! (?:format|type|mime|url|with|of))",
    r"\b{0}['\"`]?(?: (?:inputs?|contents?|modality|parts?))? (?:is|are) not (?:supported|enabled)",
    r"\b{0}['\"`]? (?:is|are) (?:unsupported|only supported)",
    r"\b{0} input modality is not enabled",
    r"no endpoints found that support (?:input )?{0}",
    r"invalid content type\W+{0}",
    r"unknown variant \W?{0}",
    r"at most 0 {0}",
    r"missing data required for {0}",
    r"not an? {0}[- ](?:\w+ )?model",
)
_PATTERNS: dict[Refusal, re.Pattern[str]] = {
    kind: re.compile("|".join(_TAKES_NONE).replace("{0}", noun)) for kind, noun in _NOUNS.items()
}
_ONLY_STRINGS = re.compile(r"content\W.{0,20}must be a string")
"""Groq's words for a model that takes text alone: it takes no list of parts."""
_UNREADABLE = re.compile(
    r"(?:invalid|unsupported|corrupt\w*|malformed) (?:image|picture|file data|pdf|audio)"
    r"|(?:could|can) ?not (?:process|decode|load|read|fetch|identify|open)"
    r" (?:the |an? )?(?:input )?(?:image|pdf|document|audio|content from)"
    r"|(?:unable|failed) to (?:process|decode|load|read|fetch|download|identify|open|parse)"
    r" (?:the |an? )?(?:input )?(?:image|pdf|document|audio|url)"
    r"|(?:error|timeout) (?:while|when) (?:downloading|fetching)"
    r"|not represent a valid image|not contain a valid image|image does not match"
    r"|image.{0,40}(?:exceeds|too (?:large|small|big)|is not valid)"
    r"|not support(?:ed)? (?:the )?(?:image|file) (?:format|type|mime)"
    r"|(?:image|file) (?:format|type).{0,20}not supported"
    r"|unsupported mime type|(?:invalid|illegal) base64"
)


def refusal_of_media(status: int, text: str) -> Refusal | None:
    """Return what a refusal says of a picture or a file; `None` where it speaks of neither.

    `text` is in small letters, and has spaces where the provider writes `_`.
    """
    if status not in _STATUSES:
        return None
    for kind, pattern in _PATTERNS.items():
        if pattern.search(text):
            return kind
    if _ONLY_STRINGS.search(text):
        return "no_image_support"
    # A 5xx may pass, and local servers use such words of their own files.
    return "unreadable_media" if status < 500 and _UNREADABLE.search(text) else None  # noqa: PLR2004
