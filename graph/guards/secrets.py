"""Keys, tokens and passwords, by the marks that makers give them so that they can be found."""

from everturn.graph.guards.kinds import kind

_KEYS = (
    r"sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"evt_[A-Za-z0-9]{4,64}_[A-Za-z0-9_-]{16,}",  # Everturn's own
    r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}",
    r"AIza[\w-]{35}|ya29\.[\w-]{20,}",  # Google
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{16,}",
    r"hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,}",
    r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}|gsk_[A-Za-z0-9]{40,}|dckr_pat_[\w-]{20,}",
)

SECRETS = (
    kind(
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\s\S]){0,16384}"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    kind("token", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"),  # a JWT
    kind("key", rf"(?<![\w-])(?:{'|'.join(_KEYS)})"),
    kind("token", r"(?i:\bbearer) {1,4}(?P<found>[A-Za-z0-9._~+/-]{20,}={0,2})"),
    kind("password", r"://[^\s/?#@:]{0,128}:(?P<found>[^\s/?#]{1,256})@"),
)
